/**
 * The options `read` and `dense`: keep as the policy says, but where the model writes read only the pages that promise most, up to a
 * budget of tokens (Quest, 2406.10774). The first layers, whose attention is spread over the whole text, and prompts read
 * everything.
 */
import { PAGE_TOKENS } from "../../tensor/kv.js";
import { counted } from "../../util/figures.js";
import type { HeadSet, HeadSets, Retention } from "../head-sets.js";
import { LEAST_CHOICE, type PageReading, pagesRead } from "../page-reading.js";
import type { ContextPolicy } from "../policy.js";
import type { PolicyOptions } from "../policy-options.js";
import { wrongValue } from "../policy-values.js";
import type { MessagesOfText } from "../text-messages.js";

/** What says how much some heads keep. */
type Bounded = Pick<Retention, "budget" | "sinks">;

/** Layers from the first that read everything, as in the paper. */
const DENSE_LAYERS = 2;

/**
 * The policy with its options `read` and `dense`: the head sets that keep more than is to be read read that much of it.
 * `bounded`: what heads keep that do not keep everything, where that is not the policy's own.
 * @throws ArgumentError for a policy that keeps no more, or whose sinks leave nothing to choose
 */
export function withReading(
  policy: ContextPolicy,
  { read, dense }: PolicyOptions,
  bounded: Bounded = policy,
): ContextPolicy {
  if (!read) {
    if (dense === undefined) return policy;
    throw wrongValue("dense", "dense= says which layers read everything beside read=quest:N, which is not there.");
  }
  const { budget } = policy;
  if (budget !== undefined && read.tokens >= budget) {
    throw wrongValue("read", `read=quest:${read.tokens} must be less than what is kept, ${counted(budget, "token")}.`);
  }
  requireChoice(read, bounded);
  const layers = dense ?? DENSE_LAYERS;
  const items = [policy.text, `read=quest:${read.tokens}`];
  if (layers !== DENSE_LAYERS) items.push(`dense=${layers}`);
  const { byMessages } = policy;
  return {
    ...policy,
    text: items.join(","),
    summary: `${policy.summary}, and reads ${counted(read.tokens, "token")} of them for each that it writes`,
    reading: read,
    dense: layers,
    ...choosing(policy, read, layers),
    ...(byMessages && { byMessages: (text: MessagesOfText) => choosing(byMessages(text), read, layers) }),
  };
}

/** @throws ArgumentError where heads keep more than is to be read, and their sinks leave nothing to choose of it */
function requireChoice(read: PageReading, { budget, sinks }: Bounded): void {
  if (budget === undefined || budget <= read.tokens) return;
  if (pagesRead(read) - Math.ceil(sinks / PAGE_TOKENS) >= LEAST_CHOICE) return;
  throw wrongValue(
    "read",
    `Of read=quest:${read.tokens} the sinks, which are always read, leave less than ${LEAST_CHOICE} pages of ${PAGE_TOKENS} tokens ` +
      "to choose; give it more or keep fewer sinks.",
  );
}

/** Head sets that from layer `dense` on read pages of their choice where they keep more. */
function choosing(sets: HeadSets, read: PageReading, dense: number): HeadSets {
  const chooses = ({ budget = Number.POSITIVE_INFINITY }: Retention) => budget > read.tokens;
  const withRead = (set: HeadSet): HeadSet => (chooses(set.retention) ? { ...set, read } : set);
  return {
    headSets(layer, kvHeads) {
      const own = sets.headSets(layer, kvHeads);
      return layer < dense ? own : own.map(withRead);
    },
  };
}
