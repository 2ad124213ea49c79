/** Whether session options make sense for a model: what would be wrong is refused, what works in part is said. */
import type { ModelSpec } from "../../nn/spec.js";
import { ArgumentError, PolicyError } from "../../util/errors.js";
import { counted, formatCount } from "../../util/figures.js";
import type { ModelInfo } from "../api.js";
import { idleNotes } from "./idle-notes.js";
import type { SessionSettings } from "./session-settings.js";

/** What of a model decides. */
export type FitTraits = Pick<
  ModelInfo,
  | "architecture"
  | "layers"
  | "attentionLayers"
  | "lastAttentionLayer"
  | "encoderDecoder"
  | "positions"
  | "fixedPositions"
  | "trainedContext"
  | "longRopeContext"
  | "dynamicRope"
  | "notes"
>;

/** `notes` are those of the model, which its sessions have too. */
export function fitTraits(spec: ModelSpec, notes: readonly string[] = []): FitTraits {
  const { architecture, layers, encoder, positions, contextLength } = spec;
  return {
    architecture,
    layers: layers.length,
    attentionLayers: layers.filter(({ mixer: { body } }) => body.kind === "attention").length,
    lastAttentionLayer: layers.findLastIndex(({ mixer: { body } }) => body.kind === "attention"),
    encoderDecoder: encoder !== undefined,
    positions: positions?.kind === "learned" ? positions.positions : null,
    fixedPositions: positions !== undefined,
    trainedContext: contextLength,
    longRopeContext: longRopeContext(spec),
    dynamicRope: layers.some(
      ({ mixer: { body } }) => body.kind === "attention" && body.rope?.scaling.kind === "dynamic",
    ),
    notes,
  };
}

/** The original context of LongRoPE; null where no layer has it. */
function longRopeContext({ layers }: ModelSpec): number | null {
  for (const { mixer } of layers) {
    const scaling = mixer.body.kind === "attention" ? mixer.body.rope?.scaling : undefined;
    if (scaling?.kind === "longrope") return scaling.originalContext;
  }
  return null;
}

/**
 * What a user should know of these options with this model; mostly nothing.
 * @throws PolicyError, ArgumentError saying what would work
 */
export function fitNotes(settings: SessionSettings, model: FitTraits): string[] {
  checkSource(settings, model);
  checkTable(settings, model);
  checkDistances(settings, model);
  checkReading(settings, model);
  return [
    ...model.notes,
    ...lengthNotes(settings, model),
    ...longRopeNotes(settings, model),
    ...partialNotes(settings, model),
    ...idleNotes(settings, model),
  ];
}

/** More tokens at once than the model has ever seen; a table of positions ends the text before. */
function lengthNotes({ policy, contextLength }: SessionSettings, model: FitTraits): string[] {
  const { attentionLayers, positions, trainedContext } = model;
  const most = policy.budget ?? contextLength ?? trainedContext;
  if (attentionLayers === 0 || positions !== null || most <= trainedContext) return [];
  const what = /^full\b/.test(policy.text)
    ? `${policy.text} with a contextLength of ${formatCount(most)}`
    : policy.text;
  // How long a system message is, only a chat knows.
  const sees = policy.byMessages
    ? `the system message and ${counted(most - policy.sinks, "token")} beside it`
    : counted(most, "token");
  return [
    `${what} lets the model see ${sees} at once; it was trained for ${formatCount(trainedContext)}, and most ` +
      "models write nonsense beyond that.",
  ];
}

