/** Tensors of the reference backend: plain arrays. */

import { dequantiseRow } from "../../quant/index.js";
import { type DType, rowBytes } from "../../tensor/dtype.js";
import type { KeptTensor, StepInput, Tensor, Weight } from "../../tensor/tensor.js";
import { InternalError } from "../../util/errors.js";

export class ReferenceTensor implements Tensor {
  constructor(
    readonly rows: number,
    readonly cols: number,
    readonly data: Float32Array,
  ) {}

  row(index: number): Float32Array {
    return this.data.subarray(index * this.cols, (index + 1) * this.cols);
  }
}

export class ReferenceKept extends ReferenceTensor implements KeptTensor {
  async read(): Promise<Float32Array> {
    return this.data.slice();
  }
  write(values: Float32Array): void {
    this.data.set(values);
  }
  copy(other: KeptTensor): void {
    this.data.set(own(ReferenceKept, other).data);
  }
  dispose(): void {}
}

export class ReferenceWeight implements Weight {
  constructor(
    readonly name: string,
    readonly dtype: DType,
    readonly rows: number,
    readonly cols: number,
    readonly bytes: Uint8Array,
  ) {}
}

export class ReferenceInput implements StepInput {
  constructor(readonly values: Int32Array | Float32Array) {}
  get length(): number {
    return this.values.length;
  }
}

/** Narrows a handle to this backend's class; a handle of another backend is a bug of the caller. */
export function own<C>(kind: new (...args: never[]) => C, handle: object): C {
  if (handle instanceof kind) return handle;
  throw new InternalError(`A handle of another backend (${handle.constructor.name}) reached the reference backend.`);
}

export function tensor(handle: Tensor): ReferenceTensor {
  return own(ReferenceTensor, handle);
}

/** All numbers of a weight, row by row. */
export function elements(weight: Weight): Float32Array {
  const { dtype, rows, cols, bytes } = own(ReferenceWeight, weight);
  const out = new Float32Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    dequantiseRow(dtype, bytes, row * rowBytes(dtype, cols), cols, out.subarray(row * cols));
  }
  return out;
}
