/** The reference backend's training tier: every derivative against finite differences of its own operations. */
import { describe, expect, test } from "vitest";
import { ReferenceBackend } from "../../src/backends/reference/reference.js";
import { Random } from "../../src/util/random.js";
import { directionalError } from "../support/finite-differences.js";
import { ATTENTION_SHAPES, attendDrawn, attentionCase } from "./attend-rows-cases.js";
import { attend, draw } from "./attention-cases.js";
import { difference, numbers, tensorOf, weightOf } from "./devices.js";
import { DERIVATIVE_CASES } from "./training-cases.js";
import { crossEntropyCheck } from "./training-cross-entropy.js";
import { checkOf, derivativeErrors } from "./training-given.js";

const ops = new ReferenceBackend();
const { training } = ops;

/**
 * Rounding of results to f32 leaves 2^-24 / 2^-5 = 2e-6 (see finite-differences.ts) times the size of the loss's parts over
 * that of its derivative, which is up to about 4 here: of the norms, whose results hardly depend on the size of x.
 */
const TOLERANCE = 2e-5;

describe("derivatives", () => {
  const attention = ATTENTION_SHAPES.map(([name, problem], i) => attentionCase(`attention: ${name}`, problem, i));
  const cases = [...DERIVATIVE_CASES, ...attention];
  test.each(cases.map((each, i) => [each.name, each, i] as const))("%s", async (_, each, seed) => {
    const errors = await derivativeErrors(await checkOf(ops, each, seed));
    expect(errors.right).toBeLessThan(TOLERANCE);
    expect(errors.negated).toBeGreaterThan(100 * TOLERANCE);
  });

  test.each([
    { rows: 7, width: 8, vocabulary: 20 },
    { rows: 7, width: 8, vocabulary: 20, softcap: 2 },
    { rows: 4, width: 12, vocabulary: 33, biased: true, softcap: 5 },
  ])("crossEntropy of %o", async (problem) => {
    const { check, losses, expected, dxWithoutGradients, weights } = await crossEntropyCheck(ops, problem, 1);
    // Logits of a few units are rounded to f32 on the direct way, losses on the other.
    expect(difference(losses, expected)).toBeLessThan(1e-6);
    expect(dxWithoutGradients).toBeUndefined();
    const errors = await derivativeErrors(check);
    expect(errors.right).toBeLessThan(TOLERANCE);
    expect(errors.negated).toBeGreaterThan(100 * TOLERANCE);
    const dx = check.gradients[0];
    for (let i = 0; i < dx.length; i++) expect(dx[i] === 0).toBe(weights[Math.floor(i / problem.width)] === 0);
  });
});

