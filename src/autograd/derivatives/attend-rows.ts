/**
 * Attention over rows. Of the forward pass only the results and the logarithms of the denominators are kept; the scores are
 * computed anew, tile by tile (FlashAttention 2205.14135).
 */
import type { Tensor } from "../../tensor/tensor.js";
import type { AttentionTrainingCall } from "../../tensor/training.js";
import type { Tape } from "../tape.js";

/** Writes the columns of the call's heads of out [T, H*Dv]; `heads` is H. */
export function attendRows(tape: Tape, call: AttentionTrainingCall, heads: number, out: Tensor): void {
  const { ops, training } = tape;
  const { q, k, v, sinks, bias } = call;
  const logSums = ops.empty(q.rows, heads);
  training.attendRows(call, out, logSums);
  const tableGradient = bias?.kind === "table" ? tape.parameter(bias.table) : undefined;
  tape.record(out, (dOut) => {
    const [dq, dk, dv] = [q, k, v].map((x) => tape.buffer(x));
    training.attendRowsBack({
      ...call,
      out,
      logSums,
      dOut,
      dq,
      dk,
      dv,
      sinksGradient: tape.parameter(sinks),
      tableGradient,
    });
  });
}
