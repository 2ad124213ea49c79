/**
 * A Llama (RMSNorm, interleaved RoPE, grouped KV heads, SwiGLU, tied embedding) written in @jax-js/jax: its loss, the
 * gradients of its weights and a step of AdamW. It is the peer that Sluice's training is compared with, in numbers by the
 * tests and in speed by `npm run bench -- --train`. What it exports is documented in jax-llama.d.mts.
 *
 * A call of jax consumes its arrays; `.ref` keeps one for another use. Where there were equal ways, the one that its
 * compiler makes faster code of was taken: rows by columns throughout (`lax.dot` copies what is laid out otherwise), a
 * comparison instead of a gather of the targets, attention divided by its sums only after the values are mixed, the pairs
 * of RoPE by a flipped view.
 */
import { blockUntilReady, jit, lax, nn, numpy as np, valueAndGrad } from "@jax-js/jax";

/** What a causal row does not see gets this score, whose exponential is zero. */
const HIDDEN = -1e9;

export function weightShapes({ vocabulary, width, layers, heads, kvHeads, hidden }) {
  const kvWidth = (width / heads) * kvHeads;
  const shapes = new Map([["token_embd.weight", [vocabulary, width]]]);
  for (let layer = 0; layer < layers; layer++) {
    const block = {
      attn_norm: [width],
      attn_q: [width, width],
      attn_k: [kvWidth, width],
      attn_v: [kvWidth, width],
      attn_output: [width, width],
      ffn_norm: [width],
      ffn_gate: [hidden, width],
      ffn_up: [hidden, width],
      ffn_down: [width, hidden],
    };
    for (const [name, dims] of Object.entries(block)) shapes.set(`blk.${layer}.${name}.weight`, dims);
  }
  return shapes.set("output_norm.weight", [width]);
}