describe("attendRows", () => {
  test.each(ATTENTION_SHAPES.map(([name, problem], i) => [name, problem, i] as const))(
    "%s: as attention over pages",
    async (_, problem, seed) => {
      const whole = draw(problem, new Random(seed));
      const drawn = { ...whole, queries: whole.queries.map(() => whole.queries[0]) };
      const { out } = attendDrawn(ops, problem, drawn);
      const found = (await ops.read(out)).slice();
      // Both are sums in double precision, rounded once.
      expect(difference(found, await attend(ops, problem, drawn))).toBeLessThan(2 ** -24);
    },
  );

  /** Two KV heads with a query head each, of which the second is asked for. */
  const asked = (end: number) => ({
    q: tensorOf(ops, 2, 8, numbers(new Random(1), 16)),
    k: tensorOf(ops, 3, 8, numbers(new Random(2), 24)),
    v: tensorOf(ops, 3, 8, numbers(new Random(3), 24)),
    spans: ops.input(Int32Array.of(0, end, 0, end)),
    head: 1,
    heads: 1,
    group: 1,
    scale: 0.5,
    sinks: weightOf(ops, "f32", 1, 2, Float32Array.of(1, 2)),
  });
  const sevens = (rows: number, cols: number) =>
    ops.tensor(ops.input(new Float32Array(rows * cols).fill(7)), rows, cols);
  const isSeven = async (x: ReturnType<typeof sevens>) => Array.from(await ops.read(x), (value) => value === 7);

  test("leaves the columns of other heads alone, forward and backward", async () => {
    const [out, logSums] = [sevens(2, 8), sevens(2, 2)];
    training.attendRows(asked(3), out, logSums);
    const half = [true, true, true, true, false, false, false, false];
    expect(await isSeven(out)).toEqual([...half, ...half]);
    expect(await isSeven(logSums)).toEqual([true, false, true, false]);
    const sums = { dq: sevens(2, 8), dk: sevens(3, 8), dv: sevens(3, 8) };
    const sinksGradient = ops.kept(1, 2);
    sinksGradient.write(Float32Array.of(7, 7));
    training.attendRowsBack({ ...asked(3), out, logSums, dOut: sevens(2, 8), ...sums, sinksGradient });
    expect(await isSeven(sums.dq)).toEqual([...half, ...half]);
    expect(await isSeven(sums.dk)).toEqual([...half, ...half, ...half]);
    expect(await isSeven(sums.dv)).toEqual([...half, ...half, ...half]);
    expect(await isSeven(sinksGradient)).toEqual([true, false]);
  });

  test.each([
    { sinks: "no", log: Number.NEGATIVE_INFINITY },
    // That of the sink of the second head.
    { sinks: "a", log: 2 },
  ])("a row that sees nothing and has $sinks sink gives zeros, and has no gradient", async ({ sinks, log }) => {
    const nothing = () => (sinks === "a" ? asked(0) : { ...asked(0), sinks: undefined });
    const [out, logSums] = [sevens(2, 8), sevens(2, 2)];
    training.attendRows(nothing(), out, logSums);
    expect(await ops.read(logSums)).toEqual(Float32Array.of(7, log, 7, log));
    expect((await ops.read(out)).filter((value) => value !== 7)).toEqual(new Float32Array(8));
    const sums = { dq: sevens(2, 8), dk: sevens(3, 8), dv: sevens(3, 8) };
    const sinksGradient = ops.kept(1, 2);
    training.attendRowsBack({ ...nothing(), out, logSums, dOut: sevens(2, 8), ...sums, sinksGradient });
    for (const each of Object.values(sums)) expect((await isSeven(each)).every(Boolean)).toBe(true);
    expect(await sinksGradient.read()).toEqual(new Float32Array(2));
  });
});

