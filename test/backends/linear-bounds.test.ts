/**
 * What kernels of products read and write ends with their operands. Each operand in turn lies at the very end of a memory, where
 * one byte more is a trap; a read that is too long changes no number, so nothing else finds it.
 */
import { describe, expect, test } from "vitest";
import {
  BYTES_FOUR,
  BYTES_NIBBLES,
  BYTES_WIDE,
  EIGHTS,
  FLOATS_WIDE,
  NIBBLES_WIDE,
  PLANES,
  PLANES_WIDE,
  PLANES_WORDS,
  SCRATCH_BYTES,
  SIXTEEN_BITS,
  SIXTEEN_WIDE,
  STREAMED,
} from "../../kernels/abi.js";
import { integerBytes } from "../../src/backends/wasm/ops/activations.js";
import { DTYPES, type DType, rowBytes } from "../../src/tensor/dtype.js";
import { relaxedSimd } from "../support/test-platform.js";
import {
  BUILD_NAMES,
  type Build,
  type Kernel,
  KernelMemory,
  linearKernels,
  type Problem,
  problem,
} from "./linear-kernels.js";

const memory = new KernelMemory(4);
const ALL = Object.keys(DTYPES) as DType[];
const FLOATS = ALL.filter((dtype) => DTYPES[dtype].blockSize === 1);
const QUANTISED = ALL.filter((dtype) => DTYPES[dtype].blockSize > 1);
const BY_EIGHTS: readonly DType[] = ["q4_0", "q4_k", "q5_k", "q6_k"];

const OPERANDS = ["activations", "integers", "weight", "bias", "products", "scratch"] as const;
type Operand = (typeof OPERANDS)[number];

interface Row {
  readonly name: string;
  readonly form: number;
  readonly build: Build;
  readonly formats: readonly DType[];
  readonly eights?: boolean;
}

const relaxed = (name: string, form: number, formats: readonly DType[], eights = false): Row => ({
  name: `${name}${eights ? ", by eights" : ""}`,
  form,
  build: "relaxed",
  formats,
  eights,
});
const ofBytes = (name: string, form: number) => [relaxed(name, form, QUANTISED), relaxed(name, form, BY_EIGHTS, true)];

/** Every form with every format: also where the numbers are not exact, for addresses do not depend on them. */
const ROWS: readonly Row[] = [
  ...BUILD_NAMES.flatMap((build): Row[] => [
    { name: `${build}: streamed`, form: STREAMED, build, formats: ALL },
    { name: `${build}: 16 bits`, form: SIXTEEN_BITS, build, formats: ALL },
  ]),
  ...(relaxedSimd
    ? [
        relaxed("16 bits", SIXTEEN_BITS, BY_EIGHTS, true),
        relaxed("floats, wide", FLOATS_WIDE, FLOATS),
        ...ofBytes("16 bits, wide", SIXTEEN_WIDE),
        ...ofBytes("nibbles", BYTES_NIBBLES),
        ...ofBytes("nibbles, wide", NIBBLES_WIDE),
        ...ofBytes("bytes", BYTES_FOUR),
        ...ofBytes("bytes, wide", BYTES_WIDE),
        relaxed("planes", PLANES, BY_EIGHTS, true),
        relaxed("planes, wide", PLANES_WIDE, BY_EIGHTS, true),
        relaxed("planes in words", PLANES_WORDS, BY_EIGHTS, true),
      ]
    : []),
];

const PLANES_FORMS = [PLANES, PLANES_WIDE, PLANES_WORDS];
/** Whose products an engine without the instruction may round one way at first and another way once it has optimised them. */
const IN_WORDS = [BYTES_FOUR, BYTES_WIDE, PLANES_WORDS];
const converterOf = (form: number) => {
  if (form === STREAMED || form === SIXTEEN_BITS) return "quantise";
  if (PLANES_FORMS.includes(form)) return "splitPlanes";
  return form === SIXTEEN_WIDE ? "quantisePairs" : "quantiseBytes";
};

/** Columns: one block, and some; a part of a panel of 256. Of floats also parts of vectors. */
function columnsOf(dtype: DType): readonly number[] {
  const { blockSize } = DTYPES[dtype];
  return blockSize === 1 ? [3, 261] : [blockSize, blockSize === 32 ? 288 : 512];
}

/** Parts of groups and of panels. By eights panels of sixteen rows end in the middle, in rows of bundles too. */
function problems(dtype: DType, eights: boolean): Problem[] {
  const tokens = [1, 5, 9];
  const all = columnsOf(dtype).flatMap((columns) =>
    (eights ? [8, 24] : [3, 21]).flatMap((rows) => tokens.map((count) => problem(dtype, count, columns, rows))),
  );
  if (!eights) return all;
  // Bundles of one, two and four groups of eight rows.
  return [...all, ...[24, 48, 64].map((rows) => problem(dtype, 3, 2048 + DTYPES[dtype].blockSize, rows))];
}

