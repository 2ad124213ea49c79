/** Derivatives of convolution and selective scan, against the chain rule in double precision, and that by differences. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Backend } from "../../src/tensor/backend.js";
import type { TrainingOps } from "../../src/tensor/training.js";
import { Random } from "../../src/util/random.js";
import { difference, numbers, tensorOf, weightOf } from "./devices.js";
import {
  differences,
  dot,
  double,
  errorOf,
  Keeps,
  numbersOf,
  type Sum,
  Sums,
  sameBits,
  TRAINING_BACKENDS,
  trainingOf,
} from "./training-checks.js";

interface Convolution {
  readonly rows: number;
  readonly channels: number;
  readonly width: number;
  readonly x: Float64Array;
  readonly kernel: Float64Array;
  readonly bias: Float64Array;
  readonly dy: Float64Array;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** Sums before SiLU, and of each the taps: places in x and in the kernel. */
function taps({ rows, channels, width, x, kernel, bias }: Convolution) {
  return Array.from({ length: rows * channels }, (_, at) => {
    const [t, channel] = [Math.floor(at / channels), at % channels];
    const places: [number, number][] = [];
    for (let k = Math.max(0, width - 1 - t); k < width; k++) {
      places.push([(t + k - width + 1) * channels + channel, channel * width + k]);
    }
    return { sum: places.reduce((sum, [i, j]) => sum + x[i] * kernel[j], bias[channel]), places };
  });
}

const convolved = (c: Convolution): Float64Array => Float64Array.from(taps(c), ({ sum }) => sum * sigmoid(sum));

function convolutionDerivatives(c: Convolution) {
  const { x, kernel, bias, dy, channels } = c;
  const [dx, ofKernel, ofBias] = [new Sums(x.length), new Sums(kernel.length), new Sums(bias.length)];
  taps(c).forEach(({ sum, places }, at) => {
    const slope = sigmoid(sum) * (1 + sum * sigmoid(-sum)) * dy[at];
    // What the sum's own rounding makes of the slope.
    const size = (1 + places.reduce((total, [i, j]) => total + Math.abs(x[i] * kernel[j]), 0)) * Math.abs(dy[at]);
    ofBias.add(at % channels, slope, size);
    for (const [i, j] of places) {
      dx.add(i, slope * kernel[j], size * Math.abs(kernel[j]));
      ofKernel.add(j, slope * x[i], size * Math.abs(x[i]));
    }
  });
  return { dx, kernel: ofKernel, bias: ofBias };
}

interface Scan {
  readonly rows: number;
  readonly heads: number;
  /** P, G, N and the columns of a. */
  readonly width: number;
  readonly groups: number;
  readonly states: number;
  readonly decays: number;
  readonly x: Float64Array;
  readonly dt: Float64Array;
  readonly a: Float64Array;
  readonly b: Float64Array;
  readonly c: Float64Array;
  readonly skip: Float64Array;
  readonly dy: Float64Array;
}

const softplus = (x: number) => Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0);

/** Where the numbers of row t, channel i and state n stand. */
function placesOf({ heads, width, groups, states, decays }: Scan, t: number, i: number, n: number) {
  const head = Math.floor(i / width);
  const shared = (t * groups + Math.floor((head * groups) / heads)) * states + n;
  return { x: t * heads * width + i, dt: t * heads + head, a: head * decays + (n % decays), shared, head };
}

function scanned(s: Scan): Float64Array {
  const y = new Float64Array(s.x.length);
  for (let i = 0; i < s.heads * s.width; i++) {
    for (let n = 0; n < s.states; n++) {
      let state = 0;
      for (let t = 0; t < s.rows; t++) {
        const at = placesOf(s, t, i, n);
        const d = softplus(s.dt[at.dt]);
        state = Math.exp(d * s.a[at.a]) * state + d * s.b[at.shared] * s.x[at.x];
        y[at.x] += s.c[at.shared] * state + (n === 0 ? s.skip[at.head] * s.x[at.x] : 0);
      }
    }
  }
  return y;
}

/**
 * By the chain rule through one number of a state: its gradient from the last row to the first. Sizes are the same sums
 * of magnitudes.
 */
function scanDerivatives(s: Scan) {
  const sums = (like: Float64Array) => new Sums(like.length);
  const out = { x: sums(s.x), dt: sums(s.dt), a: sums(s.a), b: sums(s.b), c: sums(s.c), skip: sums(s.skip) };
  for (let i = 0; i < s.heads * s.width; i++) {
    for (let n = 0; n < s.states; n++) stateDerivatives(s, out, i, n);
    for (let t = 0; t < s.rows; t++) {
      const at = placesOf(s, t, i, 0);
      out.x.add(at.x, s.skip[at.head] * s.dy[at.x]);
      out.skip.add(at.head, s.x[at.x] * s.dy[at.x]);
    }
  }
  return out;
}

