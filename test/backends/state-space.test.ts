/** Convolution and selective scan on every backend, against the recurrences in double precision. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Backend } from "../../src/tensor/backend.js";
import type { KeptTensor } from "../../src/tensor/tensor.js";
import { Random } from "../../src/util/random.js";
import { DEVICES, difference, numbers, tensorOf, weightOf } from "./devices.js";

interface Convolution {
  readonly rows: number;
  readonly channels: number;
  readonly width: number;
  readonly x: Float32Array;
  readonly kernel: Float32Array;
  readonly bias: Float32Array | undefined;
  readonly before: Float32Array;
}

interface Scan {
  readonly rows: number;
  readonly heads: number;
  /** P, G, N and the columns of a. */
  readonly width: number;
  readonly groups: number;
  readonly states: number;
  readonly decays: number;
  readonly x: Float32Array;
  readonly dt: Float32Array;
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly c: Float32Array;
  readonly skip: Float32Array;
  readonly before: Float32Array;
}

function convolved({ rows, channels, width, x, kernel, bias, before }: Convolution): Float64Array {
  const all = Float64Array.from([...before, ...x]);
  const out = new Float64Array(rows * channels);
  for (let t = 0; t < rows; t++) {
    for (let i = 0; i < channels; i++) {
      let sum = bias?.[i] ?? 0;
      for (let k = 0; k < width; k++) sum += kernel[i * width + k] * all[(t + k) * channels + i];
      out[t * channels + i] = sum / (1 + Math.exp(-sum));
    }
  }
  return out;
}

/** Results, and of each the sum of the magnitudes that it was added up from, which rounding is measured by. */
function scanned(s: Scan) {
  const { rows, heads, width, groups, states } = s;
  const state = Float64Array.from(s.before);
  const stateSize = state.map(Math.abs);
  const y = new Float64Array(rows * heads * width);
  const ySize = new Float64Array(rows * heads * width);
  for (let t = 0; t < rows; t++) {
    for (let i = 0; i < heads * width; i++) {
      const h = Math.floor(i / width);
      const d = Math.log1p(Math.exp(-Math.abs(s.dt[t * heads + h]))) + Math.max(s.dt[t * heads + h], 0);
      const shared = (t * groups + Math.floor((h * groups) / heads)) * states;
      const out = t * heads * width + i;
      y[out] = s.skip[h] * s.x[out];
      ySize[out] = Math.abs(y[out]);
      for (let n = 0; n < states; n++) {
        const at = i * states + n;
        const decay = Math.exp(d * s.a[h * s.decays + (n % s.decays)]);
        const input = d * s.b[shared + n] * s.x[out];
        state[at] = decay * state[at] + input;
        stateSize[at] = decay * stateSize[at] + Math.abs(input);
        y[out] += s.c[shared + n] * state[at];
        ySize[out] += Math.abs(s.c[shared + n]) * stateSize[at];
      }
    }
  }
  return { y, ySize, state, stateSize };
}

/** Largest error in units of the sizes. */
function error(found: ArrayLike<number>, expected: Float64Array, sizes: Float64Array): number {
  expect(found.length).toBe(expected.length);
  return expected.reduce((most, value, i) => Math.max(most, Math.abs(found[i] - value) / (sizes[i] + 1e-30)), 0);
}

