/** Cases of attention for training, and its results and derivatives by the plain formulas in double precision. */
import type { Backend } from "../../src/tensor/backend.js";
import type { AttentionTrainingCall } from "../../src/tensor/training.js";
import type { Random } from "../../src/util/random.js";
import { numbers, weightOf } from "./devices.js";

export type SpanKind = "causal" | "window" | "sinks" | "scattered" | "all" | "some" | "nothing";

export interface Case {
  readonly rows: number;
  /** Default: as many as rows. */
  readonly keys?: number;
  readonly kvHeads: number;
  readonly group: number;
  readonly width: number;
  readonly valueWidth?: number;
  readonly spans: SpanKind;
  /** The second half of the KV heads sees this instead, in a call of its own. */
  readonly others?: SpanKind;
  readonly softcap?: number;
  readonly bias?: "linear" | "table";
  readonly sinks?: boolean;
}

/** Numbers of a case. Spans and places are those of its one or two calls. */
export interface Drawn {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly dOut: Float32Array;
  readonly calls: readonly { readonly spans: Int32Array; readonly places: Int32Array }[];
  readonly slopes: Float32Array;
  readonly table: Float32Array;
  readonly buckets: Int32Array;
  readonly sinks: Float32Array;
  /** What the gradients are added to. */
  readonly before: Gradients;
}

type Floats = Float32Array | Float64Array;
export type Gradients = Readonly<Record<"dq" | "dk" | "dv" | "dSinks" | "dTable", Floats>>;
export type Results = Gradients & Readonly<Record<"out" | "logSums", Floats>>;

export const TABLE_BUCKETS = 5;
const REACH = 21;

export const keysOf = (shape: Case) => shape.keys ?? shape.rows;
export const valueWidthOf = (shape: Case) => shape.valueWidth ?? shape.width;
export const headsOf = ({ kvHeads, group }: Case) => kvHeads * group;
const scaleOf = ({ width }: Case) => 1.5 / Math.sqrt(width);

/** The ranges of each row, all of the same number. */
function rangesOf(kind: SpanKind, shape: Case, random: Random): [number, number][][] {
  const keys = keysOf(shape);
  // Row t is the key's place `past` + t, as in text that goes on after a cache.
  const past = Math.max(0, keys - shape.rows);
  return Array.from({ length: shape.rows }, (_, t) => {
    const end = Math.min(keys, past + t + 1);
    return kind === "scattered" ? scattered(keys, random) : RANGES[kind](end, keys, t);
  });
}

/** By the end of what row t may see of all keys in causal order. */
const RANGES: Readonly<
  Record<Exclude<SpanKind, "scattered">, (end: number, keys: number, t: number) => [number, number][]>
> = {
  causal: (end) => [[0, end]],
  window: (end) => [[Math.max(0, end - 37), end]],
  sinks: (end) => [
    [0, Math.min(3, end)],
    [Math.max(Math.min(3, end), end - 29), end],
  ],
  all: (_, keys) => [[0, keys]],
  some: (end, _, t) => [t % 3 === 1 ? [0, 0] : [Math.max(0, end - 5), end]],
  nothing: () => [[7, 7]],
};

/** Up to four ranges with and without gaps, some empty, anywhere: BigBird's and worse. */
function scattered(keys: number, random: Random): [number, number][] {
  const bounds = Array.from({ length: 8 }, () => Math.floor(random.double() * (keys + 1))).sort((a, b) => a - b);
  if (random.double() < 0.3) bounds[4] = bounds[3];
  return [0, 2, 4, 6].map((i) => (random.double() < 0.2 ? [0, 0] : [bounds[i], bounds[i + 1]]));
}

export function draw(shape: Case, random: Random): Drawn {
  const { rows, kvHeads, width } = shape;
  const [heads, keys, valueWidth] = [headsOf(shape), keysOf(shape), valueWidthOf(shape)];
  const calls = [shape.spans, ...(shape.others ? [shape.others] : [])].map((kind) => {
    const ranges = rangesOf(kind, shape, random);
    const spans = Int32Array.from(ranges.flat(2));
    // Each range with distances of its own.
    const places = Int32Array.from({ length: spans.length / 2 }, (_, i) => spans[i * 2 + 1] + (i % 3) - 1);
    return { spans, places };
  });
  return {
    q: numbers(random, rows * heads * width, 2),
    k: numbers(random, keys * kvHeads * width, 2),
    v: numbers(random, keys * kvHeads * valueWidth),
    dOut: numbers(random, rows * heads * valueWidth),
    calls,
    slopes: Float32Array.from({ length: heads }, (_, h) => 0.3 / (h + 1)),
    table: numbers(random, TABLE_BUCKETS * heads),
    buckets: Int32Array.from({ length: 2 * REACH + 1 }, () => Math.floor(random.double() * TABLE_BUCKETS)),
    sinks: numbers(random, heads),
    before: {
      dq: numbers(random, rows * heads * width),
      dk: numbers(random, keys * kvHeads * width),
      dv: numbers(random, keys * kvHeads * valueWidth),
      dSinks: numbers(random, heads),
      dTable: numbers(random, TABLE_BUCKETS * heads),
    },
  };
}

