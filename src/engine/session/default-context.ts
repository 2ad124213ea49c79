/**
 * The default context, `auto`, with a model: its limit is the session's, and what happens there depends on whether the
 * model's positions may be counted in the cache. A prompt that does not fit by itself is refused before anything is read.
 */
import { endingAuto } from "../../context/policies/auto.js";
import { parsePolicy } from "../../context/policy-text.js";
import { ArgumentError, ContextFullError } from "../../util/errors.js";
import { counted, formatCount } from "../../util/figures.js";
import type { ModelInfo, Usage } from "../api.js";
import type { SessionSettings } from "./session-settings.js";

/** The policy's text without its options; its limit, where it has one. */
const AUTO = /^auto(?::(\d+))?/;

/** What of a model decides. */
export type ContextTraits = Pick<
  ModelInfo,
  "layers" | "attentionLayers" | "positions" | "fixedPositions" | "trainedContext"
>;

/** The settings with the limit that `auto` has with this model; other policies stay as they are. @throws ArgumentError */
export function withContext(settings: SessionSettings, traits: ContextTraits): SessionSettings {
  const { policy, contextLength } = settings;
  if (!policy.wholePrompts) return settings;
  const options = { read: policy.reading, dense: policy.dense };
  if (traits.attentionLayers === 0) return { ...settings, policy: endingAuto(options) };
  const limit = limitOf(settings, traits);
  if (contextLength !== undefined && contextLength !== limit) {
    throw new ArgumentError(
      `The context "${policy.text}" has a limit of ${counted(limit, "token")} and contextLength is ${formatCount(contextLength)}: give one of them.`,
      { option: "contextLength" },
    );
  }
  const resolved = traits.fixedPositions
    ? endingAuto(options, limit)
    : parsePolicy(policy.text.replace(AUTO, `auto:${limit}`));
  return { ...settings, contextLength: limit, policy: resolved };
}

/** `auto:N` says it itself; a model without positions beyond its table has no more than those. */
function limitOf({ policy, contextLength }: SessionSettings, { positions, trainedContext }: ContextTraits): number {
  const said = AUTO.exec(policy.text)?.[1];
  if (said !== undefined) return Number(said);
  return contextLength ?? Math.min(trainedContext, positions ?? Number.POSITIVE_INFINITY);
}

/**
 * Under `auto`, that a prompt fits: into what is left, or into what a text that goes on may push out.
 * @param text tokens that were read, those that wait to be read, and those of the prompt
 * @throws ContextFullError before anything is read
 */
export function requireRoom(
  { policy, contextLength }: SessionSettings,
  traits: ContextTraits,
  text: { readonly seen: number; readonly waiting: number; readonly prompt: number },
): void {
  const { wholePrompts, budget: limit, sinks } = policy;
  if (!wholePrompts || limit === undefined || contextLength === undefined) return;
  const { seen, waiting, prompt } = text;
  const held = seen + waiting;
  if (held + prompt <= limit || (held > 0 && prompt <= limit - sinks)) return;
  const needed = prompt + Math.min(held, sinks);
  const beside = held > 0 ? `, of which the first ${Math.min(held, sinks)} stay` : "";
  const longer = mayRaise(limit, traits)
    ? `, raise contextLength (the model was trained for ${counted(traits.trainedContext, "token")})`
    : "";
  throw new ContextFullError(
    `The text to read has ${counted(prompt, "token")} and does not fit: the context holds ${counted(limit, "token")}${beside}. Nothing was read and ` +
      `nothing was cut. Shorten it by ${counted(needed - limit, "token")}${longer}, or choose a context that may let go of ` +
      `its beginning, such as "${freeingPolicy(limit, traits)}".`,
    { seen, needed, limit },
  );
}

/** Whether a longer context is a way out: beyond its trained length a model knows no more. */
export function mayRaise(limit: number, { trainedContext }: Pick<ContextTraits, "trainedContext">): boolean {
  return limit < trainedContext;
}

/** A policy for messages that lets go of tokens: of at most `most`, and of no more than the model was trained for. */
export function freeingPolicy(
  most: number,
  { trainedContext, positions, fixedPositions }: Omit<ContextTraits, "layers" | "attentionLayers">,
): string {
  if (positions !== null) return `recompute:${positions}`;
  const recent = Math.max(1, Math.min(most, trainedContext) - 4);
  return `sinks:4,recent:${recent}${fixedPositions ? ",distance=text" : ""}`;
}

/** What is to be said of `auto` once its limit was passed. */
export function contextNotes(
  { policy, contextLength }: SessionSettings,
  traits: ContextTraits,
  usage: Usage,
): string[] {
  if (!policy.wholePrompts || contextLength === undefined) return [];
  if (policy.budget === undefined) {
    if (traits.attentionLayers === 0 || usage.seen < contextLength) return [];
    return [
      `The context of ${counted(contextLength, "token")} is full. The positions of this model cannot be moved, so writing ends here.`,
    ];
  }
  if (usage.seen <= contextLength) return [];
  const { attentionLayers, layers } = traits;
  const who = attentionLayers === layers ? "The model" : `The layers with attention, ${attentionLayers} of ${layers},`;
  return [
    `The text has passed the context of ${counted(contextLength, "token")}. ${who} now ${attentionLayers === layers ? "sees" : "see"} its ` +
      `first ${formatCount(policy.sinks)} and its newest ${counted(contextLength - policy.sinks, "token")}; those between were let go.`,
  ];
}
