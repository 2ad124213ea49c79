/** The selective scan over the rows of each sequence of a batch, on its own state. */
import type { CarriedStates, RecurrentTensor } from "../context/mixer-state.js";
import { segmentRows } from "../context/segments.js";
import type { Backend, ScanCall } from "../tensor/backend.js";
import type { Tensor } from "../tensor/tensor.js";
import { type Batch, mapSegments } from "./batch.js";

/** -> [T, channels] */
export function scanSegments(
  ops: Backend,
  rows: Pick<ScanCall, "x" | "dt" | "b" | "c">,
  weights: Pick<ScanCall, "a" | "skip">,
  batch: Batch,
  stateOf: (states: CarriedStates) => RecurrentTensor,
): Tensor {
  return mapSegments(ops, batch, (segment) => {
    const part = (tensor: Tensor) => segmentRows(ops, tensor, segment);
    const { before, after } = stateOf(segment.state);
    const { x, dt, b, c } = rows;
    return ops.scan({ ...weights, x: part(x), dt: part(dt), b: part(b), c: part(c), before, after });
  });
}
