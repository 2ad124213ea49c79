/**
 * StreamingLLM taken literally, in double precision and without any of Sluice's machinery: one token at a time, a list of
 * cached unrotated keys per layer, evicted as the paper says, every key rotated anew at its place in the cache.
 */
import type { AttentionSpec, GatedMlpSpec, LayerSpec, LinearSpec, NormSpec, WeightRef } from "../../src/nn/spec.js";
import { ropeFrequencies } from "../../src/position/rope.js";
import type { RandomModel } from "./random-model.js";

export interface LiteralPolicy {
  readonly sinks: number;
  readonly recent: number;
  readonly evict: number;
  /** Count distances as in the text instead. */
  readonly inText?: boolean;
}

interface CachedToken {
  readonly position: number;
  readonly key: Float64Array;
  readonly value: Float64Array;
}

/** Logits after every id. */
export function literalStreaming(model: RandomModel, ids: Int32Array, policy: LiteralPolicy): Float64Array[] {
  const caches: CachedToken[][] = model.spec.layers.map(() => []);
  return Array.from(ids, (id, position) => {
    const { width } = model.spec;
    let x: Float64Array = Float64Array.from(
      numbers(model, model.spec.embedding).subarray(id * width, (id + 1) * width),
    );
    model.spec.layers.forEach((layer, index) => {
      x = layerForward(model, layer, x, caches[index], position, policy);
    });
    return linear(model, model.spec.head, norm(model, model.spec.norm, x));
  });
}

function numbers(model: RandomModel, { tensor }: WeightRef): Float32Array {
  return model.values.get(tensor) ?? new Float32Array(0);
}

function linear(model: RandomModel, { weight }: LinearSpec, x: Float64Array): Float64Array {
  const { rows: outputs, cols: inputs } = weight;
  const w = numbers(model, weight);
  return Float64Array.from({ length: outputs }, (_, o) => {
    let sum = 0;
    for (let i = 0; i < inputs; i++) sum += w[o * inputs + i] * x[i];
    return sum;
  });
}

function norm(model: RandomModel, { gain: ref, epsilon }: NormSpec, x: Float64Array): Float64Array {
  const gain = numbers(model, ref);
  const squares = x.reduce((sum, value) => sum + value * value, 0) / x.length;
  return x.map((value, i) => (value * gain[i]) / Math.sqrt(squares + epsilon));
}

function add(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value + b[i]);
}

function layerForward(
  model: RandomModel,
  layer: LayerSpec,
  x: Float64Array,
  cache: CachedToken[],
  position: number,
  policy: LiteralPolicy,
): Float64Array {
  const h = norm(model, layer.mixer.norm, x);
  const { mixer, feedForward } = bodies(layer);
  if (cache.length === policy.sinks + policy.recent) cache.splice(policy.sinks, policy.evict);
  cache.push({ position, key: linear(model, mixer.key, h), value: linear(model, mixer.value, h) });
  const mixed = add(x, linear(model, mixer.output, attend(mixer, linear(model, mixer.query, h), cache, policy)));
  const n = norm(model, feedForward.norm, mixed);
  const gate = linear(model, feedForward.body.gate, n);
  const up = linear(model, feedForward.body.up, n);
  const hidden = gate.map((g, i) => (g / (1 + Math.exp(-g))) * up[i]);
  return add(mixed, linear(model, feedForward.body.down, hidden));
}

/** Random models have attention and a gated feed-forward in every layer. */
function bodies({ mixer, feedForward }: LayerSpec) {
  if (mixer.body.kind !== "attention" || feedForward?.body.kind !== "gated")
    throw new Error("not a random model's layer");
  const body: GatedMlpSpec = feedForward.body;
  return { mixer: mixer.body, feedForward: { norm: feedForward.norm, body } };
}

function attend(
  mixer: AttentionSpec,
  q: Float64Array,
  cache: readonly CachedToken[],
  policy: LiteralPolicy,
): Float64Array {
  const { heads, kvHeads, keyWidth, valueWidth, scale, window, alibi } = mixer;
  const out = new Float64Array(heads * valueWidth);
  const newest = policy.inText ? cache[cache.length - 1].position : cache.length - 1;
  const seen = cache
    .map((token, place) => ({ token, place: policy.inText ? token.position : place }))
    // The model's own window counts as the policy counts: in the text, or in the cache.
    .filter(({ place }) => window === undefined || place > newest - window);
  const queryPlace = seen[seen.length - 1].place;
  for (let head = 0; head < heads; head++) {
    const group = Math.floor(head / (heads / kvHeads));
    const query = rotate(mixer, q.subarray(head * keyWidth, (head + 1) * keyWidth), queryPlace, queryPlace + 1);
    const scores = seen.map(({ token, place }) => {
      const key = rotate(mixer, token.key.subarray(group * keyWidth, (group + 1) * keyWidth), place, queryPlace + 1);
      const product = scale * key.reduce((sum, value, d) => sum + value * query[d], 0);
      return alibi ? product - alibi.slopes[head] * (queryPlace - place) : product;
    });
    const most = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - most));
    const total = weights.reduce((a, b) => a + b, 0);
    seen.forEach(({ token }, j) => {
      for (let d = 0; d < valueWidth; d++)
        out[head * valueWidth + d] += (weights[j] / total) * token.value[group * valueWidth + d];
    });
  }
  return out;
}

function rotate({ rope }: AttentionSpec, head: Float64Array, place: number, length: number): Float64Array {
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
