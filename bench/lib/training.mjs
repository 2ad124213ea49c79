/** What all sides of the training benchmark share: the model's shape, the optimiser's settings, the data, the clock. */
import { median } from "./report.mjs";

/** About a million parameters: a llama with tied embedding. */
export const SHAPE = {
  vocabulary: 2048,
  width: 128,
  layers: 4,
  heads: 4,
  kvHeads: 2,
  hidden: 352,
  sequence: 256,
  batch: 8,
  ropeBase: 10000,
  epsilon: 1e-5,
};

/** Decay is for matrices, the embedding among them, not for norms. Nothing is clipped. */
export const ADAMW = { rate: 1e-3, beta1: 0.9, beta2: 0.95, stabiliser: 1e-8, decay: 0.1 };

/**
 * @typedef {object} TrainingSetup
 * @property {typeof SHAPE} shape
 * @property {typeof ADAMW} adamW
 * @property {number} seed of the first weights: those of `randomWeights` in test/support/jax-llama.mjs
 * @property {number} threads
 *
 * @typedef {object} TrainingRun
 * @property {string} name
 * @property {number} first number of its first step, from 0, which determines its data
 * @property {number} steps
 *
 * @typedef {object} TrainingResult
 * @property {string} name
 * @property {number} tokensPerSecond of the median step
 * @property {number[]} losses one a step
 * @property {number} [productFlopsPerStep] Sluice: operations of a step's matrix products, two for each multiply-add
 * @property {number} [productSeconds] Sluice: seconds of a step that those took
 */

/** i32 [batch, sequence + 1]: each id is one of four that can follow the one before, so that there is something to learn. */
export function batchOf({ batch, sequence, vocabulary }, step) {
  let state = step + 1;
  const below = (bound) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  const ids = new Int32Array(batch * (sequence + 1));
  for (let i = 0; i < ids.length; i++) {
    ids[i] = i % (sequence + 1) === 0 ? below(vocabulary) : (ids[i - 1] * 5 + 1 + below(4)) % vocabulary;
  }
  return ids;
}

/**
 * @param {(ids: Int32Array) => Promise<number>} step one step of training. @returns the loss
 * @param {typeof SHAPE} shape
 * @param {TrainingRun} run
 * @returns {Promise<TrainingResult>}
 */
export async function timeSteps(step, shape, { name, first, steps }) {
  const batches = Array.from({ length: steps }, (_, i) => batchOf(shape, first + i));
  const losses = [];
  const seconds = [];
  for (const ids of batches) {
    const start = performance.now();
    losses.push(await step(ids));
    seconds.push((performance.now() - start) / 1000);
  }
  return { name, tokensPerSecond: (shape.batch * shape.sequence) / median(seconds), losses };
}
