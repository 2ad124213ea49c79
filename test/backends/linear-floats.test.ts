/** Products with weights of floats by the wide module: the same bits as by the kernels' own loop, for every shape. */
import { describe, expect, test } from "vitest";
import { FLOATS_WIDE, SCRATCH_BYTES, SIXTEEN_BITS, STREAMED } from "../../kernels/abi.js";
import { floatForm } from "../../src/backends/wasm/byte-form.js";
import { WIDE } from "../../src/backends/wasm/generated/kernels.js";
import { multipliesFloatsRight } from "../../src/backends/wasm/wide.js";
import { DTYPES } from "../../src/tensor/dtype.js";
import { relaxedSimd } from "../support/test-platform.js";
import { inTurns, KernelMemory, linearKernels, type Problem, problem } from "./linear-kernels.js";

const memory = new KernelMemory(16);

/** Products [T, rows + 5], NaN where nothing is to be written; threads take turns. */
function multiply(form: number, p: Problem, threads: number, bias?: Float32Array): Float32Array {
  const { dtype, tokens, columns, rows } = p;
  memory.clear();
  const { linear } = linearKernels("relaxed", memory.memory);
  const [xStride, outStride] = [columns + 3, rows + 5];
  const args = memory.take(128);
  const x = memory.take(tokens * xStride * 4);
  const weights = memory.take(p.weights.length, 2);
  const out = memory.take(tokens * outStride * 4);
  const biasAt = memory.take(rows * 4);
  const scratch = memory.take(threads * SCRATCH_BYTES);
  for (let t = 0; t < tokens; t++) {
    memory.floats(x + t * xStride * 4, columns).set(p.x.subarray(t * columns, (t + 1) * columns));
  }
  memory.bytes.set(p.weights, weights);
  if (bias) memory.floats(biasAt, rows).set(bias);
  const result = memory.floats(out, tokens * outStride).fill(Number.NaN);
  memory
    .words(args, 14)
    .set([DTYPES[dtype].ggml, tokens, columns, rows, x, xStride, 0, weights, bias ? biasAt : 0, 0, out]);
  memory.words(args + 44, 3).set([outStride, scratch, form]);
  inTurns(linear, memory, args, scratch, threads);
  return result.slice();
}

describe.runIf(relaxedSimd)("products of floats by the wide module", () => {
  test.each([
    // Tokens, columns, rows: parts of groups of four, of tiles of 96, of panels of 16, of chunks of 256 columns.
    [8, 256, 16],
    [9, 20, 17],
    [11, 259, 15],
    [97, 33, 40],
    [130, 515, 3],
  ])("%i tokens, %i columns, %i rows", (tokens, columns, rows) => {
    for (const dtype of ["f32", "f16", "bf16"] as const) {
      const p = problem(dtype, tokens, columns, rows);
      const bias = Float32Array.from({ length: rows }, (_, row) => row / 7);
      const own = multiply(SIXTEEN_BITS, p, 1, bias);
      expect(own.some((value) => value !== 0 && !Number.isNaN(value))).toBe(true);
      expect(Buffer.compare(Buffer.from(multiply(FLOATS_WIDE, p, 1, bias).buffer), Buffer.from(own.buffer))).toBe(0);
      expect(Buffer.compare(Buffer.from(multiply(FLOATS_WIDE, p, 3, bias).buffer), Buffer.from(own.buffer))).toBe(0);
    }
  });

  test("the module is tried before it is used: right as it is built (byte-form.test.ts breaks it)", () => {
    const bytes = Buffer.from(WIDE, "base64");
    expect(multipliesFloatsRight(new WebAssembly.Module(bytes))).toBe(true);
  });

  test("for many tokens, where the module is there", () => {
    expect(floatForm(true, "many")).toBe(FLOATS_WIDE);
    expect(floatForm(true, "few")).toBe(STREAMED);
    expect(floatForm(false, "many")).toBe(SIXTEEN_BITS);
  });
});
