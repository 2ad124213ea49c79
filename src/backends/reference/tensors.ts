/** Tensors of the reference backend: plain arrays. */

import type { DType } from "../../tensor/dtype.js";
import type { StepInput, Tensor, Weight } from "../../tensor/tensor.js";
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
