/**
 * Linear where a backend trains, derivatives of linear and of its bias, and cross-entropy with its gradients, against sums in double precision. What may be
 * wrong follows from the rounding of f32: u for each of the additions that a number passes through.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Backend } from "../../src/tensor/backend.js";
import type { TrainingOps } from "../../src/tensor/training.js";
import { Random } from "../../src/util/random.js";
import { DEVICES, type Device, numbers, tensorOf, WASM_DEVICES, weightOf } from "./devices.js";

const BACKENDS = DEVICES;

const U = 2 ** -24;
/** What e^x and its sum may be off by, relative, in kernels of f32; tanh is that of kernels/vector/functions.ts. */
const EXP_ERROR = 4e-7;
const TANH_ERROR = 1e-6;
/** Where e^x ends in f32: smaller terms of a sum, and what fills a row to whole vectors, count as e^-87.3 each. */
const LEAST = 1e-36;

function training(ops: Backend): TrainingOps {
  if (!ops.training) throw new Error(`The backend ${ops.name} does not train.`);
  return ops.training;
}

/** Sums and what each may be off by: `additions` roundings of the sum of sizes. */
interface Sums {
  readonly values: Float64Array;
  readonly allowed: Float64Array;
}

/** [rows, cols]: sum over k < depth of term(row, col, k). */
function sums(rows: number, cols: number, depth: number, term: (row: number, col: number, k: number) => number): Sums {
  const [values, allowed] = [new Float64Array(rows * cols), new Float64Array(rows * cols)];
  for (let i = 0; i < values.length; i++) {
    const [row, col] = [Math.floor(i / cols), i % cols];
    for (let k = 0; k < depth; k++) {
      const value = term(row, col, k);
      values[i] += value;
      allowed[i] += Math.abs(value) * (depth + 1) * U;
    }
  }
  return { values, allowed };
}

/** The largest error in units of what is allowed. */
function worst(found: ArrayLike<number>, { values, allowed }: Sums): number {
  if (found.length !== values.length) return Number.POSITIVE_INFINITY;
  // Math.max keeps a NaN.
  return Array.from(found).reduce((most, value, i) => {
    return Math.max(most, Math.abs(value - values[i]) / (allowed[i] + Number.MIN_VALUE));
  }, 0);
}

/** T, outputs, inputs: parts of groups of four, of panels of sixteen, of items of 96 and 256, of chunks of 256. */
const SHAPES = [
  [1, 1, 1],
  [3, 5, 17],
  [7, 36, 52],
  [98, 261, 40],
  [301, 5, 33],
  [530, 100, 9],
  [12, 16, 275],
  [4, 515, 16],
] as const;

interface CrossCase {
  readonly rows: number;
  readonly cols: number;
  readonly vocabulary: number;
  readonly bias?: boolean;
  readonly softcap?: number;
  /** Every how manieth row has the weight 0; 0: none. */
  readonly zeros?: number;
  /** Size of the logits, about. */
  readonly size?: number;
}

const CROSS_CASES: readonly CrossCase[] = [
  { rows: 1, cols: 1, vocabulary: 1 },
  { rows: 5, cols: 12, vocabulary: 7, bias: true },
  { rows: 33, cols: 36, vocabulary: 130, softcap: 3 },
  { rows: 9, cols: 52, vocabulary: 2101, bias: true, softcap: 30, size: 10 },
  { rows: 501, cols: 8, vocabulary: 33, bias: true },
  { rows: 40, cols: 20, vocabulary: 61, zeros: 3 },
  { rows: 10, cols: 20, vocabulary: 16, zeros: 1 },
  { rows: 30, cols: 9, vocabulary: 50, size: 100 },
  { rows: 30, cols: 9, vocabulary: 50, size: 100, softcap: 30 },
];

interface CrossProblem extends CrossCase {
  readonly x: Float32Array;
  readonly head: Float32Array;
  readonly biases: Float32Array | undefined;
  readonly targets: Int32Array;
  readonly weights: Float32Array;
}