function stateDerivatives(s: Scan, out: ReturnType<typeof scanDerivatives>, i: number, n: number): void {
  // Of each row the state before it and the size of that.
  const states = [[0, 0]];
  for (let t = 0; t < s.rows; t++) {
    const at = placesOf(s, t, i, n);
    const d = softplus(s.dt[at.dt]);
    const decay = Math.exp(d * s.a[at.a]);
    const input = d * s.b[at.shared] * s.x[at.x];
    states.push([decay * states[t][0] + input, decay * states[t][1] + Math.abs(input)]);
  }
  let [g, size] = [0, 0];
  for (let t = s.rows - 1; t >= 0; t--) {
    const at = placesOf(s, t, i, n);
    const [x, b, a, d] = [s.x[at.x], s.b[at.shared], s.a[at.a], softplus(s.dt[at.dt])];
    const slope = s.c[at.shared] * s.dy[at.x];
    [g, size] = [g + slope, size + Math.abs(slope)];
    const decay = Math.exp(d * a);
    const [before, beforeSize] = states[t];
    out.c.add(at.shared, s.dy[at.x] * states[t + 1][0], Math.abs(s.dy[at.x]) * states[t + 1][1]);
    out.x.add(at.x, g * d * b, size * Math.abs(d * b));
    out.b.add(at.shared, g * d * x, size * Math.abs(d * x));
    // A decay's error is that of its exponent, d a.
    const decayed = size * decay * beforeSize * (1 - d * a);
    out.a.add(at.a, g * d * decay * before, d * decayed);
    const step = g * (a * decay * before + b * x);
    out.dt.add(
      at.dt,
      step * sigmoid(s.dt[at.dt]),
      (Math.abs(a) * decayed + size * Math.abs(b * x)) * sigmoid(s.dt[at.dt]),
    );
    [g, size] = [g * decay, size * decay];
  }
}

function convolutionProblem(random: Random, [rows, channels, width]: readonly number[]): Convolution {
  const of = (count: number, spread = 1) => double(numbers(random, count, spread));
  return {
    ...{ rows, channels, width, x: of(rows * channels, 2), kernel: of(channels * width) },
    ...{ bias: of(channels), dy: of(rows * channels) },
  };
}

/** As models have them: small steps, decays from -1 on, inputs about 1. */
function scanProblem(random: Random, [rows, heads, width, groups, states, decays]: readonly number[]): Scan {
  const of = (count: number) => double(numbers(random, count));
  return {
    ...{ rows, heads, width, groups, states, decays },
    ...{ x: of(rows * heads * width), b: of(rows * groups * states), c: of(rows * groups * states) },
    dt: of(rows * heads).map((value) => Math.fround(4 * value - 3)),
    a: of(heads * decays).map((value, i) => Math.fround(-(i % decays) - 0.5 + value / 2)),
    ...{ skip: of(heads), dy: of(rows * heads * width) },
  };
}

describe("the chain rule finds what differences find", () => {
  test.each([
    [5, 3, 4],
    [2, 2, 3],
    [3, 2, 1],
  ])("convolution of %i rows, %i channels, width %i", (...shape) => {
    const c = convolutionProblem(new Random(3), shape);
    const loss = () => dot(c.dy, convolved(c));
    const found = convolutionDerivatives(c);
    expect(difference(differences(c.x, loss), found.dx.values)).toBeLessThan(1e-8);
    expect(difference(differences(c.kernel, loss), found.kernel.values)).toBeLessThan(1e-8);
    expect(difference(differences(c.bias, loss), found.bias.values)).toBeLessThan(1e-8);
  });

  test.each([
    [4, 3, 1, 1, 2, 2],
    [4, 4, 3, 2, 3, 1],
  ])("scan of %i rows, %i heads of %i, %i groups, %i states, %i decays", (...shape) => {
    const s = scanProblem(new Random(4), shape);
    const loss = () => dot(s.dy, scanned(s));
    const found = scanDerivatives(s);
    for (const name of ["x", "dt", "a", "b", "c", "skip"] as const) {
      expect(difference(differences(s[name], loss), found[name].values), name).toBeLessThan(1e-8);
    }
  });
});

