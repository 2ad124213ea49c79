/** The rows of one step: flat over all sequences, without padding. */
import type { LayerStates } from "../context/mixer-state.js";
import type { Backend } from "../tensor/backend.js";
import type { StepInput, Tensor } from "../tensor/tensor.js";

/** Rows [start, start + count) belong to one sequence. */
export interface Segment {
  readonly start: number;
  readonly count: number;
  readonly state: LayerStates;
}

export interface Batch {
  /** i32 [T] */
  readonly ids: StepInput;
  readonly rows: number;
  readonly segments: readonly Segment[];
  /** Rows whose logits are wanted, i32; undefined = all. */
  readonly outputs?: StepInput;
}

/** The rows of x that belong to a segment. */
export function segmentRows(ops: Backend, x: Tensor, { start, count }: Segment): Tensor {
  return count === x.rows ? x : ops.rows(x, start, count);
}

/** The results of all segments, one after the other: for operations that work on one sequence. */
export function mapSegments(ops: Backend, { segments }: Batch, body: (segment: Segment) => Tensor): Tensor {
  return segments.length === 1 ? body(segments[0]) : ops.concat(segments.map(body));
}
