/**
 * Penalties for tokens that were seen lately. Repetition (CTRL, https://arxiv.org/abs/1909.05858) scales a logit away
 * from being chosen; presence and frequency are those of the OpenAI API, subtracted once and per occurrence.
 */
import type { SamplingSettings } from "./sampling-options.js";

export class Penalties {
  readonly active: boolean;
  private readonly settings: SamplingSettings;
  /** Occurrences in the window by id; all zero between calls. */
  private readonly counts: Uint32Array;

  constructor(settings: SamplingSettings, vocabulary: number) {
    this.settings = settings;
    this.active =
      settings.penaltyWindow > 0 &&
      (settings.repetitionPenalty !== 1 || settings.presencePenalty !== 0 || settings.frequencyPenalty !== 0);
    this.counts = new Uint32Array(this.active ? vocabulary : 0);
  }

  /** Changes `logits` in place by the last `penaltyWindow` tokens of `history`. Ids outside the vocabulary are passed over. */
  apply(logits: Float32Array, history: ArrayLike<number>): void {
    if (!this.active) return;
    const counts = this.counts;
    const start = Math.max(0, history.length - this.settings.penaltyWindow);
    for (let i = start; i < history.length; i++) counts[history[i]]++;
    for (let i = start; i < history.length; i++) {
      const id = history[i];
      const count = counts[id];
      if (!count) continue;
      counts[id] = 0;
      logits[id] = this.penalised(logits[id], count);
    }
  }

  private penalised(logit: number, count: number): number {
    const { repetitionPenalty, presencePenalty, frequencyPenalty } = this.settings;
    const scaled = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    return scaled - presencePenalty - count * frequencyPenalty;
  }
}