describe.each(TRAINING_BACKENDS)("$label", ({ label, create }) => {
  let ops: Backend;
  let training: TrainingOps;
  let keeps: Keeps;
  let random: Random;
  beforeAll(async () => {
    ops = await create();
    training = trainingOf(ops);
    keeps = new Keeps(ops);
  });
  beforeEach(() => {
    random = new Random(37);
    ops.beginStep();
  });
  afterEach(() => keeps.dispose());
  afterAll(() => ops.dispose());

  const weight = (rows: number, cols: number, values: Float64Array) =>
    weightOf(ops, "f32", rows, cols, Float32Array.from(values));
  const tensor = (rows: number, cols: number, values: Float64Array) =>
    tensorOf(ops, rows, cols, Float32Array.from(values));

  /** With what the gradient had before. */
  const added = ({ values, sizes }: Sum, before: Float32Array): Sum => ({
    values: values.map((value, i) => value + before[i]),
    sizes: sizes.map((size, i) => size + Math.abs(before[i])),
  });

  test.each([
    [1, 1, 4, true],
    [2, 33, 4, true],
    [70, 130, 4, true],
    [129, 7, 4, false],
    [66, 22, 5, true],
    [30, 10, 1, true],
    [3, 5, 70, true],
    [0, 9, 4, true],
  ])("convolution of %i rows, %i channels, width %i, bias: %s", async (rows, channels, width, biased) => {
    const problem = convolutionProblem(random, [rows, channels, width]);
    const c = biased ? problem : { ...problem, bias: problem.bias.map(() => 0) };
    const [kernelBefore, biasBefore] = [numbers(random, channels * width), numbers(random, channels)];
    const call = {
      ...{ x: tensor(rows, channels, c.x), dy: tensor(rows, channels, c.dy) },
      ...{ kernel: weight(channels, width, c.kernel), bias: biased ? weight(1, channels, c.bias) : undefined },
    };
    const kernelGradient = keeps.of(channels, width, kernelBefore);
    const biasGradient = keeps.of(1, channels, biasBefore);
    const dx = await numbersOf(ops, training.convolutionInput({ ...call, kernelGradient, biasGradient }));
    const expected = convolutionDerivatives(c);
    expect(errorOf(dx, expected.dx)).toBeLessThan(1e-6);
    expect(await numbersOf(ops, training.convolutionInput(call))).toEqual(dx);
    const found = await kernelGradient.read();
    expect(errorOf(found, added(expected.kernel, kernelBefore))).toBeLessThan(1e-6);
    expect(errorOf(await biasGradient.read(), added(expected.bias, biasBefore))).toBeLessThan(1e-6);
    sameBits(label, `kernel ${rows} ${channels} ${width}`, found);
    sameBits(label, `convolution ${rows} ${channels} ${width}`, dx);
  });

  test.each([
    [1, 1, 1, 1, 1, 1],
    [5, 3, 1, 1, 5, 5],
    [70, 37, 1, 1, 16, 16],
    [64, 20, 1, 1, 16, 16],
    [200, 9, 1, 1, 4, 4],
    [130, 4, 3, 2, 20, 1],
    [66, 2, 40, 1, 32, 1],
    [67, 6, 5, 3, 7, 1],
    [20, 18, 1, 2, 8, 8],
    [6, 3, 5, 1, 18, 18],
    [0, 3, 2, 1, 4, 1],
  ])("scan of %i rows, %i heads of %i, %i groups, %i states, %i decays", async (...shape) => {
    const [rows, heads, width, groups, states, decays] = shape;
    const s = scanProblem(random, shape);
    const [aBefore, skipBefore] = [numbers(random, heads * decays), numbers(random, heads)];
    const call = {
      ...{ x: tensor(rows, heads * width, s.x), dt: tensor(rows, heads, s.dt), a: weight(heads, decays, s.a) },
      ...{ b: tensor(rows, groups * states, s.b), c: tensor(rows, groups * states, s.c), states },
      ...{ skip: weight(1, heads, s.skip), dy: tensor(rows, heads * width, s.dy) },
    };
    const gradients = { aGradient: keeps.of(heads, decays, aBefore), skipGradient: keeps.of(1, heads, skipBefore) };
    const expected = scanDerivatives(s);
    const found = training.scanInputs({ ...call, ...gradients });
    const again = training.scanInputs(call);
    for (const name of ["x", "dt", "b", "c"] as const) {
      const values = await numbersOf(ops, found[name]);
      expect(errorOf(values, expected[name]), name).toBeLessThan(1e-6);
      expect(await numbersOf(ops, again[name])).toEqual(values);
      sameBits(label, `${name} ${shape}`, values);
    }
    const ofA = await gradients.aGradient.read();
    expect(errorOf(ofA, added(expected.a, aBefore)), "a").toBeLessThan(1e-6);
    expect(errorOf(await gradients.skipGradient.read(), added(expected.skip, skipBefore)), "skip").toBeLessThan(1e-6);
    sameBits(label, `a ${shape}`, ofA);
  });
});
