/**
 * A model's spec and StreamingLLM taken literally, in double precision and without any of Sluice's machinery: one token at a
 * time through every kind of layer; attention over a list of cached unrotated keys (literal-attention.ts).
 */
import type { BranchSpec, LayerSpec, NormSpec } from "../../src/nn/spec.js";
import { attend, type CachedToken, keyAndValue, type LiteralPolicy, selfAttention } from "./literal-attention.js";
import { add, feedForward, type LiteralModel, linear, norm, numbers, optionalNorm, type Row } from "./literal-parts.js";
import { emptyStateSpace, type StateSpace, stateSpace } from "./literal-state-space.js";

export type { LiteralPolicy } from "./literal-attention.js";
export type { LiteralModel } from "./literal-parts.js";

/** What one layer remembers of the text. */
interface LayerMemory {
  /** By KV head. */
  readonly caches: CachedToken[][];
  readonly states: StateSpace;
  /** What the encoder read. */
  readonly source: readonly CachedToken[];
}

/** Logits after every id; `source` is for an encoder. */
export function literalStreaming(
  model: LiteralModel,
  ids: Int32Array,
  policy: LiteralPolicy,
  source: Int32Array = new Int32Array(0),
): Row[] {
  const { spec } = model;
  const read = encode(model, source);
  const memories = spec.layers.map(({ cross }): LayerMemory => {
    const keys = cross ? read.map((x, position) => ({ position, ...keyAndValue(model, cross.body, x) })) : [];
    return { caches: [], states: emptyStateSpace(), source: keys };
  });
  return Array.from(ids, (id, position) => {
    let x = embed(model, id, position);
    spec.layers.forEach((layer, index) => {
      x = layerForward(model, layer, x, memories[index], position, (head) => policy.byHead?.(index, head) ?? policy);
    });
    const logits = linear(model, spec.head, norm(model, spec.norm, x));
    const { logitSoftcap: cap } = spec;
    return cap === undefined ? logits : logits.map((logit) => cap * Math.tanh(logit / cap));
  });
}

function embed(model: LiteralModel, id: number, position: number): Row {
  const { width, embedding, embeddingScale = 1, embeddingNorm, positions } = model.spec;
  const row = (table: Float32Array, at: number) => Float64Array.from(table.subarray(at * width, (at + 1) * width));
  const token = row(numbers(model, embedding), id).map((value) => value * embeddingScale);
  const added = positions?.kind === "learned" ? row(numbers(model, positions.table), position) : waves(width, position);
  const placed = positions ? add(token, added) : token;
  return optionalNorm(model, embeddingNorm, placed);
}

/** Sine and cosine, in turn, of angles that fall from 1 a position to 1 in ten thousand (1706.03762). */
function waves(width: number, position: number): Row {
  const angle = (pair: number) => position / 10000 ** ((2 * pair) / width);
  return Float64Array.from({ length: width }, (_, i) =>
    i % 2 === 0 ? Math.sin(angle(i / 2)) : Math.cos(angle((i - 1) / 2)),
  );
}

function layerForward(
  model: LiteralModel,
  layer: LayerSpec,
  x: Row,
  memory: LayerMemory,
  position: number,
  policyOf: (kvHead: number) => LiteralPolicy,
): Row {
  const { mixer, cross, feedForward: feeding, residual } = layer;
  const mixed = branch(model, mixer, x, (h) =>
    mixer.body.kind === "attention"
      ? selfAttention(
          model,
          mixer.body,
          h,
          memory.caches,
          position,
          Array.from({ length: mixer.body.kvHeads }, (_, head) => policyOf(head)),
        )
      : stateSpace(model, mixer.body, h, memory.states),
  );
  let sum = add(x, mixed);
  if (cross) {
    const seen = memory.source.map((token, place) => ({ token, place }));
    sum = add(
      sum,
      branch(model, cross, sum, (h) => attend(model, cross.body, h, seen, position)),
    );
  }
  if (!feeding) return sum;
  return add(
    sum,
    branch(model, feeding, residual === "parallel" ? x : sum, (h) => feedForward(model, feeding.body, h)),
  );
}

function branch(
  model: LiteralModel,
  { norm: before, postNorm }: BranchSpec<unknown> & { readonly norm: NormSpec },
  x: Row,
  body: (h: Row) => Row,
): Row {
  return optionalNorm(model, postNorm, body(norm(model, before, x)));
}

/** Every token of the source sees all of it. */
function encode(model: LiteralModel, source: Int32Array): Row[] {
  const { encoder } = model.spec;
  if (!encoder) return [];
  let rows = Array.from(source, (id, position) => embed(model, id, position));
  for (const { mixer, feedForward: feeding } of encoder.layers) {
    const { body } = mixer;
    if (body.kind !== "attention" || !feeding) throw new Error("not an encoder's layer");
    const normed = rows.map((x) => norm(model, mixer.norm, x));
    const seen = normed.map((h, place) => ({ place, token: { position: place, ...keyAndValue(model, body, h) } }));
    rows = rows.map((x, place) => {
      const sum = add(x, attend(model, body, normed[place], seen, place));
      return add(
        sum,
        branch(model, feeding, sum, (h) => feedForward(model, feeding.body, h)),
      );
    });
  }
  return rows.map((x) => norm(model, encoder.norm, x));
}
