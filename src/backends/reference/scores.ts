/** What a call of attention does to a score before the softmax. */
import type { AttentionCall } from "../../tensor/backend.js";
import { elements, own, ReferenceInput } from "./tensors.js";

type Adjustments = Pick<AttentionCall, "softcap" | "bias">;

/** A score with the soft cap and the bias of its distance; `entry` is the place of row and range among the pairs. */
export function adjusted({ softcap, bias }: Adjustments, score: number, entry: number, slot: number, head: number) {
  const capped = softcap === undefined ? score : softcap * Math.tanh(score / softcap);
  if (!bias) return capped;
  const distance = own(ReferenceInput, bias.places).values[entry] - slot;
  if (bias.kind === "linear") return capped - own(ReferenceInput, bias.slopes).values[head] * distance;
  const buckets = own(ReferenceInput, bias.buckets).values;
  const reach = (buckets.length - 1) / 2;
  const bucket = buckets[reach + Math.min(Math.max(distance, -reach), reach)];
  return capped + elements(bias.table)[bucket * bias.table.cols + head];
}
