/** Options of a policy that change nothing with a model and a limit: that is said, with what would change something. */
import { PAGE_TOKENS } from "../../tensor/kv.js";
import { counted, formatCount } from "../../util/figures.js";
import type { ModelInfo } from "../api.js";
import type { SessionSettings } from "./session-settings.js";

/** Of a policy that is admitted with this model (`checkReading`). */
export function idleNotes(
  settings: SessionSettings,
  model: Pick<ModelInfo, "lastAttentionLayer" | "trainedContext">,
): string[] {
  return [...denseNotes(settings, model), ...budgetNotes(settings, model), ...patternNotes(settings, model)];
}

/** Every layer with attention is one of those that read everything. */
function denseNotes(
  { policy: { text, reading, dense = 0 } }: SessionSettings,
  { lastAttentionLayer: last }: Pick<ModelInfo, "lastAttentionLayer">,
): string[] {
  if (!reading || dense <= last) return [];
  const advice = last === 0 ? "dense=0" : `dense=${last} at most`;
  return [
    `${text}: read=quest:${reading.tokens} changes nothing, for the first ${counted(dense, "layer")} read everything and layer ${formatCount(last + 1)} is ` +
      `the last with attention. Give ${advice}.`,
  ];
}

/** Where heads keep everything, a text that ends before there is anything to choose. */
function budgetNotes(
  { policy, contextLength }: SessionSettings,
  { trainedContext }: Pick<ModelInfo, "trainedContext">,
) {
  const { text, reading, budget } = policy;
  const limit = contextLength ?? trainedContext;
  if (!reading || budget !== undefined || reading.tokens < limit) return [];
  return [
    `${text}: read=quest:${reading.tokens} changes nothing, for a text ends at ${counted(limit, "token")} here. Give it fewer, or leave it out.`,
  ];
}

/** A text that ends before the pattern leaves anything out. */
function patternNotes(
  { policy, contextLength }: SessionSettings,
  { trainedContext }: Pick<ModelInfo, "trainedContext">,
) {
  const { text, pattern } = policy;
  const limit = contextLength ?? trainedContext;
  if (!pattern || pattern.block * pattern.blocks < limit) return [];
  const block = Math.floor((limit - 1) / pattern.blocks / PAGE_TOKENS) * PAGE_TOKENS;
  const advice = block > 0 ? `Give it blocks of ${block} at most` : "Use full";
  return [
    `${text} leaves nothing out, as full: its pattern has ${pattern.blocks} blocks, ${counted(pattern.block * pattern.blocks, "token")}, and a text ends at ` +
      `${counted(limit, "token")} here. ${advice}.`,
  ];
}
