/**
 * Weights by eights whose rows are cut into panels of 2,048 columns and lie in bundles: the layout against a literal reading of its
 * description, and what a backend computes against the same rows in a matrix that stays as its file has it, for it has one more.
 */
import { describe, expect, test } from "vitest";
import { EIGHTS_PACK_SCRATCH, SCRATCH_BYTES } from "../../kernels/abi.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import type { Backend } from "../../src/tensor/backend.js";
import { DTYPES, rowBytes } from "../../src/tensor/dtype.js";
import type { Weight } from "../../src/tensor/tensor.js";
import { relaxedSimd } from "../support/test-platform.js";
import { tensorOf } from "./devices.js";
import { KernelMemory, linearKernels, randomWeights, uniform } from "./linear-kernels.js";

const BY_EIGHTS = ["q4_0", "q4_k", "q5_k", "q6_k"] as const;
type Kind = (typeof BY_EIGHTS)[number];

/** One panel and less, one and a part, two, two and a part, and widths of models. */
const COLUMNS = [2016, 2048, 2080, 2304, 4096, 4128, 5632, 11_008];
const columnsOf = (dtype: Kind) => COLUMNS.filter((columns) => columns % DTYPES[dtype].blockSize === 0);

/** Bytes of eight rows' block before the nibbles of its first 32 columns, and from one 32 to the next. */
const START: Readonly<Record<Kind, number>> = { q4_0: 16, q4_k: 128, q5_k: 128, q6_k: 144 };
const STEP: Readonly<Record<Kind, number>> = { q4_0: 144, q4_k: 128, q5_k: 160, q6_k: 192 };

/** Groups of eight rows in a bundle: four or two, if the rows and a thread's scratch memory have room for them. */
function bundleGroups(dtype: Kind, rows: number, columns: number): number {
  if (columns <= 2048) return 1;
  const fits = (groups: number) =>
    rows % (groups * 8) === 0 && groups * 8 * rowBytes(dtype, columns) <= SCRATCH_BYTES - EIGHTS_PACK_SCRATCH;
  return [4, 2].find(fits) ?? 1;
}

/** Where the eight rows' block lies that has column `column` of row `row`, in a matrix. */
function blockAt(dtype: Kind, rows: number, columns: number, row: number, column: number): number {
  const groups = bundleGroups(dtype, rows, columns);
  const bundle = Math.floor(row / (8 * groups));
  const group = Math.floor(row / 8) % groups;
  const panel = Math.floor(column / 2048);
  const width = Math.min(2048, columns - panel * 2048);
  const rowsBefore = bundle * 8 * groups * rowBytes(dtype, columns);
  const panelsBefore = 8 * groups * rowBytes(dtype, panel * 2048);
  const within = column - panel * 2048;
  const start = within - (within % DTYPES[dtype].blockSize);
  return rowsBefore + panelsBefore + 8 * group * rowBytes(dtype, width) + 8 * rowBytes(dtype, start);
}

