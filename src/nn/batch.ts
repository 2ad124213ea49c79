/** The rows of one step: flat over all sequences, without padding. */
import type { SequenceState } from "../context/mixer-state.js";
import type { StepInput } from "../tensor/tensor.js";

/** Rows [start, start + count) belong to one sequence. */
export interface Segment {
  readonly start: number;
  readonly count: number;
  readonly state: SequenceState;
}

export interface Batch {
  /** i32 [T] */
  readonly ids: StepInput;
  readonly rows: number;
  readonly segments: readonly Segment[];
  /** Rows whose logits are wanted, i32; undefined = all. */
  readonly outputs?: StepInput;
}
