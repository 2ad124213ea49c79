/** The rows of one step: flat over all sequences, without padding. */
import type { Segment, StepStates } from "../context/mixer-state.js";
import type { Backend } from "../tensor/backend.js";
import type { StepInput, Tensor } from "../tensor/tensor.js";

export interface Batch {
  /** i32 [T] */
  readonly ids: StepInput;
  readonly rows: number;
  readonly segments: readonly Segment[];
  /** Of all segments. */
  readonly states: StepStates;
  /** Rows whose logits are wanted, i32; undefined = all. */
  readonly outputs?: StepInput | undefined;
}

/** The results of all segments, one after the other: for operations that work on one sequence. */
export function mapSegments(ops: Backend, { segments }: Batch, body: (segment: Segment) => Tensor): Tensor {
  return segments.length === 1 ? body(segments[0]) : ops.concat(segments.map(body));
}