/** The block of the file, of one row (`lane`) of the eight whose block lies at `at`. */
function fileBlock(dtype: Kind, packed: Uint8Array, at: number, lane: number): Uint8Array {
  const block = new Uint8Array(DTYPES[dtype].blockBytes);
  const half = (from: number, to: number) => block.set(packed.subarray(from + 2 * lane, from + 2 * lane + 2), to);
  half(at, dtype === "q6_k" ? 208 : 0);
  if (dtype === "q4_k" || dtype === "q5_k") {
    half(at + 16, 2);
    for (let i = 0; i < 12; i++) block[4 + i] = packed[at + 32 + 8 * i + lane];
  }
  if (dtype === "q6_k") for (let i = 0; i < 16; i++) block[192 + i] = packed[at + 16 + 8 * i + lane];
  for (let column = 0; column < DTYPES[dtype].blockSize; column++) {
    const [part, k] = [Math.floor(column / 32), column % 32];
    const nibbles = at + START[dtype] + part * STEP[dtype];
    const byte = packed[nibbles + 32 * (k >> 3) + 4 * lane + (k & 3)];
    const nibble = ((k >> 2) & 1) === 0 ? byte & 15 : byte >> 4;
    if (dtype === "q4_0") block[2 + (k & 15)] |= nibble << (k < 16 ? 0 : 4);
    if (dtype === "q4_k") block[16 + 32 * (part >> 1) + k] |= nibble << (4 * (part & 1));
    if (dtype === "q5_k") {
      block[48 + 32 * (part >> 1) + k] |= nibble << (4 * (part & 1));
      const fifth = (packed[nibbles + 128 + 4 * lane + (k & 3)] >> (k >> 2)) & 1;
      block[16 + k] |= fifth << part;
    }
    if (dtype === "q6_k") {
      // Of 128 columns: 32 with low nibbles in each half of 64 bytes, then 32 with high ones in each.
      const quarter = part & 3;
      block[64 * (part >> 2) + 32 * (quarter & 1) + k] |= nibble << (4 * (quarter >> 1));
      const upper = packed[nibbles + 128 + 32 * (k >> 4) + 4 * lane + (k & 3)];
      block[128 + 32 * (part >> 2) + k] |= ((upper >> (2 * ((k & 15) >> 2))) & 3) << (2 * quarter);
    }
  }
  return block;
}

/** The file's bytes, of matrices one behind the other, read from their layout by eights. */
function fileBytes(dtype: Kind, packed: Uint8Array, matrices: number, rows: number, columns: number): Uint8Array {
  const stride = rowBytes(dtype, columns);
  const bytes = new Uint8Array(packed.length);
  for (let matrix = 0; matrix < matrices; matrix++) {
    const start = matrix * rows * stride;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column += DTYPES[dtype].blockSize) {
        const at = start + blockAt(dtype, rows, columns, row, column);
        bytes.set(fileBlock(dtype, packed, at, row % 8), start + row * stride + rowBytes(dtype, column));
      }
    }
  }
  return bytes;
}

function alloc(ops: Backend, dtype: Kind, rows: number, cols: number, bytes: Uint8Array, experts?: number): Weight {
  const slot = ops.allocWeight({ name: `${dtype} [${rows}, ${cols}]`, dtype, rows, cols, experts });
  slot.write(0, bytes);
  return slot.weight;
}

/** Bit by bit; what differs, else "". `toEqual` would take seconds. */
function differences(found: Float32Array, expected: Float32Array): string {
  if (found.length !== expected.length) return `${found.length} numbers for ${expected.length}`;
  const at = found.findIndex((value, i) => !Object.is(value, expected[i]));
  return at < 0 ? "" : `${found[at]} for ${expected[at]} at ${at}`;
}

async function withBackend(body: (ops: Backend) => Promise<void>): Promise<void> {
  const ops = await createWasmBackend({ threads: 2, parallelNs: 0, maxMemoryBytes: 2 ** 26 });
  try {
    await body(ops);
  } finally {
    await ops.dispose();
  }
}

