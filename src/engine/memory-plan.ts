/** What a model and a session take, in bytes, worked out before anything is taken. */
import { type CacheExtent, kvCacheBytes } from "../context/kv-layout.js";
import type { MixerShapes } from "../context/mixer-state.js";
import { sequenceBytes } from "../context/sequence-memory.js";
import type { LayerSpec, ModelSpec } from "../nn/spec.js";
import { weightRefs } from "../nn/weights.js";
import type { Backend, WeightPlan, WeightRequest } from "../tensor/backend.js";
import { MemoryError } from "../util/errors.js";
import { counted, formatBytes } from "../util/figures.js";
import type { MemoryPlan } from "./api.js";
import type { SessionSettings } from "./session-options.js";

/**
 * Bytes of the activations of a step of `chunk` rows: two layers' worth, plus the logits of one row. An encoder reads its
 * source, which may be as long as the context, in one step.
 */
export function activationBytes(spec: ModelSpec, chunk: number): number {
  const rows = spec.encoder ? Math.max(chunk, spec.contextLength) : chunk;
  const widest = layersOf(spec).reduce((most, layer) => Math.max(most, layerColumns(layer)), 0);
  return 4 * (2 * rows * (2 * widest + 8 * spec.width) + rows * spec.width + spec.vocabulary);
}

/** In the order of their numbers. */
function layersOf({ layers, encoder }: ModelSpec): readonly LayerSpec[] {
  return [...layers, ...(encoder?.layers ?? [])];
}

/** Keys and values of an encoder's layers, held while it reads its source. */
function encoderBytes(backend: Backend, { contextLength }: ModelSpec, { encoder }: MixerShapes): number {
  const extent = { tokens: contextLength, chunk: 0, limit: contextLength };
  return kvCacheBytes(backend, encoder, { keyType: "f32", valueType: "f32" }, extent);
}

/** Outputs of all matrices that a row meets in a layer. */
function layerColumns({ mixer, cross, feedForward }: LayerSpec): number {
  const outputs = (part: unknown) => weightRefs(part).reduce((sum, ref) => sum + (ref.exact ? 0 : ref.rows), 0);
  const mixing = outputs(mixer) + outputs(cross);
  if (feedForward?.body.kind !== "experts") return mixing + outputs(feedForward);
  const { used, gate, up, down } = feedForward.body;
  return mixing + used * outputs([gate[0], up[0], down[0]]);
}

/** Tokens that a session holds at most, between steps. */
export function cacheTokens(spec: ModelSpec, settings: SessionSettings): number {
  return settings.policy.budget ?? settings.contextLength ?? spec.contextLength;
}

/** Every place has activations of its own. */
function placesOf(backend: Backend, spec: ModelSpec): ReadonlySet<number> {
  return new Set(layersOf(spec).map((_, layer) => backend.placeOf(layer)));
}

/** The parts of the shapes that belong to some layers. */
function shapesOf({ attention, recurrent, cross, encoder }: MixerShapes, has: (layer: number) => boolean): MixerShapes {
  const keep = <S extends { readonly layer: number }>(shapes: readonly S[]) => shapes.filter(({ layer }) => has(layer));
  return { attention: keep(attention), recurrent: keep(recurrent), cross: keep(cross), encoder: keep(encoder) };
}

/** Bytes of a session that keeps `tokens` tokens, beside these layers. */
function cacheBytes(
  backend: Backend,
  spec: ModelSpec,
  shapes: MixerShapes,
  settings: SessionSettings,
  tokens: number,
): number {
  return sequenceBytes(backend, shapes, settings, cacheExtent(settings, tokens), spec.contextLength);
}

export function memoryPlan(
  backend: Backend,
  spec: ModelSpec,
  shapes: MixerShapes,
  weights: number,
  settings: SessionSettings,
  available: number | undefined,
): MemoryPlan {
  const tokens = cacheTokens(spec, settings);
  return {
    weightBytes: weights,
    cacheBytes: cacheBytes(backend, spec, shapes, settings, tokens),
    cacheTokens: tokens,
    activationBytes:
      activationBytes(spec, settings.chunk) * placesOf(backend, spec).size + encoderBytes(backend, spec, shapes),
    availableBytes: available ?? null,
  };
}

/** What a session's cache comes to hold when it keeps `tokens` tokens. */
export function cacheExtent({ policy, chunk }: SessionSettings, tokens: number): CacheExtent {
  return { tokens, chunk, limit: policy.budget === undefined || policy.recompute ? tokens : undefined };
}

/** Bytes of caches that are provided for where nobody says how much memory there is. */
const UNKNOWN_ROOM_BYTES = 2 ** 32;

/**
 * What a backend is told of a model before it is loaded: beside its weights every layer should have room for the cache of
 * the planned session, or for its share of the `available` bytes that the weights leave.
 */
export function weightPlan(
  backend: Backend,
  spec: ModelSpec,
  shapes: MixerShapes,
  weights: readonly WeightRequest[],
  settings: SessionSettings,
  plan: MemoryPlan,
): WeightPlan {
  const { weightBytes, cacheTokens: tokens, activationBytes: step, availableBytes } = plan;
  const room = availableBytes === null ? UNKNOWN_ROOM_BYTES : Math.max(0, availableBytes - weightBytes - step);
  const wishes = spec.layers.map((_, layer) =>
    cacheBytes(
      backend,
      spec,
      shapesOf(shapes, (other) => other === layer),
      settings,
      tokens,
    ),
  );
  const share = Math.min(1, room / wishes.reduce((sum, bytes) => sum + bytes, 1));
  return { weights, cacheBytes: wishes.map((bytes) => bytes * share), activationBytes: step };
}

/**
 * A cache lies beside the layers that it serves, so each place must have room for its part.
 * @throws MemoryError with the figures of the place that is too small
 */
export function requirePlaces(
  backend: Backend,
  spec: ModelSpec,
  shapes: MixerShapes,
  settings: SessionSettings,
  plan: MemoryPlan,
  advice: string,
): void {
  const places = placesOf(backend, spec);
  const all = layersOf(spec);
  for (const place of places) {
    const layers = all.filter((_, layer) => backend.placeOf(layer) === place).length;
    const here = shapesOf(shapes, (layer) => backend.placeOf(layer) === place);
    requireMemory(
      `A cache of ${counted(plan.cacheTokens, "token")} needs, beside ${layers} of ${all.length} layers in one memory,`,
      cacheBytes(backend, spec, here, settings, plan.cacheTokens) + plan.activationBytes / places.size,
      backend.placeBytesLeft(place),
      advice,
    );
  }
}

/** @throws MemoryError with all figures when `needed` bytes of `what` are more than there are */
export function requireMemory(what: string, needed: number, available: number, advice: string): void {
  if (needed <= available) return;
  throw new MemoryError(`${what} ${formatBytes(needed)}, but only ${formatBytes(available)} are available. ${advice}`, {
    neededBytes: needed,
    availableBytes: available,
  });
}