function crossProblem(given: CrossCase): CrossProblem {
  const { rows, cols, vocabulary, size = 1, zeros = 0 } = given;
  const random = new Random(rows + vocabulary);
  return {
    ...given,
    x: numbers(random, rows * cols, size),
    head: numbers(random, vocabulary * cols, 3 / Math.sqrt(cols)),
    biases: given.bias ? numbers(random, vocabulary, size) : undefined,
    targets: Int32Array.from({ length: rows }, () => random.below(vocabulary)),
    weights: numbers(random, rows).map((value, row) => (zeros > 0 && row % zeros === 0 ? 0 : value)),
  };
}

/** Of one row: its loss, and the gradient of its logits times the row's weight. */
interface RowLoss {
  readonly loss: number;
  readonly lossAllowed: number;
  readonly gradient: Float64Array;
  readonly gradientAllowed: Float64Array;
}

/** Logits of row t behind the soft cap, the cap's derivatives, and what logits may be off by. */
function capped({ x, head, biases, cols, vocabulary, softcap: cap }: CrossProblem, t: number) {
  let off = 0;
  const slopes = new Float64Array(vocabulary).fill(1);
  const logits = Float64Array.from({ length: vocabulary }, (_, v) => {
    let [sum, size] = [biases?.[v] ?? 0, Math.abs(biases?.[v] ?? 0)];
    for (let c = 0; c < cols; c++) {
      sum += x[t * cols + c] * head[v * cols + c];
      size += Math.abs(x[t * cols + c] * head[v * cols + c]);
    }
    off = Math.max(off, size * (cols + 1) * U);
    if (cap === undefined) return sum;
    slopes[v] = 1 - Math.tanh(sum / cap) ** 2;
    return cap * Math.tanh(sum / cap);
  });
  if (cap !== undefined) off += TANH_ERROR * cap;
  return { logits, slopes, off };
}

function rowLoss(problem: CrossProblem, t: number): RowLoss {
  const { vocabulary, softcap } = problem;
  const weight = problem.weights[t];
  const [gradient, gradientAllowed] = [new Float64Array(vocabulary), new Float64Array(vocabulary)];
  if (weight === 0) return { loss: 0, lossAllowed: 0, gradient, gradientAllowed };
  const target = problem.targets[t];
  const { logits, slopes, off } = capped(problem, t);
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const total = powers.reduce((a, b) => a + b);
  // Without the target's: 1 - p would cancel where p is nearly 1.
  const others = powers.reduce((sum, power, v) => (v === target ? sum : sum + power), 0);
  const ratio = others / powers[target];
  // A probability p changes by p (1 - p) times what logits are off by, against each other: twice `off`.
  const relative = 2 * off + EXP_ERROR;
  for (let v = 0; v < vocabulary; v++) {
    const share = v === target ? -others / total : powers[v] / total;
    gradient[v] = weight * share * slopes[v];
    // The derivative of a cap's slope is at most 2 / cap.
    const slopeError = softcap === undefined ? 0 : (2 * off) / softcap + 4 * U;
    gradientAllowed[v] = Math.abs(weight * share) * (slopes[v] * relative + slopeError) + 1e-30;
  }
  const loss = Math.log1p(ratio);
  return { loss, lossAllowed: (others / total) * relative + 4 * U * loss + LEAST, gradient, gradientAllowed };
}

/** How often everything is added to the kept gradients. */
const TIMES = 2;

/** Sums of the logits' gradients times factors, `of` each [row, id, factor], and what comes of what those are off by. */
function through(
  each: readonly RowLoss[],
  [rows, cols, depth]: readonly [number, number, number],
  of: (row: number, col: number, k: number) => readonly [t: number, v: number, factor: number],
): Sums {
  const made = sums(rows, cols, depth, (row, col, k) => {
    const [t, v, factor] = of(row, col, k);
    return each[t].gradient[v] * factor;
  });
  const off = sums(rows, cols, depth, (row, col, k) => {
    const [t, v, factor] = of(row, col, k);
    return each[t].gradientAllowed[v] * Math.abs(factor);
  });
  return { values: made.values, allowed: made.allowed.map((allowed, i) => allowed + off.values[i]) };
}

