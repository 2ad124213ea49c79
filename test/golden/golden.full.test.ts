/**
 * Tiny models with next-token probabilities computed by llama.cpp (the README beside the files says how). Float32 files
 * must agree within their own tolerance; reduced-precision files strictly with the expanded weights on the reference
 * backend, and on average with llama.cpp's rounded activations on wasm. The shared collection is used where it is there.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Model } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import { folder, type GoldenRun, goldens, mean, nextLogprobs, options, worst } from "./goldens.js";

/**
 * Largest mean Kullback-Leibler divergence of the next-token probabilities with a smaller cache from those with f32, in
 * nats: about twice what the worst of these models (gemma2, gpt-oss) has.
 */
const CACHE_KL = { f16: 5e-6, q8: 3e-3, "q8/q4": 0.3, q4: 0.6 } as const;
/** The same with quantised weights on wasm: activations are rounded too, and what moves a little may move by a step. */
const ROUNDED_CACHE_KL = { ...CACHE_KL, f16: 7e-4 } as const;

/** Log-probability of every token after the input's first `count` tokens. */
async function logprobsAfter(model: Model, run: GoldenRun, count: number, kv?: string): Promise<Map<number, number>> {
  const session = model.session(options(run, kv));
  const all = new Map<number, number>();
  const generation = { maxTokens: 1, temperature: 0, logprobs: model.info.vocabulary, ignoreEnd: true };
  for await (const part of session.generate(run.tokens.slice(0, count), generation)) {
    for (const { id, logprob } of part.top ?? []) all.set(id, logprob);
  }
  await session.dispose();
  return all;
}

/** Mean over the run's positions of the divergence that a smaller cache makes. */
async function cacheDivergence(model: Model, run: GoldenRun, kv: keyof typeof CACHE_KL): Promise<number> {
  let sum = 0;
  for (const { position } of run.positions) {
    const exact = await logprobsAfter(model, run, position + 1);
    const rounded = await logprobsAfter(model, run, position + 1, kv);
    for (const [id, logprob] of exact) sum += Math.exp(logprob) * (logprob - (rounded.get(id) ?? Number.NaN));
  }
  return sum / run.positions.length;
}

async function checkWithin(model: Model, run: GoldenRun, tolerance: number): Promise<void> {
  const all = await nextLogprobs(model, run, 1);
  expect(all.length).toBe(run.next_logprobs.length);
  expect(worst(all, run.next_logprobs)).toBeLessThanOrEqual(tolerance);
  expect(worst(await nextLogprobs(model, run, 19), all)).toBeLessThanOrEqual(tolerance);
  for (const { position, top } of run.positions) {
    const ours = await logprobsAfter(model, run, position + 1);
    for (const [id, probability] of top) {
      expect(Math.abs((ours.get(id) ?? Number.NaN) - Math.log(probability))).toBeLessThanOrEqual(tolerance);
    }
  }
}

/** Greedy continuation: the same tokens wherever the margin is larger than the error allowed. */
async function checkGreedy(model: Model, run: GoldenRun, tolerance: number): Promise<void> {
  const session = model.session(options(run));
  const ids: number[] = [];
  const logprobs: number[] = [];
  const generation = { maxTokens: run.greedy.tokens.length, temperature: 0, logprobs: 0, ignoreEnd: true };
  for await (const part of session.generate(run.tokens, generation)) {
    if (part.id !== undefined) ids.push(part.id);
    if (part.logprob !== undefined) logprobs.push(part.logprob);
  }
  await session.dispose();
  if (run.greedy.min_margin > 2 * tolerance) expect(ids).toEqual(run.greedy.tokens);
  const same = ids.findIndex((id, i) => id !== run.greedy.tokens[i]);
  const agreed = same === -1 ? ids.length : same;
  expect(worst(logprobs.slice(0, agreed), run.greedy.logprobs.slice(0, agreed))).toBeLessThanOrEqual(tolerance);
}

describe.each(["reference", "wasm"] as const)("on %s", (backend) => {
  for (const golden of goldens) {
    describe(`${golden.name} (${golden.about})`, () => {
      let model: Model;
      beforeAll(async () => {
        model = await loadLocal(join(folder, `${golden.name}.gguf`), { backend, threads: 2 });
      });
      afterAll(() => model?.dispose());
      for (const [index, run] of golden.runs.entries()) {
        const expanded = golden.runs_dequantised?.[index];
        const { logprob, mean_logprob, dequantised_logprob } = golden.tolerance;
        const strict = expanded && backend === "reference" && dequantised_logprob !== undefined;
        it(`${run.tokens.length} tokens`, async () => {
          if (strict) return checkWithin(model, expanded, dequantised_logprob);
          if (mean_logprob === undefined) return checkWithin(model, run, logprob);
          // Token by token with activations of 16 bits, in chunks with 8 where the engine is faster so.
          for (const batch of [1, 19]) {
            const all = await nextLogprobs(model, run, batch);
            expect(mean(all, run.next_logprobs)).toBeLessThanOrEqual(mean_logprob);
            expect(worst(all, run.next_logprobs)).toBeLessThanOrEqual(logprob);
          }
        });
        const limits = backend === "wasm" && mean_logprob !== undefined ? ROUNDED_CACHE_KL : CACHE_KL;
        it.each(["f16", "q8", "q8/q4", "q4"] as const)(`${run.tokens.length} tokens with a cache of %s`, async (kv) => {
          expect(await cacheDivergence(model, run, kv)).toBeLessThanOrEqual(limits[kv]);
        });
        it(`${run.tokens.length} tokens, then greedily`, () =>
          strict ? checkGreedy(model, expanded, dequantised_logprob) : checkGreedy(model, run, logprob));
      }
    });
  }
});