describe.skipIf(!relaxedSimd).each(BY_EIGHTS)("%s in bundles", (dtype) => {
  test.each([
    [1, 8],
    [1, 24],
    [1, 48],
    [1, 64],
    [3, 8],
    [5, 32],
  ])("%i matrices of %i rows lie as kernels/quantise/eights.ts says", (matrices, rows) => {
    const memory = new KernelMemory(4);
    const { packEights } = linearKernels("relaxed", memory.memory);
    for (const columns of columnsOf(dtype)) {
      if (matrices > 1 && columns > 4128) continue;
      const weights = randomWeights(dtype, matrices * rows, columns, rows + columns);
      memory.clear();
      const args = memory.take(128);
      const scratch = memory.take(3 * SCRATCH_BYTES);
      const at = memory.take(weights.length);
      memory.bytes.set(weights, at);
      memory.words(args, 6).set([at, rows, columns, scratch, DTYPES[dtype].ggml, matrices]);
      for (let thread = 0; thread < 3; thread++) packEights(args, thread, 3);
      const packed = memory.bytes.slice(at, at + weights.length);
      expect(Buffer.compare(packed, weights)).not.toBe(0);
      expect(Buffer.compare(fileBytes(dtype, packed, matrices, rows, columns), weights), `${columns} columns`).toBe(0);
    }
  });

  test.each(columnsOf(dtype))("%i columns: a backend multiplies and embeds as without", async (columns) => {
    await withBackend(async (ops) => {
      const most = 48;
      const bytes = randomWeights(dtype, most + 1, columns, columns);
      const of = (rows: number) => alloc(ops, dtype, rows, columns, bytes.subarray(0, rows * rowBytes(dtype, columns)));
      const plain = of(most + 1);
      const laid = [8, 24, 32, 48].map(of);
      ops.weightsLoaded();
      for (const tokens of [1, 3, 8, 19]) {
        ops.beginStep();
        const values = Float32Array.from({ length: tokens * columns }, uniform(tokens));
        const x = tensorOf(ops, tokens, columns, values);
        const expected = (await ops.read(ops.linear(x, plain))).slice();
        const largest = expected.reduce((size, value) => Math.max(size, Math.abs(value)), 0);
        for (const weight of laid) {
          const found = await ops.read(ops.linear(x, weight));
          const without = found.map((_, i) => expected[Math.floor(i / weight.rows) * plain.rows + (i % weight.rows)]);
          // Many tokens meet the same numbers in the same order; few meet them in another.
          if (tokens >= 8) expect(differences(found, without)).toBe("");
          const worst = found.reduce((size, value, i) => Math.max(size, Math.abs(value - without[i])), 0);
          expect(worst).toBeLessThan(2e-6 * largest);
        }
      }
      ops.beginStep();
      for (const weight of laid) {
        const ids = Int32Array.from({ length: weight.rows }, (_, i) => (i * 5) % weight.rows);
        const rowsOf = async (table: Weight) => (await ops.read(ops.embed(table, ops.input(ids)))).slice();
        expect(differences(await rowsOf(weight), await rowsOf(plain))).toBe("");
      }
    });
  });

  test.each([
    [3, 24],
    [5, 32],
    // Eight rows would be of two experts: they stay as they are.
    [4, 12],
  ])("%i experts of %i rows compute what each computes alone", async (count, rows) => {
    const columns = 2048 + DTYPES[dtype].blockSize;
    await withBackend(async (ops) => {
      const used = 2;
      const bytes = randomWeights(dtype, count * rows, columns, rows);
      const size = rows * rowBytes(dtype, columns);
      const matrix = alloc(ops, dtype, count * rows, columns, bytes, count);
      const alone = Array.from({ length: count }, (_, expert) =>
        alloc(ops, dtype, rows, columns, bytes.subarray(expert * size, (expert + 1) * size)),
      );
      ops.weightsLoaded();
      for (const tokens of [1, 5, 21]) {
        ops.beginStep();
        const logits = Float32Array.from({ length: tokens * count }, uniform(tokens + rows));
        const routing = ops.route(tensorOf(ops, tokens, count, logits), used, "chosen");
        const x = tensorOf(ops, tokens, columns, Float32Array.from({ length: tokens * columns }, uniform(tokens)));
        const found = (await ops.read(ops.expertLinear(x, { count, matrix, bias: undefined }, routing))).slice();
        const each: Float32Array[] = [];
        for (const weight of alone) each.push((await ops.read(ops.linear(x, weight))).slice());
        for (let t = 0; t < tokens; t++) {
          const own = logits.subarray(t * count, (t + 1) * count);
          const chosen = [...own.keys()].sort((a, b) => own[b] - own[a]).slice(0, used);
          for (const [j, expert] of chosen.entries()) {
            const at = (t * used + j) * rows;
            const one = each[expert].subarray(t * rows, (t + 1) * rows);
            expect(differences(found.subarray(at, at + rows), one)).toBe("");
          }
        }
      }
    });
  });
});
