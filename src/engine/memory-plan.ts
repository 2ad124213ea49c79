/** What a model and a session take, in bytes, worked out before anything is taken. */
import { type CacheExtent, kvCacheBytes } from "../context/kv-cache.js";
import type { AttentionShape } from "../context/mixer-state.js";
import type { ModelSpec } from "../nn/spec.js";
import type { Backend, WeightPlan, WeightRequest } from "../tensor/backend.js";
import { MemoryError } from "../util/errors.js";
import type { MemoryPlan } from "./api.js";
import type { SessionSettings } from "./session-options.js";

/** Bytes of the activations of a step of `rows` rows: two layers' worth, plus the logits of one row. */
export function activationBytes(spec: ModelSpec, rows: number): number {
  const widest = spec.layers.reduce((most, { mixer, feedForward }) => {
    const attention = mixer.query.outputs * 3 + mixer.key.outputs * 2 + mixer.value.outputs * 2;
    return Math.max(most, attention + feedForward.gate.outputs * 4 + spec.width * 8);
  }, 0);
  return 4 * (2 * rows * widest + rows * spec.width + spec.vocabulary);
}

/** Tokens that a session holds at most, between steps. */
export function cacheTokens(spec: ModelSpec, settings: SessionSettings): number {
  return settings.policy.budget ?? settings.contextLength ?? spec.contextLength;
}

/** Every place has activations of its own. */
function placesOf(backend: Backend, shapes: readonly AttentionShape[]): ReadonlySet<number> {
  return new Set(shapes.map(({ layer }) => backend.placeOf(layer)));
}

export function memoryPlan(
  backend: Backend,
  spec: ModelSpec,
  shapes: readonly AttentionShape[],
  weights: number,
  settings: SessionSettings,
  available: number | undefined,
): MemoryPlan {
  const tokens = cacheTokens(spec, settings);
  return {
    weightBytes: weights,
    cacheBytes: kvCacheBytes(backend, shapes, settings, cacheExtent(settings, tokens)),
    cacheTokens: tokens,
    activationBytes: activationBytes(spec, settings.chunk) * placesOf(backend, shapes).size,
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
  shapes: readonly AttentionShape[],
  weights: readonly WeightRequest[],
  settings: SessionSettings,
  plan: MemoryPlan,
): WeightPlan {
  const { weightBytes, cacheTokens: tokens, activationBytes: step, availableBytes } = plan;
  const room = availableBytes === null ? UNKNOWN_ROOM_BYTES : Math.max(0, availableBytes - weightBytes - step);
  const extent = cacheExtent(settings, tokens);
  const wishes = shapes.map((shape) => kvCacheBytes(backend, [shape], settings, extent));
  const share = Math.min(1, room / wishes.reduce((sum, bytes) => sum + bytes, 1));
  return { weights, cacheBytes: wishes.map((bytes) => bytes * share), activationBytes: step };
}

/**
 * A cache lies beside the layers that it serves, so each place must have room for its part.
 * @throws MemoryError with the figures of the place that is too small
 */
export function requirePlaces(
  backend: Backend,
  shapes: readonly AttentionShape[],
  settings: SessionSettings,
  plan: MemoryPlan,
  advice: string,
): void {
  const places = placesOf(backend, shapes);
  for (const place of places) {
    const here = shapes.filter(({ layer }) => backend.placeOf(layer) === place);
    const bytes = kvCacheBytes(backend, here, settings, cacheExtent(settings, plan.cacheTokens));
    requireMemory(
      `A cache of ${plan.cacheTokens} tokens needs, beside ${here.length} of ${shapes.length} layers in one memory,`,
      bytes + plan.activationBytes / places.size,
      backend.placeBytesLeft(place),
      advice,
    );
  }
}

/** @throws MemoryError with all figures when `needed` bytes of `what` are more than there are */
export function requireMemory(what: string, needed: number, available: number, advice: string): void {
  if (needed <= available) return;
  const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  throw new MemoryError(`${what} ${megabytes(needed)}, but only ${megabytes(available)} are available. ${advice}`, {
    neededBytes: needed,
    availableBytes: available,
  });
}