describe.each(DEVICES)("$label", ({ create }) => {
  let ops: Backend;
  const random = new Random(23);
  const keeps: KeptTensor[] = [];
  beforeAll(async () => {
    ops = await create();
  });
  afterEach(() => {
    for (const kept of keeps.splice(0)) kept.dispose();
  });
  afterAll(() => ops.dispose());

  function kept(rows: number, cols: number, values?: Float32Array): KeptTensor {
    const tensor = ops.kept(rows, cols);
    keeps.push(tensor);
    if (values) tensor.write(values);
    return tensor;
  }

  /** The problem on the device, its rows in chunks of that size; what is kept goes from one to the next. */
  async function convolve(c: Convolution, chunk: number) {
    const { rows, channels, width } = c;
    const kernel = weightOf(ops, "f32", channels, width, c.kernel);
    const bias = c.bias && weightOf(ops, "f32", 1, channels, c.bias);
    let [before, after] = [kept(width - 1, channels, c.before), kept(width - 1, channels)];
    const y: number[] = [];
    for (let start = 0; start < Math.max(1, rows); start += chunk) {
      const count = Math.min(chunk, rows - start);
      ops.beginStep();
      const x = tensorOf(ops, count, channels, c.x.subarray(start * channels));
      y.push(...(await ops.read(ops.convolution({ x, kernel, bias, before, after }))));
      [before, after] = [after, before];
    }
    return { y, last: await before.read() };
  }

  async function scan(s: Scan, chunk: number) {
    const { rows, heads, width, groups, states } = s;
    const channels = heads * width;
    const a = weightOf(ops, "f32", heads, s.decays, s.a);
    const skip = weightOf(ops, "f32", 1, heads, s.skip);
    let [before, after] = [kept(channels, states, s.before), kept(channels, states)];
    const y: number[] = [];
    for (let start = 0; start < Math.max(1, rows); start += chunk) {
      const count = Math.min(chunk, rows - start);
      ops.beginStep();
      const part = (values: Float32Array, cols: number) =>
        tensorOf(ops, count, cols, values.subarray(start * cols, (start + count) * cols));
      const [x, dt] = [part(s.x, channels), part(s.dt, heads)];
      const [b, c] = [part(s.b, groups * states), part(s.c, groups * states)];
      y.push(...(await ops.read(ops.scan({ x, dt, a, b, c, skip, before, after }))));
      [before, after] = [after, before];
    }
    return { y, state: await before.read() };
  }

  test.each([
    [1, 1536, 4, true],
    [70, 130, 4, true],
    [70, 130, 4, false],
    [7, 6, 4, true],
    [5, 3, 4, true],
    [4, 1, 4, true],
    [2, 33, 4, true],
    [20, 7, 5, true],
    [3, 21, 2, false],
    [9, 10, 1, true],
    [0, 9, 4, true],
  ])("convolution of %i rows, %i channels, width %i, bias: %s", async (rows, channels, width, biased) => {
    const problem = {
      ...{ rows, channels, width },
      x: numbers(random, rows * channels, 3),
      kernel: numbers(random, channels * width),
      bias: biased ? numbers(random, channels) : undefined,
      before: numbers(random, (width - 1) * channels, 3),
    };
    const whole = await convolve(problem, Math.max(1, rows));
    expect(difference(whole.y, convolved(problem))).toBeLessThan(1e-6);
    const all = Float32Array.from([...problem.before, ...problem.x]);
    expect(whole.last).toEqual(all.slice(rows * channels));
    for (const chunk of [1, 3]) expect(await convolve(problem, chunk)).toEqual(whole);
  });

  /** As models have them: small steps, decays from -1 on, inputs about 1. */
  function scanProblem(
    [rows, heads, width, groups, states, decays]: readonly number[],
    [leastStep, mostStep] = [-7, 1],
  ): Scan {
    return {
      ...{ rows, heads, width, groups, states, decays },
      x: numbers(random, rows * heads * width),
      dt: Float32Array.from({ length: rows * heads }, () => leastStep + random.double() * (mostStep - leastStep)),
      a: Float32Array.from({ length: heads * decays }, (_, i) => -((i % decays) + random.double())),
      b: numbers(random, rows * groups * states),
      c: numbers(random, rows * groups * states),
      skip: numbers(random, heads),
      before: numbers(random, heads * width * states),
    };
  }

  test.each([
    [1, 1536, 1, 1, 16, 16],
    [70, 20, 1, 1, 16, 16],
    [65, 37, 1, 1, 16, 16],
    [9, 5, 1, 1, 5, 5],
    [3, 17, 1, 1, 39, 39],
    [130, 4, 3, 2, 20, 1],
    [66, 2, 64, 1, 128, 1],
    [64, 3, 24, 3, 32, 1],
    [5, 6, 1, 3, 16, 1],
    [6, 3, 5, 1, 18, 18],
    [3, 1, 1, 1, 1, 1],
    [0, 3, 2, 1, 4, 1],
    [0, 33, 1, 1, 16, 16],
  ])("scan of %i rows, %i heads of %i, %i groups, %i states, %i decays", async (...shape) => {
    const problem = scanProblem(shape);
    const whole = await scan(problem, Math.max(1, shape[0]));
    const { y, ySize, state, stateSize } = scanned(problem);
    expect(error(whole.y, y, ySize)).toBeLessThan(1e-6);
    expect(error(whole.state, state, stateSize)).toBeLessThan(1e-6);
    for (const chunk of [1, 50]) {
      const parts = await scan(problem, chunk);
      // The reference keeps more digits within a chunk than from one to the next.
      if (ops.name === "reference") expect(error(parts.y, y, ySize)).toBeLessThan(1e-6);
      else expect(parts).toEqual(whole);
    }
  });

  test.each([
    [16, 1],
    [16, 16],
    [3, 3],
  ])("scan of steps from nothing to everything, %i states, %i decays", async (states, decays) => {
    const problem = scanProblem([40, 9, 1, 1, states, decays], [-120, 120]);
    const whole = await scan(problem, 40);
    const { y, ySize } = scanned(problem);
    expect(error(whole.y, y, ySize)).toBeLessThan(1e-6);
  });

  test("a state that fades over thousands of rows stays right", async () => {
    const problem = scanProblem([3000, 1, 1, 1, 16, 16], [-9, -8]);
    const { state, stateSize } = scanned(problem);
    // Rounding once or twice in 3000 rows, by 3e-8 on average, in random directions.
    expect(error((await scan(problem, 1000)).state, state, stateSize)).toBeLessThan(5e-6);
  });
});