/** Products [T, rows] with `last` at the memory's end. */
function multiply({ form, build, eights = false }: Row, p: Problem, last?: Operand): Float32Array {
  const { dtype, tokens, columns, rows } = p;
  memory.clear();
  const kernels = linearKernels(build, memory.memory);
  const [xStride, outStride] = [columns + 3, rows + 5];
  const outCount = (tokens - 1) * outStride + rows;
  const isFloat = FLOATS.includes(dtype);
  const sizes: Readonly<Record<Operand, number>> = {
    activations: ((tokens - 1) * xStride + columns) * 4,
    integers: isFloat ? 0 : integerBytes(form, tokens, columns),
    weight: p.weights.length,
    bias: rows * 4,
    products: outCount * 4,
    scratch: SCRATCH_BYTES,
  };
  const args = memory.take(128);
  const place = (operand: Operand) =>
    operand === last ? memory.takeLast(sizes[operand]) : memory.take(sizes[operand]);
  const [x, integers, weight, bias, out, scratch] = OPERANDS.map(place);
  for (let t = 0; t < tokens; t++) {
    memory.floats(x + t * xStride * 4, columns).set(p.x.subarray(t * columns, (t + 1) * columns));
  }
  memory.bytes.set(p.weights, weight);
  memory.floats(bias, rows).fill(0.5);
  memory.floats(out, outCount).fill(Number.NaN);
  const words = memory.words(args, 32).fill(0);
  const run = (kernel: Kernel, ...values: readonly number[]) => {
    words.fill(0);
    words.set(values);
    kernel(args, 0, 1);
  };
  const { ggml } = DTYPES[dtype];
  if (eights) run(kernels.packEights, weight, rows, columns, scratch, ggml, 1);
  if (!isFloat) run(kernels[converterOf(form)], tokens, columns, x, xStride, integers);
  const type = ggml + (eights ? EIGHTS : 0);
  const operands = [x, xStride, integers, weight, bias, 0, out, outStride, scratch, form];
  run(kernels.linear, type, tokens, columns, rows, ...operands);
  return memory.floats(out, outCount).slice();
}

/** What an attempt ends with: nothing, or what was thrown. */
function outcome(attempt: () => void): string {
  try {
    attempt();
    return "";
  } catch (error) {
    return String(error);
  }
}

describe.each(ROWS)("$name", (row) => {
  test.each(row.formats)("%s: no operand is passed", (dtype) => {
    for (const p of problems(dtype, row.eights ?? false)) {
      const expected = multiply(row, p);
      for (const last of OPERANDS) {
        if (last === "integers" && FLOATS.includes(dtype)) continue;
        const label = `${p.tokens} tokens, ${p.columns} columns, ${p.rows} rows: the end of the ${last}`;
        const trapped = outcome(() => {
          const found = multiply(row, p, last);
          if (!IN_WORDS.includes(row.form)) expect(found).toEqual(expected);
        });
        expect(trapped, label).toBe("");
      }
    }
  });
});

describe.each(BUILD_NAMES)("%s: embeddings", (build) => {
  const rows = ALL.map((dtype) => ({ dtype, eights: false }));
  const byEights = build === "relaxed" ? BY_EIGHTS.map((dtype) => ({ dtype, eights: true })) : [];

  test.each([...rows, ...byEights])("$dtype, by eights: $eights", ({ dtype, eights }) => {
    const widths = [...columnsOf(dtype), ...(eights ? [2048 + DTYPES[dtype].blockSize] : [])];
    for (const columns of widths) {
      const p = problem(dtype, 1, columns, 24);
      const found = (["none", "weight", "out", "scratch"] as const).map((last) => {
        let result = new Float32Array();
        const trapped = outcome(() => {
          result = embedRows(build, p, eights, last);
        });
        expect(trapped, `${columns} columns: the end of the ${last}`).toBe("");
        return result;
      });
      for (const other of found) expect(other).toEqual(found[0]);
    }
  });
});

/** The first and the last row, as floats. */
function embedRows(build: Build, p: Problem, eights: boolean, last: string): Float32Array<ArrayBuffer> {
  const { dtype, columns, rows } = p;
  memory.clear();
  const kernels = linearKernels(build, memory.memory);
  const place = (operand: string, bytes: number) => (operand === last ? memory.takeLast(bytes) : memory.take(bytes));
  const args = memory.take(128);
  const ids = memory.take(8);
  const weight = place("weight", p.weights.length);
  const out = place("out", 2 * columns * 4);
  const scratch = place("scratch", SCRATCH_BYTES);
  memory.bytes.set(p.weights, weight);
  memory.words(ids, 2).set([0, rows - 1]);
  const words = memory.words(args, 32).fill(0);
  const { ggml } = DTYPES[dtype];
  if (eights) {
    words.set([weight, rows, columns, scratch, ggml, 1]);
    kernels.packEights(args, 0, 1);
  }
  const type = ggml + (eights ? EIGHTS : 0);
  words.set([weight, ids, out, 2, columns, rowBytes(dtype, columns), type, scratch, rows]);
  kernels.embed(args, 0, 1);
  return new Float32Array(memory.floats(out, 2 * columns));
}
