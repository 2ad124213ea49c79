/**
 * The model of test/support/jax-llama.mjs, with which Sluice's training is compared: its gradients are those of its own loss,
 * by central differences, its steps are AdamW's, and Sluice's gradients are the same.
 */
import { describe, expect, test } from "vitest";
import { Random } from "../../src/util/random.js";
import { createJaxModel, createJaxTrainer, randomWeights, type Weights } from "../support/jax-llama.mjs";
import { randomIds } from "../support/random-model.js";
import { type SluiceOptions, sluiceLossAndGradients } from "../support/sluice-gradients.js";

const SHAPE = { vocabulary: 64, width: 32, layers: 2, heads: 4, kvHeads: 2, hidden: 48, sequence: 24, batch: 2 };
const model = createJaxModel(SHAPE);
/** Large enough that attention is far from uniform and the gradients of all weights from zero. */
const weights = randomWeights(SHAPE, 3, 0.15);
const ids = randomIds(SHAPE.batch * (SHAPE.sequence + 1), SHAPE.vocabulary, 4);

const norm = (x: Float32Array) => Math.hypot(...x);

function named(all: ReadonlyMap<string, Float32Array>, name: string): Float32Array {
  const values = all.get(name);
  if (!values) throw new Error(`There is no ${name}.`);
  return values;
}

/** Slope of the loss where one weight moves in a direction, of fourth order in the distance. */
async function slope(name: string, direction: Float32Array, distance: number): Promise<number> {
  const lossAt = (by: number) => {
    const moved = named(weights, name).map((value, i) => value + by * direction[i]);
    return model.loss(new Map([...weights, [name, moved]]), ids);
  };
  const difference = async (by: number) => ((await lossAt(by)) - (await lossAt(-by))) / (2 * by);
  return (4 * (await difference(distance)) - (await difference(2 * distance))) / 3;
}

describe("the model in jax", () => {
  test("its gradients are the slopes of its loss", async () => {
    const { loss, gradients } = await model.lossAndGradients(weights, ids);
    expect(loss).toBeCloseTo(await model.loss(weights, ids), 5);
    expect([...gradients.keys()].sort()).toEqual([...weights.keys()].sort());
    const random = new Random(5);
    for (const [name, gradient] of gradients) {
      // Each half of the numbers by itself: an error in some is seen even where it leaves the whole's length alone.
      const half = gradient.map(() => Math.round(random.double()));
      for (const side of [0, 1]) {
        const part = gradient.map((value, i) => (half[i] === side ? value : 0));
        const steepness = norm(part);
        expect(steepness, name).toBeGreaterThan(0.02);
        const direction = part.map((value) => value / steepness);
        // Losses near 4 come with an error of two units in the last place, 1e-6: over distances of 0.02 and 0.04 that is
        // 8e-5 of slope. The neglected fifth derivative of the steepest weight is as much again.
        const error = (await slope(name, direction, 0.02)) - steepness;
        expect(Math.abs(error), `${name}: slope ${steepness}`).toBeLessThan(2e-4);
      }
    }
  });

  test("its steps are those of AdamW", async () => {
    const settings = { rate: 0.01, beta1: 0.8, beta2: 0.9, stabiliser: 1e-3, decay: 0.2 };
    const trainer = createJaxTrainer({ ...SHAPE, ...settings, seed: 1, weights });
    const expected = await adamW(weights, settings, 3, (current) => model.lossAndGradients(current, ids));
    const losses = [];
    for (let step = 0; step < 3; step++) losses.push(await trainer.step(ids));
    for (const [i, loss] of losses.entries()) expect(loss).toBeCloseTo(expected.losses[i], 4);
    expect(losses[2]).toBeLessThan(losses[0]);
    const trained = await trainer.weights();
    for (const [name, values] of expected.weights) {
      const difference = norm(named(trained, name).map((value, i) => value - values[i]));
      const change = norm(named(weights, name).map((value, i) => value - values[i]));
      // Both round in f32, sums in different orders.
      expect(difference / change, name).toBeLessThan(1e-4);
    }
  });
});

/** The formula of 1711.05101, number by number; decay is for matrices, gains keep their size. */
async function adamW(
  start: Weights,
  settings: { rate: number; beta1: number; beta2: number; stabiliser: number; decay: number },
  steps: number,
  differentiate: (current: Weights) => ReturnType<typeof model.lossAndGradients>,
) {
  const { rate, beta1, beta2, stabiliser } = settings;
  const states = [...start].map(([name, values]) => ({
    name,
    decay: name.includes("norm") ? 0 : settings.decay,
    w: Float64Array.from(values),
    m: new Float64Array(values.length),
    v: new Float64Array(values.length),
  }));
  const current = () => new Map(states.map(({ name, w }) => [name, Float32Array.from(w)]));
  const losses: number[] = [];
  for (let step = 1; step <= steps; step++) {
    const { loss, gradients } = await differentiate(current());
    losses.push(loss);
    for (const { name, decay, w, m, v } of states) {
      for (const [i, g] of named(gradients, name).entries()) {
        m[i] = beta1 * m[i] + (1 - beta1) * g;
        v[i] = beta2 * v[i] + (1 - beta2) * g * g;
        const root = Math.sqrt(v[i] / (1 - beta2 ** step)) + stabiliser;
        w[i] -= rate * (m[i] / (1 - beta1 ** step) / root + decay * w[i]);
      }
    }
  }
  return { losses, weights: current() };
}

const CASES: readonly SluiceOptions[] = [
  { backend: "reference", activationCheckpointing: false },
  { backend: "wasm", activationCheckpointing: false },
  { backend: "wasm", activationCheckpointing: true },
];

describe.each(CASES)("Sluice on $backend beside jax, activationCheckpointing $activationCheckpointing", (options) => {
  test("loss and gradients are the same", async () => {
    const jax = await model.lossAndGradients(weights, ids);
    const sluice = await sluiceLossAndGradients(SHAPE, weights, ids, options);
    expect(sluice.loss).toBeCloseTo(jax.loss, 4);
    expect([...sluice.gradients.keys()].sort()).toEqual([...jax.gradients.keys()].sort());
    for (const [name, gradient] of jax.gradients) {
      const own = named(sluice.gradients, name);
      const difference = norm(own.map((value, i) => value - gradient[i]));
      // jax's exponentials and logarithms err by up to 2e-5, and a row passes through some of each.
      expect(difference / norm(gradient), name).toBeLessThan(1e-4);
    }
  });
});
