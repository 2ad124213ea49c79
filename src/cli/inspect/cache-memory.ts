/**
 * What a session takes, computed from the shapes of a model's layers as the Wasm backend lays them out: pages of keys and
 * values under the policy, windows by layer, states of state-space layers, and what an encoder's source takes.
 */

import { pageBytes } from "../../backends/wasm/kv-layout.js";
import { type CacheGroup, plannedGroups } from "../../context/cache-groups.js";
import { fitAllGates, type HeadGates } from "../../context/gates/index.js";
import { type GroupLayout, kvBoundsBytes, kvLayouts } from "../../context/kv-layout.js";
import type { AttentionShape } from "../../context/mixer-state.js";
import { recurrentBytes } from "../../context/recurrent-memory.js";
import { sequenceBytes, wholeBytes } from "../../context/sequence-memory.js";
import { withContext } from "../../engine/session/default-context.js";
import { fitNotes, fitTraits } from "../../engine/session/policy-fit.js";
import { sessionSettings } from "../../engine/session/session-options.js";
import type { SessionSettings } from "../../engine/session/session-settings.js";
import { cacheExtent, cacheTokens } from "../../engine/step/memory-plan.js";
import { mixerShapes } from "../../nn/mixer.js";
import type { ModelSpec } from "../../nn/spec.js";
import { PAGE_TOKENS } from "../../tensor/kv.js";

export interface CacheMemory {
  /** The policy in its canonical text form. */
  readonly context: string;
  readonly kv: string;
  /** Tokens held at most. */
  readonly tokens: number;
  /** Whether a chat's system message is held beside these, which counts only where it is longer than the sinks among them. */
  readonly systemMessage: boolean;
  /** Tokens that may stand beside those while they are read; 0 where nothing is freed. */
  readonly chunk: number;
  /** All of the following, at most. */
  readonly bytes: number;
  /** Of these, for bounds of keys, by which heads choose what they read. */
  readonly boundsBytes: number;
  /** What of the tokens held is read for a token that the model writes; null: all that heads keep. */
  readonly reads: CacheReads | null;
  /** Of keys and values, what heads that keep the same tokens take together. */
  readonly groups: readonly CacheGroup[];
  /** Keys and values, of a token that all heads still see, and of one beyond the windows that layers and heads have. */
  readonly bytesPerToken: number;
  readonly bytesPerTokenBeyondWindows: number;
  /** State-space layers, whatever the length of the text. */
  readonly stateBytes: number;
  /** Keys and values of an encoder's source of `sourceTokens`, the trained length. */
  readonly sourceBytes: number;
  readonly sourceTokens: number;
  /** What one should know of the model and of the policy with it. */
  readonly notes: readonly string[];
}

export interface CacheReads {
  /** Most tokens that a head reads. */
  readonly tokens: number;
  /** Layers with attention that read so few, and those before them that read everything. */
  readonly layers: number;
  readonly denseLayers: number;
}

export interface CacheQuestion {
  readonly context: string;
  readonly kv: string;
  /** Tokens under `full`; default: what the model was trained for. */
  readonly contextLength?: number | undefined;
  /** Gates that the context may name. */
  readonly gates?: Readonly<Record<string, HeadGates>>;
}

/** Of a policy that goes by the messages of a chat. */
const OF_MESSAGES =
  "In a chat its system message is kept beside these tokens, however long it is; a text without messages (run, stream, score) is kept " +
  "as by sinks:4 and the newest tokens.";

/** One memory of any size. */
const PLACE = { kvPageBytes: pageBytes, placeOf: () => 0 };

/** @throws PolicyError, ArgumentError, as a session with these options would */
export function cacheMemory(
  spec: ModelSpec,
  { context, kv, contextLength, gates = {} }: CacheQuestion,
  modelNotes: readonly string[] = [],
): CacheMemory {
  const traits = fitTraits(spec, modelNotes);
  const shapes = mixerShapes(spec);
  const fitted = fitAllGates(gates, { architecture: spec.architecture, attention: shapes.attention });
  const options = { context, kv, ...(contextLength !== undefined && { contextLength }) };
  const asked = sessionSettings(options, "session", fitted);
  const settings = withContext(asked, { ...traits, trainedContext: spec.contextLength });
  const notes = fitNotes(settings, traits);
  const tokens = cacheTokens(spec, settings);
  const extent = cacheExtent(settings, tokens);
  const layouts = kvLayouts(shapes.attention, settings);
  // Windows of the model's own, and of heads that keep less than others.
  const unlimited = layouts.filter(
    ({ window, retention }) => window === undefined && (retention.budget ?? tokens) >= tokens,
  );
  return {
    context: settings.policy.text,
    kv,
    tokens,
    systemMessage: settings.policy.byMessages !== undefined,
    chunk: extent.limit === undefined ? extent.chunk : 0,
    bytes: sequenceBytes(PLACE, shapes, settings, extent, spec.contextLength),
    boundsBytes: kvBoundsBytes(PLACE, shapes.attention, settings, extent),
    reads: readsOf(settings, shapes.attention),
    groups: plannedGroups(PLACE, shapes.attention, settings, extent),
    bytesPerToken: tokenBytes(layouts),
    bytesPerTokenBeyondWindows: tokenBytes(unlimited),
    stateBytes: recurrentBytes(shapes.recurrent),
    sourceBytes: wholeBytes(PLACE, shapes.cross, settings, spec.contextLength),
    sourceTokens: shapes.cross.length > 0 ? spec.contextLength : 0,
    notes: settings.policy.byMessages ? [...notes, OF_MESSAGES] : notes,
  };
}

function readsOf({ policy }: SessionSettings, shapes: readonly AttentionShape[]): CacheReads | null {
  const { reading, dense = 0, pattern } = policy;
  if (pattern) return { tokens: pattern.block * pattern.blocks, layers: shapes.length, denseLayers: 0 };
  if (!reading) return null;
  const denseLayers = shapes.filter(({ layer }) => layer < dense).length;
  return { tokens: reading.tokens, layers: shapes.length - denseLayers, denseLayers };
}

function tokenBytes(layouts: readonly GroupLayout[]): number {
  return layouts.reduce((sum, { layout }) => sum + pageBytes(layout) / PAGE_TOKENS, 0);
}