/** All that is to be found. */
function expectations(problem: CrossProblem) {
  const { rows, cols, vocabulary, x, head } = problem;
  const each = Array.from({ length: rows }, (_, t) => rowLoss(problem, t));
  return {
    losses: {
      values: Float64Array.from(each, ({ loss }) => loss),
      allowed: Float64Array.from(each, ({ lossAllowed }) => lossAllowed),
    },
    dx: through(each, [rows, cols, vocabulary], (t, c, v) => [t, v, head[v * cols + c]]),
    // An addition more for each time.
    head: through(each, [vocabulary, cols, TIMES * rows], (v, c, k) => [k % rows, v, x[(k % rows) * cols + c]]),
    bias: through(each, [1, vocabulary, TIMES * rows], (_, v, k) => [k % rows, v, 1]),
  };
}

/** For all devices, made once. */
const CROSS_PROBLEMS = CROSS_CASES.map((given) => {
  let made: ReturnType<typeof expectations> | undefined;
  const problem = crossProblem(given);
  return { given, problem, expected: () => (made ??= expectations(problem)) };
});

async function crossed(ops: Backend, problem: CrossProblem) {
  const { rows, cols, vocabulary } = problem;
  const [head, bias] = [ops.kept(vocabulary, cols), ops.kept(1, vocabulary)];
  ops.beginStep();
  const call = {
    x: tensorOf(ops, rows, cols, problem.x),
    head: weightOf(ops, "f32", vocabulary, cols, problem.head),
    bias: problem.biases && weightOf(ops, "f32", 1, vocabulary, problem.biases),
    softcap: problem.softcap,
    targets: ops.input(problem.targets),
    weights: ops.input(problem.weights),
  };
  const { losses, dx } = training(ops).crossEntropy({ ...call, gradients: { head, bias } });
  for (let i = 1; i < TIMES; i++) training(ops).crossEntropy({ ...call, gradients: { head, bias } });
  const only = training(ops).crossEntropy(call);
  if (!dx) throw new Error("There is no gradient of x.");
  const read = {
    losses: (await ops.read(losses)).slice(),
    dx: (await ops.read(dx)).slice(),
    head: await head.read(),
    bias: await bias.read(),
  };
  expect(only.dx).toBeUndefined();
  expect(await ops.read(only.losses)).toEqual(read.losses);
  head.dispose();
  bias.dispose();
  return read;
}

