/**
 * The rows of a step by sequence, and states that are asked one sequence after the other: those of training and of encoders.
 * The sequences of inference are one Step.
 */
import type { Backend } from "../tensor/backend.js";
import type { Tensor } from "../tensor/tensor.js";
import type { LayerStates, Segment, StepStates } from "./mixer-state.js";

/** The rows of x that belong to a segment. */
export function segmentRows(ops: Backend, x: Tensor, { start, count }: Pick<Segment, "start" | "count">): Tensor {
  return count === x.rows ? x : ops.rows(x, start, count);
}

/** States that are asked one segment after the other. */
export function segmentStates(segments: readonly (Segment & { readonly state: LayerStates })[]): StepStates {
  return {
    attention: (layer) => ({
      attend(ops, { q, k, v, out, ...learned }) {
        for (const segment of segments) {
          const [qs, ks, vs, outs] = [q, k, v, out].map((rows) => segmentRows(ops, rows, segment));
          segment.state.attention(layer).attend(ops, { q: qs, k: ks, v: vs, out: outs, ...learned });
        }
      },
    }),
    cross: (layer) => ({
      attend(ops, { q, out, table }) {
        for (const segment of segments) {
          const [qs, outs] = [q, out].map((rows) => segmentRows(ops, rows, segment));
          segment.state.cross(layer).attend(ops, { q: qs, out: outs, table });
        }
      },
    }),
  };
}