/** Uniform in [0, 1), by mulberry32. */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function randomWeights(shape, seed, deviation = 0.02) {
  const random = generator(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const draw = (dims) =>
    dims.length === 1
      ? new Float32Array(dims[0]).fill(1)
      : Float32Array.from({ length: dims[0] * dims[1] }, () => deviation * normal());
  return new Map([...weightShapes(shape)].map(([name, dims]) => [name, draw(dims)]));
}

/** x [T, in] times W [out, in]: [T, out]. */
const linear = (x, weight) => lax.dot(x, weight, { lhsContractingDims: [1], rhsContractingDims: [1] });

/** Products of the matrices of x and y [B, h, rows, cols], over x's columns and y's axis `over`. (einsum needs Node 22.) */
const byBatch = (x, y, over) =>
  lax.dot(x, y, {
    lhsContractingDims: [3],
    rhsContractingDims: [over],
    lhsBatchDims: [0, 1],
    rhsBatchDims: [0, 1],
  });

function rmsNorm(x, gain, epsilon) {
  const square = np.mean(np.square(x.ref), -1, { keepdims: true });
  return x.mul(np.reciprocal(np.sqrt(square.add(epsilon)))).mul(gain);
}

/** cos and sin [S, D] of the angles, each twice, the first sine of a pair with the sign that it has in the rotation. */
function rotationTables(sequence, headWidth, base) {
  const cos = new Float32Array(sequence * headWidth);
  const sin = new Float32Array(sequence * headWidth);
  for (let place = 0; place < sequence; place++) {
    for (let i = 0; i < headWidth; i++) {
      const angle = place * base ** (-(i - (i % 2)) / headWidth);
      cos[place * headWidth + i] = Math.cos(angle);
      sin[place * headWidth + i] = i % 2 === 0 ? -Math.sin(angle) : Math.sin(angle);
    }
  }
  return { cos, sin };
}

/** x [B, S, h, D] with the pairs (2i, 2i+1) rotated. */
function rotate(x, { cos, sin }) {
  const [, sequence, , headWidth] = x.shape;
  const swapped = np.flip(x.ref.reshape([...x.shape.slice(0, 3), headWidth / 2, 2]), -1).reshape(x.shape);
  const table = (values) => np.array(values).reshape([sequence, 1, headWidth]);
  return x.mul(table(cos)).add(swapped.mul(table(sin)));
}

/** q [B, S, H, D], k and v [B, S, Hkv, D]: [B*S, H*D]. */
function attention(q, k, v) {
  const [batch, sequence, heads, headWidth] = q.shape;
  const kvHeads = k.shape[2];
  const group = heads / kvHeads;
  // [B, Hkv, G*S, D] and [B, Hkv, S, D]
  const queries = q.reshape([batch, sequence, kvHeads, group, headWidth]).transpose([0, 2, 3, 1, 4]);
  const flat = queries.reshape([batch, kvHeads, group * sequence, headWidth]);
  const scores = byBatch(flat, k.transpose([0, 2, 1, 3]), 3).mul(headWidth ** -0.5);
  const split = scores.reshape([batch, kvHeads, group, sequence, sequence]);
  const seen = np.tri(sequence, sequence, 0, { dtype: np.bool });
  const masked = np.where(seen, split, HIDDEN);
  const most = lax.stopGradient(np.max(masked.ref, -1, { keepdims: true }));
  const raw = np.exp(masked.sub(most));
  const total = raw.ref.sum(-1, { keepdims: true });
  const rows = raw.reshape([batch, kvHeads, group * sequence, sequence]);
  const mixed = byBatch(rows, v.transpose([0, 2, 1, 3]), 2);
  const back = mixed.reshape([batch, kvHeads, group, sequence, headWidth]).div(total).transpose([0, 3, 1, 2, 4]);
  return back.reshape([batch * sequence, heads * headWidth]);
}

/** Mean cross-entropy of the next ids. */
function crossEntropy(logits, targets) {
  const vocabulary = logits.shape[1];
  const most = lax.stopGradient(np.max(logits.ref, -1, { keepdims: true }));
  const shifted = logits.sub(most);
  const logSum = np.log(np.exp(shifted.ref).sum(-1));
  const hit = np.equal(targets.reshape([-1, 1]), np.arange(vocabulary, undefined, undefined, { dtype: np.int32 }));
  const picked = np.where(hit, shifted, 0).sum(-1);
  return np.mean(logSum.sub(picked));
}

/** The loss as a function of (weights, inputs i32 [B*S], targets i32 [B*S]); consumes them. */
function lossOf(shape) {
  const { width, layers, heads, kvHeads, sequence, batch, ropeBase = 10000, epsilon = 1e-5 } = shape;
  const headWidth = width / heads;
  const angles = rotationTables(sequence, headWidth, ropeBase);
  const byHead = (x, count) => x.reshape([batch, sequence, count, headWidth]);
  return (weights, inputs, targets) => {
    const embedding = weights["token_embd.weight"];
    let x = embedding.ref.slice(inputs);
    for (let layer = 0; layer < layers; layer++) {
      const of = (name) => weights[`blk.${layer}.${name}.weight`];
      const normed = rmsNorm(x.ref, of("attn_norm"), epsilon);
      const q = rotate(byHead(linear(normed.ref, of("attn_q")), heads), angles);
      const k = rotate(byHead(linear(normed.ref, of("attn_k")), kvHeads), angles);
      const v = byHead(linear(normed, of("attn_v")), kvHeads);
      x = x.add(linear(attention(q, k, v), of("attn_output")));
      const second = rmsNorm(x.ref, of("ffn_norm"), epsilon);
      const gate = nn.silu(linear(second.ref, of("ffn_gate")));
      x = x.add(linear(gate.mul(linear(second, of("ffn_up"))), of("ffn_down")));
    }
    return crossEntropy(linear(rmsNorm(x, weights["output_norm.weight"], epsilon), embedding), targets);
  };
}

/** The numbers of a map, as arrays of jax. */
function toArrays(shape, weights) {
  const array = ([name, dims]) => {
    const values = weights.get(name);
    const count = dims.reduce((product, dim) => product * dim, 1);
    if (values?.length !== count) throw new Error(`${name}: expected ${count} numbers, found ${values?.length}`);
    return [name, np.array(Float32Array.from(values)).reshape(dims)];
  };
  return Object.fromEntries([...weightShapes(shape)].map(array));
}

/** ids [B, S+1] as what is read and what is to be said, each i32 [B*S]. */
function toRows({ batch, sequence }, ids) {
  if (ids.length !== batch * (sequence + 1)) {
    throw new Error(`expected ${batch} rows of ${sequence + 1} ids, found ${ids.length} ids`);
  }
  const rows = (shift) => {
    const from = (row) => row * (sequence + 1) + shift;
    const parts = Array.from({ length: batch }, (_, row) => [...ids.subarray(from(row), from(row) + sequence)]);
    return np.array(Int32Array.from(parts.flat()));
  };
  return [rows(0), rows(1)];
}

async function read(array) {
  const values = Float32Array.from(await array.ref.data());
  array.dispose();
  return values;
}

export function createJaxModel(shape) {
  const loss = jit(lossOf(shape));
  const both = jit(valueAndGrad(lossOf(shape)));
  return {
    async loss(weights, ids) {
      return (await read(loss(toArrays(shape, weights), ...toRows(shape, ids))))[0];
    },
    async lossAndGradients(weights, ids) {
      const [value, gradients] = both(toArrays(shape, weights), ...toRows(shape, ids));
      const readOne = async ([name, gradient]) => [name, await read(gradient)];
      return {
        loss: (await read(value))[0],
        gradients: new Map(await Promise.all(Object.entries(gradients).map(readOne))),
      };
    },
  };
}

/** One weight's step of AdamW. @returns the weight and both moments; consumes all arrays but `scales` */
function adamW([weight, gradient, first, second], scales, { rate, beta1, beta2, stabiliser, decay }) {
  const m = first.mul(beta1).add(gradient.ref.mul(1 - beta1));
  const v = second.mul(beta2).add(np.square(gradient).mul(1 - beta2));
  const root = np.sqrt(v.ref.mul(scales.second.ref)).add(stabiliser);
  const update = m.ref.mul(scales.first.ref).div(root);
  const kept = weight.ndim > 1 ? weight.mul(1 - rate * decay) : weight;
  return [kept.sub(update.mul(rate)), m, v];
}

const ADAMW = { rate: 1e-3, beta1: 0.9, beta2: 0.95, stabiliser: 1e-8, decay: 0.1 };

export function createJaxTrainer({ seed, weights = undefined, ...options }) {
  const shape = options;
  const settings = { ...ADAMW, ...options };
  const names = [...weightShapes(shape).keys()];
  const differentiate = valueAndGrad(lossOf(shape));
  const compiled = jit((state, scales, inputs, targets) => {
    const current = Object.fromEntries(names.map((name) => [name, state.weights[name].ref]));
    const [loss, gradients] = differentiate(current, inputs, targets);
    const next = { weights: {}, first: {}, second: {} };
    for (const name of names) {
      const arrays = [state.weights[name], gradients[name], state.first[name], state.second[name]];
      [next.weights[name], next.first[name], next.second[name]] = adamW(arrays, scales, settings);
    }
    scales.first.dispose();
    scales.second.dispose();
    return [loss, next];
  });
  const zeros = () => Object.fromEntries([...weightShapes(shape)].map(([name, dims]) => [name, np.zeros(dims)]));
  let state = { weights: toArrays(shape, weights ?? randomWeights(shape, seed)), first: zeros(), second: zeros() };
  let steps = 0;
  const correction = (beta) => np.array(Float32Array.of(1 / (1 - beta ** steps)));
  return {
    async step(ids) {
      steps++;
      const scales = { first: correction(settings.beta1), second: correction(settings.beta2) };
      const [loss, next] = compiled(state, scales, ...toRows(shape, ids));
      state = next;
      await blockUntilReady(Object.values(state).flatMap((arrays) => Object.values(arrays)));
      return (await read(loss))[0];
    },
    async weights() {
      const readOne = async ([name, array]) => [name, await read(array.ref)];
      return new Map(await Promise.all(Object.entries(state.weights).map(readOne)));
    },
  };
}
