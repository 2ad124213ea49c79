/** What a weight's type keeps of numbers. */
import { dequantiseRow, quantiseRow } from "../../src/quant/index.js";
import { type DType, rowBytes } from "../../src/tensor/dtype.js";

/** One row as `dtype` stores it. */
export function stored(dtype: DType, row: Float32Array): Float32Array {
  const bytes = new Uint8Array(rowBytes(dtype, row.length));
  quantiseRow(dtype, row, bytes, 0, row.length);
  const out = new Float32Array(row.length);
  dequantiseRow(dtype, bytes, 0, row.length, out);
  return out;
}