describe("optimizer", () => {
  const settings = { rate: 0.01, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1 };
  const corrections = (step: number) => ({
    correction1: 1 - settings.beta1 ** step,
    correction2: 1 - settings.beta2 ** step,
  });
  const keptOf = (values: Float32Array) => {
    const kept = ops.kept(1, values.length);
    kept.write(values);
    return kept;
  };
  const numbersOf = async (weight: ReturnType<typeof weightOf>) =>
    Array.from(await ops.read(ops.embed(weight, ops.input(Int32Array.of(0)))));

  test("AdamW moves a weight with a steady gradient by the rate, whatever its size, and decays it", async () => {
    const start = Float32Array.of(1, -2, 0.5, 3);
    const weight = weightOf(ops, "f32", 1, 4, start);
    const gradient = keptOf(Float32Array.of(0.3, -0.001, 20, 0));
    const [first, second] = [ops.kept(1, 4), ops.kept(1, 4)];
    for (let step = 1; step <= 5; step++) {
      training.adamW({ weight, gradient, first, second, ...settings, ...corrections(step), gradientScale: 0.5 });
    }
    // Means of a steady g are g and g^2, so each step adds -rate sign(g) to (1 - rate decay) w. Epsilon is 2e-5 of |g|.
    const kept = 1 - settings.rate * settings.decay;
    const moves = (1 - kept ** 5) / (1 - kept);
    const expected = [-1, 1, -1, 0].map((sign, i) => start[i] * kept ** 5 + settings.rate * sign * moves);
    expect(difference(await numbersOf(weight), expected)).toBeLessThan(1e-6 + 2e-5 * settings.rate * moves);
  });

  test("AdamW's moments are the weighted means of all gradients", async () => {
    const random = new Random(5);
    const weight = weightOf(ops, "f32", 1, 8, numbers(random, 8));
    const gradient = ops.kept(1, 8);
    const [first, second] = [ops.kept(1, 8), ops.kept(1, 8)];
    const gradients = Array.from({ length: 4 }, () => numbers(random, 8));
    let expected = await numbersOf(weight);
    // Each clipped by another scale: one for all would not show in the weights.
    const clipped = gradients.map((each, s) => Float64Array.from(each, (g) => g / (s + 1)));
    const mean = (beta: number, step: number, i: number, power: number) =>
      clipped.slice(0, step).reduce((sum, g, s) => sum + (1 - beta) * beta ** (step - 1 - s) * g[i] ** power, 0);
    for (let step = 1; step <= gradients.length; step++) {
      gradient.write(gradients[step - 1]);
      const scales = corrections(step);
      training.adamW({ weight, gradient, first, second, ...settings, ...scales, gradientScale: 1 / step });
      expected = expected.map((w, i) => {
        const root = Math.sqrt(mean(settings.beta2, step, i, 2) / scales.correction2);
        const move = mean(settings.beta1, step, i, 1) / scales.correction1 / (root + settings.epsilon);
        return w - settings.rate * (move + settings.decay * w);
      });
    }
    // A rounding to f32 of weights and moments for each of four steps.
    expect(difference(await numbersOf(weight), expected)).toBeLessThan(4 * 2 ** -23);
  });

  test("AdamW refuses weights that are not f32", () => {
    const weight = weightOf(ops, "f16", 1, 4, new Float32Array(4));
    const [gradient, first, second] = [ops.kept(1, 4), ops.kept(1, 4), ops.kept(1, 4)];
    const call = { weight, gradient, first, second, ...settings, ...corrections(1), gradientScale: 1 };
    expect(() => training.adamW(call)).toThrow(/f32 weights only.*f16/);
  });

  test("sumsOfSquares keeps small numbers behind large ones, clear empties", async () => {
    const long = new Float32Array(20001).fill(1 / 64);
    long[0] = 64;
    const [a, b] = [keptOf(long), keptOf(Float32Array.of(3, 4))];
    expect(await ops.read(training.sumsOfSquares([a, b]))).toEqual(Float32Array.of(4096 + 20000 / 4096, 25));
    training.clear(a);
    expect((await a.read()).some((value) => value !== 0)).toBe(false);
    expect(await b.read()).toEqual(Float32Array.of(3, 4));
  });
});

describe("sums of tensors", () => {
  test("zeros, copy and accumulate", async () => {
    const x = tensorOf(ops, 2, 2, Float32Array.of(1, 2, 3, 4));
    const copy = training.copy(x);
    training.accumulate(copy, x);
    training.accumulate(ops.rows(copy, 1, 1), ops.rows(x, 0, 1));
    expect(await ops.read(copy)).toEqual(Float32Array.of(2, 4, 7, 10));
    expect(await ops.read(x)).toEqual(Float32Array.of(1, 2, 3, 4));
    expect(await ops.read(training.zeros(2, 3))).toEqual(new Float32Array(6));
  });
});

describe("finite differences", () => {
  const parameters = [numbers(new Random(1), 1000, 2), numbers(new Random(2), 10, 0.001)];
  const loss = ([waves, squares]: readonly Float32Array[]) =>
    waves.reduce((sum, x) => sum + Math.fround(Math.sin(x)), 0) +
    squares.reduce((sum, x) => sum + Math.fround(1e6 * x * x), 0);
  const gradients = [Float64Array.from(parameters[0], Math.cos), Float64Array.from(parameters[1], (x) => 2e6 * x)];
  const errorOf = (changed: readonly ArrayLike<number>[]) =>
    directionalError({ parameters, loss, gradients: changed, seed: 3 });

  test("right gradients pass", async () => {
    expect(await errorOf(gradients)).toBeLessThan(TOLERANCE);
  });

  test("one number of a thousand that is a hundredth off does not, nor do zeros, nor NaN", async () => {
    const wrong = gradients[0].map((value, i) => (i === 500 ? value * 1.01 : value));
    const none = parameters.map((each) => each.map(() => 0));
    expect(await errorOf([wrong, gradients[1]])).toBeGreaterThan(TOLERANCE);
    expect(await errorOf(none)).toBe(Number.POSITIVE_INFINITY);
    expect(await errorOf([gradients[0].fill(Number.NaN, 3, 4), gradients[1]])).toBeNaN();
  });
});