describe.each(BACKENDS)("$label", ({ create }) => {
  let ops: Backend;
  beforeAll(async () => {
    ops = await create();
  });
  afterAll(() => ops.dispose());

  test.each(SHAPES)("linear of %i rows to %i from %i", async (rows, outputs, inputs) => {
    const random = new Random(rows);
    const [dy, x] = [numbers(random, rows * outputs), numbers(random, rows * inputs)];
    const w = numbers(random, outputs * inputs);
    const before = numbers(random, outputs * inputs);
    const gradient = ops.kept(outputs, inputs);
    gradient.write(before);
    ops.beginStep();
    const [dyTensor, xTensor] = [tensorOf(ops, rows, outputs, dy), tensorOf(ops, rows, inputs, x)];
    const weight = weightOf(ops, "f32", outputs, inputs, w);
    const dx = training(ops).linearInput(dyTensor, weight);
    const y = ops.linear(xTensor, weight);
    for (let i = 0; i < 2; i++) training(ops).linearWeight(dyTensor, xTensor, gradient);
    const dxSums = sums(rows, inputs, outputs, (t, i, o) => dy[t * outputs + o] * w[o * inputs + i]);
    expect(worst(await ops.read(dx), dxSums)).toBeLessThan(1);
    const ySums = sums(rows, outputs, inputs, (t, o, i) => x[t * inputs + i] * w[o * inputs + i]);
    expect(worst(await ops.read(y), ySums)).toBeLessThan(1);
    const gradientSums = sums(outputs, inputs, 2 * rows + 1, (o, i, t) => {
      const row = t % rows;
      return t === 2 * rows ? before[o * inputs + i] : dy[row * outputs + o] * x[row * inputs + i];
    });
    expect(worst(await gradient.read(), gradientSums)).toBeLessThan(1);
    gradient.dispose();
  });

  test.each([
    [1, 1],
    [70, 52],
    [201, 17],
    [3, 1000],
  ])("sumRows of [%i, %i]", async (rows, cols) => {
    const dy = numbers(new Random(rows), rows * cols);
    const gradient = ops.kept(1, cols);
    ops.beginStep();
    for (let i = 0; i < 2; i++) training(ops).sumRows(tensorOf(ops, rows, cols, dy), gradient);
    const expected = sums(1, cols, 2 * rows, (_, column, t) => dy[(t % rows) * cols + column]);
    expect(worst(await gradient.read(), expected)).toBeLessThan(1);
    gradient.dispose();
  });

  test.each(CROSS_PROBLEMS)("crossEntropy: $given", async ({ problem, expected }) => {
    const found = await crossed(ops, problem);
    const { losses, dx, head, bias } = expected();
    expect(worst(found.losses, losses), "losses").toBeLessThanOrEqual(1);
    expect(worst(found.dx, dx), "dx").toBeLessThanOrEqual(1);
    expect(worst(found.head, head), "head").toBeLessThanOrEqual(1);
    expect(worst(found.bias, bias), "bias").toBeLessThanOrEqual(1);
  });

  test("crossEntropy refuses targets beyond the vocabulary, where they have a weight", () => {
    ops.beginStep();
    const call = (weights: number[]) => ({
      x: tensorOf(ops, 2, 4, new Float32Array(8)),
      head: weightOf(ops, "f32", 3, 4, new Float32Array(12)),
      targets: ops.input(Int32Array.of(0, 3)),
      weights: ops.input(Float32Array.from(weights)),
    });
    expect(() => training(ops).crossEntropy(call([1, 1]))).toThrow(/target 3 of row 1/);
    training(ops).crossEntropy(call([1, 0]));
  });
});

/** Everything above, once, as bytes. */
async function everything({ create }: Device): Promise<Buffer> {
  const ops = await create();
  const random = new Random(3);
  const parts: Float32Array[] = [];
  for (const [rows, outputs, inputs] of SHAPES) {
    ops.beginStep();
    const [dy, x] = [numbers(random, rows * outputs), numbers(random, rows * inputs)];
    const [gradient, bias] = [ops.kept(outputs, inputs), ops.kept(1, outputs)];
    const dyTensor = tensorOf(ops, rows, outputs, dy);
    const w = weightOf(ops, "f32", outputs, inputs, numbers(random, outputs * inputs));
    training(ops).linearWeight(dyTensor, tensorOf(ops, rows, inputs, x), gradient);
    training(ops).sumRows(dyTensor, bias);
    parts.push((await ops.read(training(ops).linearInput(dyTensor, w))).slice());
    parts.push((await ops.read(ops.linear(tensorOf(ops, rows, inputs, x), w))).slice());
    parts.push(await gradient.read(), await bias.read());
  }
  for (const { problem } of CROSS_PROBLEMS) parts.push(...Object.values(await crossed(ops, problem)));
  await ops.dispose();
  return Buffer.concat(parts.map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength)));
}

describe("the same bits", () => {
  const builds = new Map<string, Device[]>();
  for (const device of WASM_DEVICES) {
    // The wide module computes what the relaxed kernels do.
    const build = device.label.includes("plain") ? "plain" : "relaxed and wide";
    builds.set(build, [...(builds.get(build) ?? []), device]);
  }

  test.each([...builds])("on any number of threads, %s", async (_, [first, ...others]) => {
    const expected = await everything(first);
    for (const other of others) expect(Buffer.compare(await everything(other), expected), other.label).toBe(0);
  });
});
