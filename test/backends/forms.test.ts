/**
 * Every form that this machine can be forced into (SLUICE_FORM): products near the exact ones whatever the numbers of rows,
 * columns and tokens are, 8 bits the same in all their forms, 256 bits the same as 128. And what is refused.
 */
import { isMainThread } from "node:worker_threads";
import { afterEach, describe, expect, test } from "vitest";
import { BYTES_FOUR, BYTES_WIDE } from "../../kernels/abi.js";
import { NO_WIDE } from "../../src/backends/wasm/byte-form.js";
import { forceBits, forceProducts, parseForm } from "../../src/backends/wasm/forced-form.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import { dequantiseRow, quantiseRow } from "../../src/quant/index.js";
import { DTYPES, type DType, rowBytes } from "../../src/tensor/dtype.js";
import { ArgumentError, UnsupportedError } from "../../src/util/errors.js";
import { setPlatform } from "../../src/util/platform.js";
import { ALL_FORMS, possibleForms } from "../support/possible-forms.js";
import { mustBeWide, relaxedSimd, testPlatform } from "../support/test-platform.js";
import { tensorOf, weightOf } from "./devices.js";
import { uniform } from "./linear-kernels.js";

setPlatform(testPlatform);
afterEach(() => setPlatform(testPlatform));

const forms = await possibleForms();
const FORMATS = (Object.keys(DTYPES) as DType[]).filter((dtype) => DTYPES[dtype].blockSize > 1);
/** One, few, the first of many, not whole groups of four or eight. */
const TOKENS = [1, 7, 8, 13, 33];
/** Not whole panels of 16, but eights, by which some weights are laid out; no eights. */
const ROWS = [40, 21];
/** Root mean square error, relative to that of the products: of activations of 16 bits, and of 8. */
const SIXTEEN_ERROR = 1e-4;
const BYTES_ERROR = 1e-2;

const uniform32 = (rows: number) => Float32Array.from({ length: rows * 32 }, uniform(rows));

interface Products {
  readonly few: string;
  readonly many: string;
  readonly bits: number;
  /** By number of tokens. */
  readonly found: readonly (readonly number[])[];
}

const columnsOf = (dtype: DType) => 3 * Math.max(64, DTYPES[dtype].blockSize);
const inputOf = (dtype: DType, tokens: number) =>
  Float32Array.from({ length: tokens * columnsOf(dtype) }, uniform(tokens));

function valuesOf(dtype: DType, rows: number): Float32Array {
  return Float32Array.from({ length: rows * columnsOf(dtype) }, uniform(rows));
}

async function productsIn(form: string, dtype: DType, rows: number): Promise<Products> {
  setPlatform({ ...testPlatform, forcedForm: form });
  const backend = await createWasmBackend({ threads: 2, parallelNs: 0, maxMemoryBytes: 2 ** 26 });
  try {
    const columns = columnsOf(dtype);
    const weight = weightOf(backend, dtype, rows, columns, valuesOf(dtype, rows));
    backend.weightsLoaded();
    const found: number[][] = [];
    for (const tokens of TOKENS) {
      backend.beginStep();
      const x = tensorOf(backend, tokens, columns, inputOf(dtype, tokens));
      found.push([...(await backend.read(backend.linear(x, weight)))]);
    }
    return { ...backend.formsOf(weight), found };
  } finally {
    await backend.dispose();
  }
}

/** In double precision, with the weights as they are stored. */
function exactly(dtype: DType, rows: number): readonly (readonly number[])[] {
  const columns = columnsOf(dtype);
  const values = valuesOf(dtype, rows);
  const stored = new Uint8Array(rowBytes(dtype, columns));
  const weights = Array.from({ length: rows }, (_, row) => {
    const out = new Float32Array(columns);
    quantiseRow(dtype, values.subarray(row * columns, (row + 1) * columns), stored, 0, columns);
    dequantiseRow(dtype, stored, 0, columns, out);
    return out;
  });
  return TOKENS.map((tokens) => {
    const x = inputOf(dtype, tokens);
    return Array.from({ length: tokens * rows }, (_, i) => {
      const [token, weight] = [Math.floor(i / rows), weights[i % rows]];
      return weight.reduce((sum, w, k) => sum + w * x[token * columns + k], 0);
    });
  });
}

function relativeError(found: readonly number[], exact: readonly number[]): number {
  const squares = exact.reduce((sum, value) => sum + value * value, 0);
  return Math.sqrt(found.reduce((sum, value, i) => sum + (value - exact[i]) ** 2, 0) / squares);
}

test("this machine can be forced into 16 bits, with relaxed SIMD into nibbles too", () => {
  expect(forms).toContain("sixteen,128");
  expect(forms.includes("nibbles,128")).toBe(relaxedSimd);
  // With 256 bits each form has them.
  const wide = forms.filter((form) => form.endsWith("256"));
  expect([0, forms.length / 2]).toContain(wide.length);
});

test("256 bits are among the forms wherever the engine has them, and tests run where they can be made", () => {
  // Worker threads make none: with vitest's pool of threads every test would run in 128 bits.
  expect(isMainThread).toBe(true);
  expect(forms.filter((form) => form.endsWith("256")).length > 0).toBe(mustBeWide);
});

