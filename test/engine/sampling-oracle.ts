/**
 * The distribution that sampling options define, computed the plain way: sort everything, cut, renormalise.
 */
import { SAMPLING_RANGES, type SamplingOptions } from "../../src/engine/sampling/sampling-options.js";

/** Probability of each id that can be drawn. */
export function distribution(
  logits: Float32Array,
  options: SamplingOptions,
  history: readonly number[] = [],
): Map<number, number> {
  const o = {
    temperature: options.temperature ?? SAMPLING_RANGES.temperature.default,
    topK: options.topK ?? SAMPLING_RANGES.topK.default,
    topP: options.topP ?? SAMPLING_RANGES.topP.default,
    minP: options.minP ?? SAMPLING_RANGES.minP.default,
  };
  const scores = penalised(logits, options, history);
  const sorted = Array.from(scores, (score, id) => ({ id, score }));
  sorted.sort((a, b) => b.score - a.score || a.id - b.id);
  if (o.temperature === 0) return new Map([[sorted[0].id, 1]]);
  const max = sorted[0].score;
  let kept = sorted.map(({ id, score }) => ({ id, p: Math.exp((score - max) / o.temperature) }));
  if (o.topK > 0) kept = kept.slice(0, o.topK);
  kept = renormalised(kept);
  if (o.topP < 1) {
    let sum = 0;
    const end = kept.findIndex(({ p }) => {
      sum += p;
      return sum >= o.topP;
    });
    if (end >= 0) kept = kept.slice(0, end + 1);
    kept = renormalised(kept);
  }
  kept = renormalised(kept.filter(({ p }) => p >= o.minP * kept[0].p));
  return new Map(kept.filter(({ p }) => p > 0).map(({ id, p }) => [id, p]));
}

function penalised(logits: Float32Array, options: SamplingOptions, history: readonly number[]): Float32Array {
  const scores = logits.slice();
  for (const [id, value] of Object.entries(options.logitBias ?? {})) scores[Number(id)] += value;
  const window = options.penaltyWindow ?? SAMPLING_RANGES.penaltyWindow.default;
  const recent = window === 0 ? [] : history.slice(-window);
  for (const id of new Set(recent)) {
    const times = recent.filter((other) => other === id).length;
    const r = options.repetitionPenalty ?? 1;
    const scaled = scores[id] > 0 ? scores[id] / r : scores[id] * r;
    scores[id] = scaled - (options.presencePenalty ?? 0) - times * (options.frequencyPenalty ?? 0);
  }
  return scores;
}

function renormalised(kept: readonly { readonly id: number; readonly p: number }[]): { id: number; p: number }[] {
  const total = kept.reduce((sum, { p }) => sum + p, 0);
  return kept.map(({ id, p }) => ({ id, p: p / total }));
}
