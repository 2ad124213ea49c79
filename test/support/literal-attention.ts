/**
 * Attention as StreamingLLM does it, taken literally: a list of cached unrotated keys, evicted as the paper says, every key
 * rotated anew at its place in the cache (or in the text) for every query.
 */
import type { AttentionSpec } from "../../src/nn/spec.js";
import { relativeBucket } from "../../src/position/relative.js";
import { ropeFrequencies } from "../../src/position/rope.js";
import { type LiteralModel, linear, numbers, optionalNorm, type Row } from "./literal-parts.js";

export interface LiteralPolicy {
  readonly sinks: number;
  readonly recent: number;
  readonly evict: number;
  /** Count distances as in the text instead. */
  readonly inText?: boolean;
  /** Whether the key at j stays in the cache for the query at t, in place of sinks and a window. */
  readonly stays?: (t: number, j: number) => boolean;
  /** Of what is kept, whether the query at t sees the key at j. */
  readonly sees?: (t: number, j: number) => boolean;
  /** Tokens that the text may come to fill, from which LongRoPE chooses. */
  readonly contextSize?: number;
  /** What a KV head of a layer does instead. */
  readonly byHead?: (layer: number, kvHead: number) => LiteralPolicy;
}

export interface CachedToken {
  readonly position: number;
  readonly key: Row;
  readonly value: Row;
}

/** A key and where it stands. */
interface Placed {
  readonly token: CachedToken;
  readonly place: number;
}

/** What the query heads of a KV head attend to, and where they stand. */
interface Seen {
  readonly seen: readonly Placed[];
  readonly queryPlace: number;
}

/** Adds the token to the cache of each KV head and attends to what is left of it. */
export function selfAttention(
  model: LiteralModel,
  spec: AttentionSpec,
  x: Row,
  caches: CachedToken[][],
  position: number,
  policies: readonly LiteralPolicy[],
): Row {
  const token = { position, ...keyAndValue(model, spec, x) };
  const seen = policies.map((policy, head) => {
    caches[head] ??= [];
    return remember(spec, caches[head], token, policy);
  });
  return attendByHead(model, spec, x, seen, policies[0].contextSize);
}

function remember(spec: AttentionSpec, cache: CachedToken[], token: CachedToken, policy: LiteralPolicy): Seen {
  if (cache.length === policy.sinks + policy.recent) cache.splice(policy.sinks, policy.evict);
  cache.push(token);
  const { stays } = policy;
  if (stays) cache.splice(0, cache.length, ...cache.filter(({ position }) => stays(token.position, position)));
  const newest = policy.inText ? token.position : cache.length - 1;
  const seen = cache
    .map((token, place) => ({ token, place: policy.inText ? token.position : place }))
    // The model's own window counts as the policy counts: in the text, or in the cache.
    .filter(({ place }) => spec.window === undefined || place > newest - spec.window)
    .filter(({ token: { position } }) => policy.sees?.(newest, position) ?? true);
  return { seen, queryPlace: newest };
}

export function keyAndValue(model: LiteralModel, spec: AttentionSpec, x: Row): Pick<CachedToken, "key" | "value"> {
  const key = optionalNorm(model, spec.keyNorm, clamped(spec, linear(model, spec.key, x)));
  return { key, value: clamped(spec, linear(model, spec.value, x)) };
}

function clamped({ clamp = Number.POSITIVE_INFINITY }: AttentionSpec, x: Row): Row {
  return x.map((value) => Math.min(Math.max(value, -clamp), clamp));
}

/** All heads see the same; the query of x stands at `queryPlace`. */
export function attend(
  model: LiteralModel,
  spec: AttentionSpec,
  x: Row,
  seen: readonly Placed[],
  queryPlace: number,
): Row {
  return attendByHead(model, spec, x, new Array<Seen>(spec.kvHeads).fill({ seen, queryPlace }));
}

function attendByHead(
  model: LiteralModel,
  spec: AttentionSpec,
  x: Row,
  byHead: readonly Seen[],
  contextSize?: number,
): Row {
  const { heads, kvHeads, keyWidth, valueWidth, scale, softcap, sinks } = spec;
  const q = optionalNorm(model, spec.queryNorm, clamped(spec, linear(model, spec.query, x)));
  const out = new Float64Array(heads * valueWidth);
  for (let head = 0; head < heads; head++) {
    const group = Math.floor(head / (heads / kvHeads));
    const { seen, queryPlace } = byHead[group];
    const length = contextSize ?? queryPlace + 1;
    const query = rotate(spec, q.subarray(head * keyWidth, (head + 1) * keyWidth), queryPlace, length);
    const scores = seen.map(({ token, place }) => {
      const key = rotate(spec, token.key.subarray(group * keyWidth, (group + 1) * keyWidth), place, length);
      const product = scale * key.reduce((sum, value, d) => sum + value * query[d], 0);
      const capped = softcap === undefined ? product : softcap * Math.tanh(product / softcap);
      return capped + bias(model, spec, head, queryPlace - place);
    });
    const sink = sinks ? numbers(model, sinks)[head] : Number.NEGATIVE_INFINITY;
    const most = Math.max(sink, ...scores);
    const weights = scores.map((score) => Math.exp(score - most));
    const total = weights.reduce((a, b) => a + b, Math.exp(sink - most));
    seen.forEach(({ token }, j) => {
      for (let d = 0; d < valueWidth; d++)
        out[head * valueWidth + d] += (weights[j] / total) * token.value[group * valueWidth + d];
    });
  }
  return linear(model, spec.output, out);
}

/** What the distance adds to a score. */
function bias(model: LiteralModel, { alibi, relative, heads }: AttentionSpec, head: number, distance: number): number {
  if (alibi) return -alibi.slopes[head] * distance;
  if (!relative) return 0;
  return numbers(model, relative.table)[relativeBucket(relative, distance) * heads + head];
}

function rotate({ rope }: AttentionSpec, head: Row, place: number, length: number): Row {
  const out = Float64Array.from(head);
  if (!rope) return out;
  const { inverse, magnitude } = ropeFrequencies(rope, length);
  inverse.forEach((frequency, i) => {
    const [a, b] = rope.layout === "interleaved" ? [2 * i, 2 * i + 1] : [i, i + rope.dims / 2];
    const cos = Math.cos(place * frequency) * magnitude;
    const sin = Math.sin(place * frequency) * magnitude;
    out[a] = head[a] * cos - head[b] * sin;
    out[b] = head[a] * sin + head[b] * cos;
  });
  return out;
}
