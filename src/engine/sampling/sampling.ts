/**
 * From logits to the next token. Order: logit bias, penalties, temperature, top-k, top-p (nucleus,
 * https://arxiv.org/abs/1904.09751), min-p (https://arxiv.org/abs/2407.01082), one seeded draw. Each filter works on
 * what the one before it left, renormalised. A steady state allocates nothing and never sorts the vocabulary.
 */
import { ArgumentError, NumericError } from "../../util/errors.js";
import { counted, formatCount } from "../../util/figures.js";
import { Random, randomSeed } from "../../util/random.js";
import { Penalties } from "./penalties.js";
import { type SamplingOptions, type SamplingSettings, samplingSettings } from "./sampling-options.js";
import { TopIds } from "./top-ids.js";

/** What was drawn. The object is reused by the next `sample`. */
export interface Sample {
  readonly id: number;
}

/** Candidates that top-p looks at first when top-k does not bound them; four times as many whenever they do not do. */
const FIRST_CANDIDATES = 256;

export class Sampler {
  /** The seed of its draws: the one given, or the one that was drawn for it. */
  readonly seed: number;
  private readonly settings: SamplingSettings;
  private readonly vocabulary: number;
  private readonly random: Random;
  private readonly penalties: Penalties;
  /** Logits after bias and penalties, so that the caller's stay raw; empty when neither is on. */
  private readonly changed: Float32Array;
  private readonly top = new TopIds();
  /** Weights (unnormalised probabilities) of the candidates. */
  private weights = new Float64Array(0);
  private readonly lastSample = { id: 0 };

  /**
   * @param vocabulary V, the length of the logits
   * @throws ArgumentError when an option is out of its range
   */
  constructor(options: SamplingOptions, vocabulary: number) {
    this.settings = samplingSettings(options, vocabulary);
    this.vocabulary = vocabulary;
    this.seed = this.settings.seed ?? randomSeed();
    this.random = new Random(this.seed);
    this.penalties = new Penalties(this.settings, vocabulary);
    this.changed = new Float32Array(this.penalties.active || this.settings.bias.length > 0 ? vocabulary : 0);
  }

  /**
   * Draws the next token.
   * @param logits [V], left as they are
   * @param history tokens so far, newest last; the penalties read the last `penaltyWindow` of them
   * @throws NumericError when logits are NaN or leave no token possible
   */
  sample(logits: Float32Array, history: ArrayLike<number>): Sample {
    if (logits.length !== this.vocabulary) {
      throw new ArgumentError(`Expected ${counted(this.vocabulary, "logit")}; found ${formatCount(logits.length)}.`);
    }
    const scores = this.process(logits, history);
    const best = argmax(scores);
    this.lastSample.id = this.settings.temperature === 0 ? best : this.draw(scores, scores[best]);
    return this.lastSample;
  }

  private process(logits: Float32Array, history: ArrayLike<number>): Float32Array {
    if (this.changed.length === 0) return logits;
    this.changed.set(logits);
    for (const { id, value } of this.settings.bias) this.changed[id] += value;
    this.penalties.apply(this.changed, history);
    return this.changed;
  }

  private draw(scores: Float32Array, max: number): number {
    const { topK, topP, minP } = this.settings;
    const bounded = topK > 0 && topK < scores.length;
    if (!bounded && topP === 1) return this.drawFromAll(scores, max);
    let kept: number;
    if (bounded) {
      const total = this.weigh(scores, max, topK);
      kept = topP < 1 ? this.nucleus(topP * total) : this.top.count;
    } else {
      kept = this.nucleusOfAll(scores, max);
    }
    // Weights fall, and the first is 1, so min-p cuts a tail.
    while (kept > 1 && this.weights[kept - 1] < minP) kept--;
    return this.top.ids[this.drawWeight(kept)];
  }

  /** Selects the k best and gives them weights exp((score - max) / temperature); returns their sum. */
  private weigh(scores: Float32Array, max: number, k: number): number {
    this.top.select(scores, k);
    const { ids, count } = this.top;
    if (this.weights.length < count) this.weights = new Float64Array(count);
    let total = 0;
    for (let i = 0; i < count; i++) {
      const weight = Math.exp((scores[ids[i]] - max) / this.settings.temperature);
      this.weights[i] = weight;
      total += weight;
    }
    return total;
  }

  /** How many of the candidates it takes to reach `mass`: at least 1, all of them when they do not reach it. */
  private nucleus(mass: number): number {
    let sum = 0;
    for (let i = 0; i < this.top.count; i++) {
      sum += this.weights[i];
      if (sum >= mass) return i + 1;
    }
    return this.top.count;
  }

  /** Top-p over the whole vocabulary: selects more and more of it until the mass is reached. */
  private nucleusOfAll(scores: Float32Array, max: number): number {
    const { temperature, topP } = this.settings;
    let total = 0;
    for (let id = 0; id < scores.length; id++) total += Math.exp((scores[id] - max) / temperature);
    const mass = topP * total;
    let candidates = FIRST_CANDIDATES;
    while (candidates < scores.length && this.weigh(scores, max, candidates) < mass) candidates *= 4;
    if (candidates >= scores.length) this.weigh(scores, max, scores.length);
    return this.nucleus(mass);
  }

  /** No top-k, no top-p: two passes in the order of the ids, nothing to select. */
  private drawFromAll(scores: Float32Array, max: number): number {
    const { temperature, minP } = this.settings;
    if (this.weights.length < scores.length) this.weights = new Float64Array(scores.length);
    const weights = this.weights;
    for (let id = 0; id < scores.length; id++) {
      const weight = Math.exp((scores[id] - max) / temperature);
      weights[id] = weight < minP ? 0 : weight;
    }
    return this.drawWeight(scores.length);
  }

  /** One draw among the first `count` weights, each as likely as it is large. */
  private drawWeight(count: number): number {
    const weights = this.weights;
    let total = 0;
    for (let i = 0; i < count; i++) total += weights[i];
    let left = this.random.double() * total;
    let last = 0;
    for (let i = 0; i < count; i++) {
      if (weights[i] === 0) continue;
      left -= weights[i];
      last = i;
      if (left < 0) return i;
    }
    // Rounding may leave a crumb after the last weight.
    return last;
  }
}

/** The lowest id with the largest score. @throws NumericError */
function argmax(scores: Float32Array): number {
  let best = 0;
  let max = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < scores.length; id++) {
    const score = scores[id];
    if (score > max) {
      max = score;
      best = id;
    } else if (Number.isNaN(score)) {
      throw badScore(id, "not a number");
    }
  }
  if (max === Number.POSITIVE_INFINITY) throw badScore(best, "infinite");
  if (max === Number.NEGATIVE_INFINITY) {
    throw new NumericError("No token is possible: every logit is -Infinity. Check logitBias and the model's file.", {});
  }
  return best;
}

function badScore(id: number, what: string): NumericError {
  return new NumericError(
    `Expected finite logits; that of token ${id} is ${what}. The model's weights may be damaged: check the file.`,
    { id },
  );
}
