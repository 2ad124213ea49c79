/**
 * A training run: stages of optimizer steps over samples. All that decides how it goes on is the weights, the moments and a
 * few counters (`TrainerState`), so a run that goes on from a checkpoint computes the same numbers as one never stopped.
 */
import type { Backend } from "../tensor/backend.js";
import type { TrainingOps } from "../tensor/training.js";
import { NumericError, UnsupportedError } from "../util/errors.js";
import { platform } from "../util/platform.js";
import type { StageConfig, TrainingConfig } from "./config.js";
import type { Sample } from "./data/sample.js";
import { stageDefinition } from "./model-definition.js";
import { ModelPass } from "./pass.js";
import { parsePattern } from "./patterns/pattern.js";
import { rateAt, type Schedule } from "./schedule.js";
import { TrainedWeights } from "./trained-weights.js";

/** Where a run stands. */
export interface TrainerState {
  /** Optimizer steps of all stages so far. */
  readonly step: number;
  /** Index of the stage of the next step, and steps of it so far. */
  readonly stage: number;
  readonly stageStep: number;
  /** Tokens read so far. */
  readonly tokens: number;
}

export interface StepReport extends TrainerState {
  readonly stageName: string;
  /** Mean of the losses by their weights, in nats. */
  readonly loss: number;
  /** Mean loss of the predictions that count, by the name of the source. */
  readonly lossBySource: Readonly<Record<string, number>>;
  readonly rate: number;
  /** Of all gradients, before clipping. */
  readonly gradientNorm: number;
}

/** A sample, and the name of the source that it comes from. */
export interface DrawnSample {
  readonly source: string;
  readonly sample: Sample;
}

/** What a stage learns from. */
export interface StageSources {
  /** The n-th sample of the stage. */
  sample(n: number, length: number): Promise<DrawnSample>;
}

export interface TrainerParts {
  readonly backend: Backend;
  readonly config: TrainingConfig;
  readonly vocabulary: number;
  /** The sources of a stage. */
  readonly sources: (stage: StageConfig, index: number) => StageSources;
  /** Called between passes; throws to stop before the step changes anything. */
  readonly onPass?: (() => void) | undefined;
}

/** The work of one stage. */
interface StageRun {
  readonly config: StageConfig;
  readonly pass: ModelPass;
  readonly sources: StageSources;
  readonly schedule: Schedule;
}

export class Trainer {
  readonly weights: TrainedWeights;
  private current: { readonly index: number; readonly run: StageRun } | undefined;
  private position: TrainerState = { step: 0, stage: 0, stageStep: 0, tokens: 0 };
  private readonly training: TrainingOps;

  /** A run at its beginning. @throws UnsupportedError, FormatError, MemoryError */
  constructor(private readonly parts: TrainerParts) {
    const { backend, config } = parts;
    if (!backend.training) throw new UnsupportedError(`The backend ${backend.name} cannot train.`);
    this.training = backend.training;
    const { spec } = stageDefinition(config, parts.vocabulary, 0);
    const frozen = config.model.sinks === "zero" ? /attn_sinks/ : undefined;
    this.weights = new TrainedWeights(backend, this.training, spec, frozen);
    this.weights.initialise(spec, config.seed);
  }

  get state(): TrainerState {
    return this.position;
  }

  /** Goes on from another place; the weights and moments are the caller's to bring. */
  set state(state: TrainerState) {
    this.position = state;
  }

  get finished(): boolean {
    return this.position.stage >= this.parts.config.stages.length;
  }

  /** Optimizer steps of all stages together. */
  get totalSteps(): number {
    return this.parts.config.stages.reduce((sum, stage) => sum + stageSteps(stage), 0);
  }

  /** Tokens of all stages together. */
  get totalTokens(): number {
    return this.parts.config.stages.reduce((sum, stage) => sum + stageSteps(stage) * stage.batchTokens, 0);
  }

  /** The model of a stage, for evaluation. */
  passOf(stage: number): ModelPass {
    return this.stage(stage).pass;
  }

  /**
   * One optimizer step.
   * @throws NumericError when the loss or the gradients are no numbers; what `onPass` throws; then nothing has changed
   */
  async step(): Promise<StepReport> {
    const { config, pass, sources, schedule } = this.stage(this.position.stage);
    const { batchTokens, contextLength, microBatchTokens = batchTokens } = config;
    const { step, stage, stageStep, tokens } = this.position;
    const count = batchTokens / contextLength;
    const numbers = Array.from({ length: count }, (_, i) => stageStep * count + i);
    const drawn = await Promise.all(numbers.map((n) => sources.sample(n, contextLength)));
    const tally = await this.learn(pass, drawn, microBatchTokens / contextLength);
    const rate = rateAt(schedule, stageStep);
    const gradientNorm = await this.update(tally, rate);
    const ended = stageStep + 1 >= schedule.steps;
    this.position = {
      step: step + 1,
      stage: ended ? stage + 1 : stage,
      stageStep: ended ? 0 : stageStep + 1,
      tokens: tokens + batchTokens,
    };
    const { loss, bySource } = tally;
    return { ...this.position, stageName: config.name, loss, lossBySource: bySource, rate, gradientNorm };
  }