/** A key that a row sees: its score before the bias, the score, and the bias's bucket. */
interface Seen {
  readonly key: number;
  readonly capped: number;
  readonly score: number;
  readonly bucket: number;
}

type Arrays = { readonly [name in "q" | "k" | "v" | "sinks" | "table"]: ArrayLike<number> };

function dot(a: ArrayLike<number>, at: number, b: ArrayLike<number>, from: number, width: number): number {
  let sum = 0;
  for (let d = 0; d < width; d++) sum += a[at + d] * b[from + d];
  return sum;
}

function seenBy(shape: Case, drawn: Drawn, x: Arrays, t: number, h: number): Seen[] {
  const { width, kvHeads, group, softcap, bias } = shape;
  const heads = headsOf(shape);
  const kvHead = Math.floor(h / group);
  const { spans, places } = drawn.calls[shape.others && kvHead >= Math.floor(kvHeads / 2) ? 1 : 0];
  const ranges = spans.length / shape.rows / 2;
  const seen: Seen[] = [];
  for (let r = t * ranges; r < (t + 1) * ranges; r++) {
    for (let key = spans[r * 2]; key < spans[r * 2 + 1]; key++) {
      const raw = scaleOf(shape) * dot(x.q, (t * heads + h) * width, x.k, (key * kvHeads + kvHead) * width, width);
      const capped = softcap ? softcap * Math.tanh(raw / softcap) : raw;
      const distance = places[r] - key;
      const bucket = drawn.buckets[REACH + Math.min(Math.max(distance, -REACH), REACH)];
      let score = capped;
      if (bias === "linear") score -= drawn.slopes[h] * distance;
      if (bias === "table") score += x.table[bucket * heads + h];
      seen.push({ key, capped, score, bucket });
    }
  }
  return seen;
}

/** Log of the denominator of a row and head. */
function logOf(shape: Case, x: Arrays, h: number, seen: readonly Seen[]): number {
  const scores = seen.map(({ score }) => score);
  if (shape.sinks) scores.push(x.sinks[h]);
  const most = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return scores.length === 0 ? most : most + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - most), 0));
}

/** Sum of out * dOut, for numbers other than those drawn. */
export function lossOf(shape: Case, drawn: Drawn, x: Arrays): number {
  const [heads, width] = [headsOf(shape), valueWidthOf(shape)];
  let sum = 0;
  for (let t = 0; t < shape.rows; t++) {
    for (let h = 0; h < heads; h++) {
      const seen = seenBy(shape, drawn, x, t, h);
      const log = logOf(shape, x, h, seen);
      for (const { key, score } of seen) {
        const value = (key * shape.kvHeads + Math.floor(h / shape.group)) * width;
        sum += Math.exp(score - log) * dot(drawn.dOut, (t * heads + h) * width, x.v, value, width);
      }
    }
  }
  return sum;
}

/** Everything, by the formulas of the softmax and its derivative; gradients are added to those before. */
export function bruteForce(shape: Case, drawn: Drawn): Results {
  const { before } = drawn;
  const [heads, valueWidth] = [headsOf(shape), valueWidthOf(shape)];
  const results = {
    out: new Float64Array(shape.rows * heads * valueWidth),
    logSums: new Float64Array(shape.rows * heads),
    dq: Float64Array.from(before.dq),
    dk: Float64Array.from(before.dk),
    dv: Float64Array.from(before.dv),
    dSinks: Float64Array.from(before.dSinks),
    dTable: Float64Array.from(before.dTable),
  };
  for (let t = 0; t < shape.rows; t++) for (let h = 0; h < heads; h++) bruteRow(shape, drawn, t, h, results);
  return results;
}

