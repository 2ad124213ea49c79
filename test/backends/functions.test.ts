/** Functions of single elements, alone and as gates, on every backend, against double precision. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Backend, ElementFunction, Gating } from "../../src/tensor/backend.js";
import { Random } from "../../src/util/random.js";
import { erfc } from "../support/erfc.js";
import { DEVICES, difference, numbers, tensorOf } from "./devices.js";

const SHAPES = [
  [1, 1],
  [1, 7],
  [5, 33],
  [1, 4096],
  [67, 130],
] as const;

const FUNCTIONS: Readonly<Record<ElementFunction, (x: number, p: number) => number>> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  geluErf: (x) => (x < 0 ? (x / 2) * erfc(-x / Math.SQRT2) : x * (1 - erfc(x / Math.SQRT2) / 2)),
  relu: (x) => Math.max(0, x),
  scale: (x, p) => x * p,
  clamp: (x, p) => Math.min(Math.max(x, -p), p),
  softcap: (x, p) => p * Math.tanh(x / p),
};

const GATINGS: Readonly<Record<Gating, (gate: number, up: number) => number>> = {
  silu: (gate, up) => FUNCTIONS.silu(gate, 0) * up,
  gelu: (gate, up) => FUNCTIONS.gelu(gate, 0) * up,
  geluErf: (gate, up) => FUNCTIONS.geluErf(gate, 0) * up,
  relu: (gate, up) => FUNCTIONS.relu(gate, 0) * up,
  clampedSwiglu: (gate, up) => {
    const g = Math.min(gate, 7);
    return (g / (1 + Math.exp(-1.702 * g))) * (Math.min(Math.max(up, -7), 7) + 1);
  },
};

const names = Object.keys(FUNCTIONS) as ElementFunction[];
const gatings = Object.keys(GATINGS) as Gating[];

/** Largest |found - expected| / |expected|. */
function relative(found: Float32Array, expected: readonly number[]): number {
  return found.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]) / Math.abs(expected[i])), 0);
}

/** Both signs of every size from 1e-30 to `most`. */
function sizes(most: number): Float32Array {
  const steps = 400;
  const ratio = most / 1e-30;
  return Float32Array.from(
    { length: 2 * steps },
    (_, i) => (i % 2 ? -1 : 1) * 1e-30 * ratio ** ((i >> 1) / (steps - 1)),
  );
}

describe.each(DEVICES)("$label", ({ create }) => {
  let ops: Backend;
  const random = new Random(17);
  beforeAll(async () => {
    ops = await create();
  });
  afterAll(() => ops.dispose());

  async function mapped(f: ElementFunction, x: Float32Array, parameter?: number): Promise<Float32Array> {
    ops.beginStep();
    return (await ops.read(ops.map(tensorOf(ops, 1, x.length, x), f, parameter))).slice();
  }

  test.each(names.flatMap((f) => SHAPES.map((shape) => [f, ...shape] as const)))(
    "map %s [%i, %i]",
    async (f, rows, cols) => {
      ops.beginStep();
      const x = numbers(random, rows * cols, 12);
      const y = ops.map(tensorOf(ops, rows, cols, x), f, 2.5);
      const expected = Array.from(x, (value) => FUNCTIONS[f](value, 2.5));
      expect(difference(await ops.read(y), expected)).toBeLessThan(5e-7);
    },
  );

  test.each(gatings.flatMap((gating) => SHAPES.map((shape) => [gating, ...shape] as const)))(
    "gated %s [%i, %i]",
    async (gating, rows, cols) => {
      ops.beginStep();
      const gate = numbers(random, rows * cols, 12);
      const up = numbers(random, rows * cols, gating === "clampedSwiglu" ? 10 : 1);
      const y = ops.gated(tensorOf(ops, rows, cols, gate), tensorOf(ops, rows, cols, up), gating);
      const expected = Array.from(gate, (x, i) => GATINGS[gating](x, up[i]));
      expect(difference(await ops.read(y), expected)).toBeLessThan(5e-7);
    },
  );

  test.each(gatings)("gated %s far from zero", async (gating) => {
    ops.beginStep();
    const gate = Float32Array.from([-1e4, -200, -89, -88, -87, -20, -0, 0, 1e-20, 20, 87, 88, 89, 200, 1e4]);
    const ones = gate.map(() => 1);
    const y = ops.gated(tensorOf(ops, 3, 5, gate), tensorOf(ops, 3, 5, ones), gating);
    expect(
      difference(
        await ops.read(y),
        Array.from(gate, (x) => GATINGS[gating](x, 1)),
      ),
    ).toBeLessThan(1e-6);
  });

  test.each([
    ["silu", 20, 0, 2e-6],
    ["gelu", 2, 0, 2e-6],
    ["geluErf", 4, 0, 2e-6],
    ["scale", 1e6, -0.3, 1e-7],
    ["softcap", 1e6, 30, 1e-6],
    ["softcap", 1e6, 0.1, 1e-6],
  ] as const)("%s up to %f (parameter %f) is right to %f of itself", async (f, most, parameter, bound) => {
    const x = sizes(most);
    const expected = Array.from(x, (value) => FUNCTIONS[f](value, Math.fround(parameter)));
    expect(relative(await mapped(f, x, parameter), expected)).toBeLessThan(bound);
  });

  test("softcap never exceeds its cap; clamp keeps what is inside", async () => {
    const x = Float32Array.from([-1e30, -1e4, -30.5, 30.5, 1e4, 1e30]);
    expect(
      Array.from(await mapped("softcap", x, 30))
        .map(Math.abs)
        .every((value) => value <= 30),
    ).toBe(true);
    expect(Array.from(await mapped("clamp", x, 31))).toEqual([-31, -31, -30.5, 30.5, 31, 31]);
  });
});