  /** Gathers the gradients of a step, `perPass` samples at a time; none are left when a pass fails or is stopped. */
  private async learn(pass: ModelPass, drawn: readonly DrawnSample[], perPass: number): Promise<LossTally> {
    const total = drawn.reduce((sum, { sample }) => sum + sumOf(sample.weights), 0);
    // Samples that ask for nothing have no gradients: then momentum and decay alone move the weights.
    const factor = total === 0 ? 0 : 1 / total;
    const tally = new LossTally();
    try {
      for (let start = 0; start < drawn.length; start += perPass) {
        this.parts.onPass?.();
        const part = drawn.slice(start, start + perPass);
        const samples = part.map(({ sample }) => sample);
        const losses = await pass.learn(samples, factor);
        part.forEach(({ source, sample }, index) => {
          tally.add(source, losses[index], sample.weights);
        });
        await platform().yieldToEvents();
      }
    } catch (error) {
      this.weights.clearGradients();
      throw error;
    }
    return tally;
  }

  /** Moves the weights; returns the norm of the gradients. @throws NumericError, with nothing changed */
  private async update({ loss }: LossTally, rate: number): Promise<number> {
    const { weights, parts } = this;
    const step = this.position.step + 1;
    const norm = Number.isFinite(loss)
      ? await weights.update({ ...parts.config.optimizer, rate, step })
      : await weights.gradientNorm();
    if (Number.isFinite(loss) && Number.isFinite(norm)) return norm;
    weights.clearGradients();
    throw new NumericError(
      `The loss of step ${step} is ${loss} and the norm of its gradients ${norm}: the run has come apart. Lower ` +
        "optimizer.rate or optimizer.clip, or lengthen the warm-up, and resume from an earlier checkpoint.",
      { step },
    );
  }

  dispose(): void {
    this.current?.run.pass.dispose();
    this.weights.dispose();
  }

  private stage(index: number): StageRun {
    const { config } = this.parts;
    if (this.current?.index === index) return this.current.run;
    this.current?.run.pass.dispose();
    const run = this.makeStage(config.stages[index], index);
    this.current = { index, run };
    return run;
  }

  private makeStage(stage: StageConfig, index: number): StageRun {
    const { backend, config, vocabulary, sources } = this.parts;
    const { activationCheckpointing } = config;
    const pattern = parsePattern(stage.attention);
    const { batchTokens, microBatchTokens = batchTokens } = stage;
    const balance = config.model.balance * (microBatchTokens / batchTokens);
    const pass = new ModelPass(backend, this.training, stageDefinition(config, vocabulary, index).spec, this.weights, {
      pattern,
      activationCheckpointing,
      balance,
    });
    const of = { ...config.optimizer, ...definedOnly(stage) };
    const { rate, finalRate, warmupSteps, decayShare, schedule: kind } = of;
    const schedule = { kind, rate, finalRate, warmupSteps, decayShare, steps: stageSteps(stage) };
    return { config: stage, pass, sources: sources(stage, index), schedule };
  }
}

/** The stage that the last step belonged to. */
export function lastStage({ stage, stageStep }: TrainerState): number {
  return stageStep === 0 ? Math.max(0, stage - 1) : stage;
}

/** Whole steps, at least one. */
export function stageSteps({ tokens, batchTokens }: StageConfig): number {
  return Math.max(1, Math.round(tokens / batchTokens));
}

function definedOnly({ rate, finalRate, warmupSteps, decayShare, schedule }: StageConfig) {
  const given = { rate, finalRate, warmupSteps, decayShare, schedule };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function sumOf(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** Means of losses: of all by their weights, and of each source over the predictions that count. */
class LossTally {
  private weighted = 0;
  private weight = 0;
  private readonly sources = new Map<string, { sum: number; count: number }>();

  add(source: string, losses: Float32Array, weights: Float32Array): void {
    const tally = this.sources.get(source) ?? { sum: 0, count: 0 };
    losses.forEach((loss, row) => {
      if (weights[row] === 0) return;
      this.weighted += loss * weights[row];
      this.weight += weights[row];
      tally.sum += loss;
      tally.count++;
    });
    this.sources.set(source, tally);
  }

  get loss(): number {
    return this.weight === 0 ? 0 : this.weighted / this.weight;
  }

  get bySource(): Record<string, number> {
    return Object.fromEntries([...this.sources].map(([name, { sum, count }]) => [name, count === 0 ? 0 : sum / count]));
  }
}