function bruteRow(shape: Case, drawn: Drawn, t: number, h: number, results: Results): void {
  const { width, kvHeads, group, softcap } = shape;
  const { q, k, v, dOut } = drawn;
  const [heads, valueWidth] = [headsOf(shape), valueWidthOf(shape)];
  const [row, rowOut] = [(t * heads + h) * width, (t * heads + h) * valueWidth];
  const kvHead = Math.floor(h / group);
  const seen = seenBy(shape, drawn, drawn, t, h);
  const log = logOf(shape, drawn, h, seen);
  results.logSums[t * heads + h] = log;
  const weights = seen.map(({ score }) => Math.exp(score - log));
  seen.forEach(({ key }, i) => {
    const value = (key * kvHeads + kvHead) * valueWidth;
    for (let d = 0; d < valueWidth; d++) {
      results.out[rowOut + d] += weights[i] * v[value + d];
      results.dv[value + d] += weights[i] * dOut[rowOut + d];
    }
  });
  const delta = dot(results.out, rowOut, dOut, rowOut, valueWidth);
  if (shape.sinks) results.dSinks[h] -= Math.exp(drawn.sinks[h] - log) * delta;
  seen.forEach(({ key, capped, bucket }, i) => {
    const dWeight = dot(dOut, rowOut, v, (key * kvHeads + kvHead) * valueWidth, valueWidth);
    const dScore = weights[i] * (dWeight - delta);
    if (shape.bias === "table") results.dTable[bucket * heads + h] += dScore;
    const dRaw = dScore * (softcap ? 1 - (capped / softcap) ** 2 : 1) * scaleOf(shape);
    const at = (key * kvHeads + kvHead) * width;
    for (let d = 0; d < width; d++) {
      results.dq[row + d] += dRaw * k[at + d];
      results.dk[at + d] += dRaw * q[row + d];
    }
  });
}

/** The calls of a case on a backend. */
function callsOf(ops: Backend, shape: Case, drawn: Drawn): AttentionTrainingCall[] {
  const { kvHeads, group, width, bias } = shape;
  const [heads, keys, valueWidth] = [headsOf(shape), keysOf(shape), valueWidthOf(shape)];
  const q = ops.tensor(ops.input(drawn.q), shape.rows, heads * width);
  const k = ops.tensor(ops.input(drawn.k), keys, kvHeads * width);
  const v = ops.tensor(ops.input(drawn.v), keys, kvHeads * valueWidth);
  const sinks = shape.sinks ? weightOf(ops, "f32", 1, heads, drawn.sinks) : undefined;
  const table = weightOf(ops, "f32", TABLE_BUCKETS, heads, drawn.table);
  const half = Math.floor(kvHeads / 2);
  const parts = shape.others
    ? [
        [0, half],
        [half, kvHeads - half],
      ]
    : [[0, kvHeads]];
  return parts.map(([head, count], i) => {
    const places = ops.input(drawn.calls[i].places);
    const biases = {
      linear: { kind: "linear", slopes: ops.input(drawn.slopes), places },
      table: { kind: "table", table, buckets: ops.input(drawn.buckets), places },
    } as const;
    return {
      ...{ q, k, v, head, heads: count, group, sinks, softcap: shape.softcap, scale: scaleOf(shape) },
      spans: ops.input(drawn.calls[i].spans),
      bias: bias && biases[bias],
    };
  });
}

/** A case's results and derivatives on a backend with a training tier. */
export async function attend(ops: Backend, shape: Case, drawn: Drawn): Promise<Results> {
  const { training } = ops;
  if (!training) throw new Error(`The ${ops.name} backend does not train.`);
  ops.beginStep();
  const { before } = drawn;
  const [heads, keys, valueWidth] = [headsOf(shape), keysOf(shape), valueWidthOf(shape)];
  const calls = callsOf(ops, shape, drawn);
  const out = ops.empty(shape.rows, heads * valueWidth);
  const logSums = ops.empty(shape.rows, heads);
  for (const call of calls) training.attendRows(call, out, logSums);
  const tensor = (values: ArrayLike<number>, rows: number) =>
    ops.tensor(ops.input(Float32Array.from(values)), rows, values.length / rows);
  const dOut = tensor(drawn.dOut, shape.rows);
  const [dq, dk, dv] = [tensor(before.dq, shape.rows), tensor(before.dk, keys), tensor(before.dv, keys)];
  const sinksGradient = ops.kept(1, heads);
  const tableGradient = ops.kept(TABLE_BUCKETS, heads);
  sinksGradient.write(Float32Array.from(before.dSinks));
  tableGradient.write(Float32Array.from(before.dTable));
  const gradients = {
    sinksGradient: shape.sinks ? sinksGradient : undefined,
    tableGradient: shape.bias === "table" ? tableGradient : undefined,
  };
  for (const call of calls) training.attendRowsBack({ ...call, ...gradients, out, logSums, dOut, dq, dk, dv });
  const results = {
    out: (await ops.read(out)).slice(),
    logSums: (await ops.read(logSums)).slice(),
    dq: (await ops.read(dq)).slice(),
    dk: (await ops.read(dk)).slice(),
    dv: (await ops.read(dv)).slice(),
    dSinks: await sinksGradient.read(),
    dTable: await tableGradient.read(),
  };
  sinksGradient.dispose();
  tableGradient.dispose();
  return results;
}