/** Which of its factors a text gets: it is the size of the context that decides, as in llama.cpp. */
function longRopeNotes(settings: SessionSettings, { longRopeContext, trainedContext }: FitTraits): string[] {
  if (longRopeContext === null) return [];
  const { budget, distance, recompute } = settings.policy;
  const size =
    budget === undefined
      ? (settings.contextLength ?? trainedContext)
      : distance === "cache" || recompute
        ? budget
        : Number.POSITIVE_INFINITY;
  const long = size > longRopeContext;
  const room = Number.isFinite(size) ? `a context of ${counted(size, "token")}` : "a context without a limit";
  return [
    `LongRoPE: ${room} is ${long ? "longer than" : "within"} the original ${formatCount(longRopeContext)}, so all of the text gets the ` +
      `factors for ${long ? "long" : "short"} texts (transformers goes by the length of the text, not by the context)`,
  ];
}

/** What does not apply to all layers. */
function partialNotes({ policy }: SessionSettings, model: FitTraits): string[] {
  const { attentionLayers, layers, architecture } = model;
  // The default says so once it evicts (default-context.ts).
  const evicts =
    (policy.budget !== undefined && !policy.recompute && !policy.wholePrompts) || policy.gates !== undefined;
  if (!evicts || attentionLayers === layers) return [];
  if (attentionLayers === 0) {
    throw new PolicyError(
      `"${policy.text}" makes no sense for ${architecture}: it has no attention, so there are no tokens to keep or ` +
        "free; its state has the same size for any text. Use full, which has no limit here, or recompute:N.",
      { text: policy.text, position: 0, architecture },
    );
  }
  return [
    `${policy.text} applies to the layers with attention, ${attentionLayers} of ${layers}; ` +
      "the others keep a state of constant size.",
  ];
}

/** Pages are chosen by bounds of their keys, which must be there and stay as they are. */
function checkReading({ policy }: SessionSettings, { attentionLayers, dynamicRope, architecture }: FitTraits): void {
  if (!policy.reading || (attentionLayers > 0 && !dynamicRope)) return;
  const why =
    attentionLayers === 0
      ? `${architecture} has no attention, so there are no tokens to choose from`
      : `the model's positions are scaled by dynamic NTK, which rotates all keys anew for every token, so no bounds of theirs can be kept`;
  throw new PolicyError(
    `"${policy.text}" makes no sense here: ${why}. Leave read=quest:${policy.reading.tokens} out.`,
    {
      text: policy.text,
      position: Math.max(0, policy.text.indexOf("read=")),
      architecture,
    },
  );
}

function checkSource({ source }: SessionSettings, { encoderDecoder, architecture }: FitTraits): void {
  if (source === undefined || encoderDecoder) return;
  throw new ArgumentError(`${architecture} has no encoder that could read a source; give the text as the prompt.`, {
    option: "source",
  });
}

/** Learned positions end with their table. */
function checkTable({ policy, contextLength }: SessionSettings, { positions: most, architecture }: FitTraits): void {
  if (most === null) return;
  if (contextLength !== undefined && contextLength > most) {
    throw new ArgumentError(
      `${architecture} has learned embeddings for ${counted(most, "position")} and no others; contextLength is ${formatCount(contextLength)}.`,
      { option: "contextLength", most },
    );
  }
  if (policy.recompute && policy.budget !== undefined && policy.budget > most) {
    throw new PolicyError(
      `${architecture} has learned embeddings for ${counted(most, "position")}; "${policy.text}" needs ${formatCount(policy.budget)}.`,
      { text: policy.text, position: 0, most },
    );
  }
}

/** A position that is added to its token cannot be moved, so distances are those of the text. */
function checkDistances(
  { policy }: SessionSettings,
  { positions: most, fixedPositions, architecture }: FitTraits,
): void {
  if (!fixedPositions || policy.budget === undefined || policy.recompute || policy.distance === "text") return;
  const [kind, room] = most === null ? ["sinusoidal", ""] : ["learned", ` (for up to ${counted(most, "token")})`];
  throw new PolicyError(
    `"${policy.text}" counts distances in the cache, but the positions of this ${architecture} model are ${kind} and part ` +
      `of what each token is: they cannot be moved. Add distance=text${room}, or use recompute:N.`,
    { text: policy.text, position: 0, ...(most !== null && { most }) },
  );
}
