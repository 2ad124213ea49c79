/** Sums in double precision on their way into f32 numbers: each is rounded once for a call, whatever it is made of. */
import type { Tensor } from "../../../tensor/tensor.js";
import { ReferenceTensor, tensor } from "../tensors.js";

/** into += sums; nothing where no gradient is wanted. */
export function addTo(into: Tensor | undefined, sums: Float64Array): void {
  if (!into) return;
  const { data } = tensor(into);
  for (let i = 0; i < data.length; i++) data[i] += sums[i];
}

export function rounded(rows: number, cols: number, sums: Float64Array): ReferenceTensor {
  return new ReferenceTensor(rows, cols, Float32Array.from(sums));
}