describe.each(FORMATS)("products with %s", (dtype) => {
  test.each(ROWS)("%i rows", async (rows) => {
    const exact = exactly(dtype, rows);
    const all = new Map<string, Products>();
    for (const form of forms) all.set(form, await productsIn(form, dtype, rows));
    for (const [form, { many, bits, found }] of all) {
      expect(bits).toBe(form.endsWith("256") ? 256 : 128);
      const isSixteen = many.startsWith("sixteen");
      if (form.startsWith("sixteen")) expect(isSixteen).toBe(true);
      found.forEach((products, i) => {
        const limit = isSixteen || TOKENS[i] < 8 ? SIXTEEN_ERROR : BYTES_ERROR;
        expect(relativeError(products, exact[i]), `${form}, ${TOKENS[i]} tokens`).toBeLessThan(limit);
      });
    }
    const eightBits = [...all.values()].filter(({ many }) => !many.startsWith("sixteen"));
    TOKENS.forEach((tokens, i) => {
      if (tokens < 8) return;
      for (const { many, found } of eightBits) expect(found[i], `${many}, ${tokens}`).toEqual(eightBits[0].found[i]);
    });
    for (const form of forms.filter((one) => one.endsWith("256"))) {
      expect(all.get(form)?.found, form).toEqual(all.get(form.replace("256", "128"))?.found);
    }
  });
});

describe("SLUICE_FORM", () => {
  test.each([
    ["", {}],
    ["nibbles", { products: "nibbles" }],
    ["256", { bits: "256" }],
    ["128, bytes", { products: "bytes", bits: "128" }],
    ["sixteen,256", { products: "sixteen", bits: "256" }],
  ])("'%s' is understood", (text, form) => {
    expect(parseForm(text)).toEqual({ products: undefined, bits: undefined, ...form });
  });

  test.each(["wide", "nibbles,", "nibbles,bytes", "128,256", "nibbles,nibbles", "Sixteen", "512", " "])(
    "'%s' is an error that names the words",
    async (text) => {
      setPlatform({ ...testPlatform, forcedForm: text });
      const error = await createWasmBackend({ threads: 1 }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ArgumentError);
      expect(String(error)).toContain("sixteen, nibbles, bytes, or one of 128, 256");
      expect(String(error)).toContain(`found '${text}'`);
    },
  );

  test("what was not refused in time is refused by the backend, with words", async () => {
    for (const form of ALL_FORMS.filter((one) => !forms.includes(one))) {
      setPlatform({ ...testPlatform, forcedForm: form });
      const error = await createWasmBackend({ threads: 1 }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(UnsupportedError);
      expect(String(error)).toMatch(/SLUICE_FORM forces .*(256-bit vectors|not exact here)/);
    }
  });

  test("a backend whose options exclude relaxed SIMD has 16 bits in vectors of 128, whatever is forced", async () => {
    for (const form of ["nibbles", "bytes", "nibbles,256", "sixteen", "256"]) {
      setPlatform({ ...testPlatform, forcedForm: form });
      const backend = await createWasmBackend({ threads: 1, relaxed: false });
      const weight = weightOf(backend, "q4_0", 8, 32, uniform32(8));
      expect(backend.formsOf(weight), form).toEqual({ few: "rows", many: "sixteen", bits: 128 });
      await backend.dispose();
    }
  });

  test("bytes: weights as large as the engine multiplies exactly, or none", () => {
    const own = { form: 1, largest: 63, sixteen: 0 };
    const engine = (at127: number, at255: number, wide = NO_WIDE, relaxed = true) => ({
      probe: (weight: number) => 100 + (weight === 127 ? at127 : at255),
      wide,
      hasWide: wide !== NO_WIDE,
      relaxed,
    });
    const bytes = parseForm("bytes");
    expect(forceProducts({}, own, engine(0, 0))).toBe(own);
    expect(forceProducts(bytes, own, engine(508 * 127, 508 * 255)).largest).toBe(255);
    expect(forceProducts(bytes, own, engine(508 * 127, 4 * 32767)).largest).toBe(127);
    const wide = { ...NO_WIDE };
    expect(forceProducts(bytes, own, engine(508 * 127, 4 * 32767))).toMatchObject({ form: BYTES_FOUR });
    expect(forceProducts(bytes, own, engine(508 * 127, 4 * 32767, wide))).toMatchObject({ form: BYTES_WIDE });
    expect(() => forceProducts(bytes, own, engine(508 * 128, 508 * 255))).toThrow(UnsupportedError);
    for (const words of ["bytes", "nibbles"]) {
      expect(() => forceProducts(parseForm(words), own, engine(508 * 127, 508 * 255, NO_WIDE, false))).toThrow(
        /no relaxed SIMD/,
      );
    }
  });

  test("bits: what a backend's options exclude stays out, what the process lacks is refused with the reason", () => {
    const module = new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    const asked: unknown[] = [];
    const has = (wish?: boolean) => {
      asked.push(wish);
      return module;
    };
    expect(forceBits({}, true, has)).toBe(module);
    expect(forceBits({ bits: "256" }, true, has)).toBe(module);
    expect(forceBits({ bits: "256" }, false, has)).toBeUndefined();
    expect(forceBits({ bits: "128" }, true, has)).toBeUndefined();
    expect(asked).toEqual([undefined, true]);
    const refusal = { reason: "late", message: "Too late." } as const;
    setPlatform({ ...testPlatform, whyNotWide: () => refusal });
    expect(() => forceBits({ bits: "256" }, true, () => undefined)).toThrow(/not to be had here\. Too late\./);
  });
});
