/** Whether session options make sense for a model: what would be wrong is refused, what works in part is said. */
import type { ModelSpec } from "../nn/spec.js";
import { ArgumentError, PolicyError } from "../util/errors.js";
import type { ModelInfo } from "./api.js";
import type { SessionSettings } from "./session-options.js";

/** What of a model decides. */
export type FitTraits = Pick<
  ModelInfo,
  "architecture" | "layers" | "attentionLayers" | "encoderDecoder" | "positions" | "fixedPositions"
>;

export function fitTraits({ architecture, layers, encoder, positions }: ModelSpec): FitTraits {
  return {
    architecture,
    layers: layers.length,
    attentionLayers: layers.filter(({ mixer: { body } }) => body.kind === "attention").length,
    encoderDecoder: encoder !== undefined,
    positions: positions?.kind === "learned" ? positions.positions : null,
    fixedPositions: positions !== undefined,
  };
}

/**
 * What a user should know of these options with this model; mostly nothing.
 * @throws PolicyError, ArgumentError saying what would work
 */
export function fitNotes(settings: SessionSettings, model: FitTraits): string[] {
  checkSource(settings, model);
  checkTable(settings, model);
  checkDistances(settings, model);
  const { policy } = settings;
  const { attentionLayers, layers, architecture } = model;
  // The default says so once it evicts (default-context.ts).
  const evicts = policy.budget !== undefined && !policy.recompute && !policy.wholePrompts;
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
      `${architecture} has learned embeddings for ${most} positions and no others; contextLength is ${contextLength}.`,
      { option: "contextLength", most },
    );
  }
  if (policy.recompute && policy.budget !== undefined && policy.budget > most) {
    throw new PolicyError(
      `${architecture} has learned embeddings for ${most} positions; "${policy.text}" needs ${policy.budget}.`,
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
  const [kind, room] = most === null ? ["sinusoidal", ""] : ["learned", ` (for up to ${most} tokens)`];
  throw new PolicyError(
    `"${policy.text}" counts distances in the cache, but the positions of this ${architecture} model are ${kind} and part ` +
      `of what each token is: they cannot be moved. Add distance=text${room}, or use recompute:N.`,
    { text: policy.text, position: 0, ...(most !== null && { most }) },
  );
}
