/** What a model and a session take, in bytes, worked out before anything is taken. */
import { type CacheExtent, kvCacheBytes } from "../context/kv-cache.js";
import type { AttentionShape } from "../context/mixer-state.js";
import type { ModelSpec } from "../nn/spec.js";
import type { Backend } from "../tensor/backend.js";
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
    activationBytes: activationBytes(spec, settings.chunk),
    availableBytes: available ?? null,
  };
}

/** What a session's cache comes to hold when it keeps `tokens` tokens. */
export function cacheExtent({ policy, chunk }: SessionSettings, tokens: number): CacheExtent {
  return { tokens, chunk, limit: policy.budget === undefined || policy.recompute ? tokens : undefined };
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
