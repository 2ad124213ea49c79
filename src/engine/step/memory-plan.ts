/**
 * What a model and a session take, in bytes, worked out before anything is taken. A backend may have several memories, its
 * places: a layer's weights and cache lie in one of them, activations in each.
 */
import { plannedGroups } from "../../context/cache-groups.js";
import type { CacheExtent } from "../../context/kv-layout.js";
import type { MixerShapes } from "../../context/mixer-state.js";
import { sequenceBytes, wholeBytes } from "../../context/sequence-memory.js";
import type { LayerSpec, ModelSpec } from "../../nn/spec.js";
import { weightRefs } from "../../nn/weights.js";
import type { Backend, WeightPlan, WeightRequest } from "../../tensor/backend.js";
import { MemoryError } from "../../util/errors.js";
import { formatBytes } from "../../util/figures.js";
import type { MemoryPlan } from "../api.js";
import type { SessionSettings } from "../session/session-settings.js";

/** A model on a backend, as plans see it. */
export interface PlannedModel {
  readonly backend: Backend;
  readonly spec: ModelSpec;
  readonly shapes: MixerShapes;
  /** What the backend takes before it has a weight: its threads' scratch, lists of commands. */
  readonly machineBytes: number;
}

/** Rows of a step: those that it reads, and those whose logits are wanted (default 1). */
export interface StepRows {
  readonly rows: number;
  readonly outputs?: number;
}

/**
 * Bytes of the activations of a step: two layers' worth, plus the logits. An encoder reads its source, which may be as long
 * as the context, in one step.
 */
export function activationBytes(spec: ModelSpec, { rows, outputs = 1 }: StepRows): number {
  const most = spec.encoder ? Math.max(rows, spec.contextLength) : rows;
  const widest = layersOf(spec).reduce((width, layer) => Math.max(width, layerColumns(layer)), 0);
  return 4 * (2 * most * (2 * widest + 8 * spec.width) + most * spec.width) + logitBytes(spec, outputs);
}

/** Bytes of the logits of so many rows; capped ones are tensors of their own. */
export function logitBytes({ vocabulary, logitSoftcap }: ModelSpec, outputs: number): number {
  return 4 * outputs * vocabulary * (logitSoftcap === undefined ? 1 : 2);
}

/** In the order of their numbers. */
function layersOf({ layers, encoder }: ModelSpec): readonly LayerSpec[] {
  return [...layers, ...(encoder?.layers ?? [])];
}

/** Keys and values of an encoder's layers, held while it reads its source. */
function encoderBytes({ backend, spec: { contextLength }, shapes: { encoder } }: PlannedModel): number {
  return wholeBytes(backend, encoder, { keyType: "f32", valueType: "f32" }, contextLength);
}

/** Outputs of all matrices that a row meets in a layer. */
function layerColumns({ mixer, cross, feedForward }: LayerSpec): number {
  const outputs = (part: unknown) => weightRefs(part).reduce((sum, ref) => sum + (ref.exact ? 0 : ref.rows), 0);
  const mixing = outputs(mixer) + outputs(cross);
  if (feedForward?.body.kind !== "experts") return mixing + outputs(feedForward);
  const { used, count, gate, up, down } = feedForward.body;
  return mixing + (used * outputs([gate, up, down])) / count;
}

/** Tokens that a session holds at most, between steps. */
export function cacheTokens(spec: ModelSpec, settings: SessionSettings): number {
  return settings.policy.budget ?? settings.contextLength ?? spec.contextLength;
}

/** What a session's cache comes to hold when it keeps `tokens` tokens. */
export function cacheExtent({ policy, chunk }: SessionSettings, tokens: number): CacheExtent {
  return { tokens, chunk, limit: policy.budget === undefined || policy.recompute ? tokens : undefined };
}

/** Bytes that a session of the model keeps in these of its layers; default: in all. */
function cacheBytes(
  { backend, spec, shapes }: PlannedModel,
  settings: SessionSettings,
  has: (layer: number) => boolean = () => true,
): number {
  const keep = <S extends { readonly layer: number }>(all: readonly S[]) => all.filter(({ layer }) => has(layer));
  const { attention, recurrent, cross } = shapes;
  const own = { attention: keep(attention), recurrent: keep(recurrent), cross: keep(cross) };
  const extent = cacheExtent(settings, cacheTokens(spec, settings));
  return sequenceBytes(backend, own, settings, extent, spec.contextLength);
}

export interface PlanOptions {
  readonly settings: SessionSettings;
  readonly weightBytes: number;
  /** Absent: nobody knows. */
  readonly availableBytes?: number | undefined;
}

export function memoryPlan(model: PlannedModel, { settings, weightBytes, availableBytes }: PlanOptions): MemoryPlan {
  const { backend, spec, shapes } = model;
  return {
    weightBytes,
    cacheBytes: cacheBytes(model, settings),
    cacheTokens: cacheTokens(spec, settings),
    groups: plannedGroups(backend, shapes.attention, settings, cacheExtent(settings, cacheTokens(spec, settings))),
    activationBytes: stepBytesOf(model, settings) + model.machineBytes,
    availableBytes: availableBytes ?? null,
  };
}

/** Activations of one step of a session, with the logits of one row. */
export function stepBytesOf(model: PlannedModel, { chunk }: SessionSettings): number {
  return activationBytes(model.spec, { rows: chunk }) * placesOf(model).size + encoderBytes(model);
}

/** The places that have layers, each of which has activations of its own. */
function placesOf({ backend, spec }: PlannedModel): ReadonlySet<number> {
  return new Set(layersOf(spec).map((_, layer) => backend.placeOf(layer)));
}

/** What a session needs of one place. */
export interface PlaceBytes {
  readonly place: number;
  /** How many of the model's layers lie there, and how many it has. */
  readonly layers: number;
  readonly allLayers: number;
  readonly cacheBytes: number;
}

/** A cache lies beside the layers that it serves: what of it comes to lie in each place. */
export function cacheBytesByPlace(model: PlannedModel, settings: SessionSettings): PlaceBytes[] {
  const { backend, spec } = model;
  const all = layersOf(spec);
  return [...placesOf(model)].map((place) => ({
    place,
    layers: all.filter((_, layer) => backend.placeOf(layer) === place).length,
    allLayers: all.length,
    cacheBytes: cacheBytes(model, settings, (layer) => backend.placeOf(layer) === place),
  }));
}

/** Bytes of caches that are provided for where nobody says how much memory there is. */
const UNKNOWN_CACHE_BYTES = 2 ** 32;

/**
 * What a backend is told of a model before it is loaded: beside its weights every layer should have room for the cache of
 * the planned session, or for its share of the bytes that the weights leave.
 */
export function weightPlan(
  model: PlannedModel,
  {
    weights,
    settings,
    plan,
  }: {
    readonly weights: readonly WeightRequest[];
    readonly settings: SessionSettings;
    readonly plan: MemoryPlan;
  },
): WeightPlan {
  const { weightBytes, activationBytes: stepBytes, availableBytes } = plan;
  const leftBytes =
    availableBytes === null ? UNKNOWN_CACHE_BYTES : Math.max(0, availableBytes - weightBytes - stepBytes);
  const wished = model.spec.layers.map((_, layer) => cacheBytes(model, settings, (other) => other === layer));
  const share = Math.min(1, leftBytes / wished.reduce((sum, bytes) => sum + bytes, 1));
  return { weights, cacheBytes: wished.map((bytes) => bytes * share), activationBytes: stepBytes };
}

export interface Requirement {
  /** "A cache of 64 tokens needs": the beginning of what is said. */
  readonly what: string;
  readonly neededBytes: number;
  readonly availableBytes: number;
  /** Of what there is, what others were promised and may yet take: no longer available. */
  readonly promised?: { readonly bytes: number; readonly sessions: number } | undefined;
  readonly advice: string;
}

/** @throws MemoryError with all figures when more bytes are needed than there are */
export function requireMemory({ what, neededBytes, availableBytes, promised, advice }: Requirement): void {
  if (neededBytes <= availableBytes) return;
  const shared = promised?.sessions
    ? `: ${formatBytes(promised.bytes)} are promised to ${promised.sessions === 1 ? "another session, which gives them back when it is" : `${promised.sessions} other sessions, which give them back when they are`} ` +
      "reset or disposed of"
    : "";
  throw new MemoryError(
    `${what} ${formatBytes(neededBytes)}, but only ${formatBytes(Math.max(0, availableBytes))} are available${shared}. ${advice}`,
    { neededBytes, availableBytes, ...(promised?.sessions && { promisedBytes: promised.bytes }) },
  );
}
