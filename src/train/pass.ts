/**
 * One pass: samples of equal length through the model and, when it learns, back. The head is taken together with the loss,
 * in chunks, so that no logits of all rows exist at once.
 */

import { RecordingBackend } from "../autograd/recording-backend.js";
import { Tape } from "../autograd/tape.js";
import { segmentStates } from "../context/segments.js";
import { Decoder } from "../nn/decoder.js";
import { mixerShapes } from "../nn/mixer.js";
import type { ModelSpec } from "../nn/spec.js";
import type { Backend } from "../tensor/backend.js";
import type { Tensor } from "../tensor/tensor.js";
import type { CrossEntropyCall, CrossEntropyResult, TrainingOps } from "../tensor/training.js";
import type { Sample } from "./data/sample.js";
import type { AttentionPattern } from "./patterns/pattern-definition.js";
import { RecurrentZeros, RowStates } from "./row-states.js";
import type { TrainedWeights } from "./trained-weights.js";

export interface PassOptions {
  readonly pattern: AttentionPattern;
  readonly activationCheckpointing: boolean;
  /** Weight of the experts' balance, beside the losses; for one pass of a step with several, its part of the step. */
  readonly balance?: number | undefined;
}

/** By sample: -log of the probability of each next token, [L], 0 where its weight is 0. */
export type Losses = readonly Float32Array[];

export interface Predictions {
  readonly losses: Losses;
  /** By sample, in the order of the rows that were asked for. */
  readonly predicted: readonly Int32Array[];
}

/** The model of one stage, ready to run over samples. */
export class ModelPass {
  readonly decoder: Decoder;
  private readonly recording: RecordingBackend;
  private readonly zeros: RecurrentZeros;

  constructor(
    private readonly backend: Backend,
    private readonly training: TrainingOps,
    spec: ModelSpec,
    weights: TrainedWeights,
    private readonly options: PassOptions,
  ) {
    this.decoder = new Decoder(spec, weights.weights);
    const { activationCheckpointing: checkpointing, balance } = options;
    this.recording = new RecordingBackend(new Tape(backend, training, weights.gradients), { checkpointing, balance });
    this.zeros = new RecurrentZeros(backend, mixerShapes(spec));
  }

  /** Adds to the gradients those of the sum of all losses, each times its weight and `factor`. */
  async learn(samples: readonly Sample[], factor: number): Promise<Losses> {
    const hidden = this.forward(samples);
    const { head } = this.decoder;
    const { tape } = this.recording;
    const gradients = { head: tape.parameter(head.weight), bias: tape.parameter(head.bias) };
    const { losses, dx } = this.crossEntropy(hidden, samples, factor, gradients);
    if (dx) tape.backward(hidden, dx);
    return this.read(losses, samples);
  }

  /** The losses alone. */
  async evaluate(samples: readonly Sample[]): Promise<Losses> {
    return this.read(this.crossEntropy(this.forward(samples), samples, 1).losses, samples);
  }

  /**
   * The losses, and the most probable next token in some rows of each sample.
   * @param rows by sample: the rows that are asked for
   */
  async predict(samples: readonly Sample[], rows: readonly (readonly number[])[]): Promise<Predictions> {
    const hidden = this.forward(samples);
    const losses = await this.read(this.crossEntropy(hidden, samples, 1).losses, samples);
    const length = samples[0].weights.length;
    const flat = rows.flatMap((list, sample) => list.map((row) => sample * length + row));
    if (flat.length === 0) return { losses, predicted: rows.map(() => new Int32Array(0)) };
    const picked = this.backend.gather(hidden, this.backend.input(Int32Array.from(flat)));
    const logits = this.decoder.head.forward(this.backend, picked);
    const best = argmax(await this.backend.read(logits), logits.cols);
    let next = 0;
    const predicted = rows.map(({ length: count }) => {
      next += count;
      return best.slice(next - count, next);
    });
    return { losses, predicted };
  }

  dispose(): void {
    this.recording.tape.clear();
    this.zeros.dispose();
  }

  /** `[samples * L, C]`: what the head reads. */
  private forward(samples: readonly Sample[]): Tensor {
    const { recording, backend } = this;
    recording.beginStep();
    const length = samples[0].weights.length;
    const state = new RowStates(backend, this.decoder.shapes, this.zeros, this.options.pattern, length);
    const ids = new Int32Array(samples.length * length);
    samples.forEach((sample, index) => {
      ids.set(sample.ids.subarray(0, length), index * length);
    });
    const segments = samples.map((_, index) => ({ start: index * length, count: length, state }));
    return this.decoder.hidden(recording, {
      ids: recording.input(ids),
      rows: ids.length,
      segments,
      states: segmentStates(segments),
    });
  }

  private crossEntropy(
    hidden: Tensor,
    samples: readonly Sample[],
    factor: number,
    gradients?: CrossEntropyCall["gradients"],
  ): CrossEntropyResult {
    const { head, spec } = this.decoder;
    const { weight, bias } = head;
    const softcap = spec.logitSoftcap;
    const targets = this.targets(samples, factor);
    return this.training.crossEntropy({ x: hidden, head: weight, bias, softcap, ...targets, gradients });
  }

  private targets(samples: readonly Sample[], factor: number) {
    const length = samples[0].weights.length;
    const targets = new Int32Array(samples.length * length);
    const weights = new Float32Array(samples.length * length);
    samples.forEach((sample, index) => {
      targets.set(sample.ids.subarray(1), index * length);
      weights.set(
        sample.weights.map((weight) => weight * factor),
        index * length,
      );
    });
    return { targets: this.backend.input(targets), weights: this.backend.input(weights) };
  }

  private async read(losses: Tensor, samples: readonly Sample[]): Promise<Losses> {
    const all = await this.backend.read(losses);
    const length = samples[0].weights.length;
    return samples.map((_, index) => all.slice(index * length, (index + 1) * length));
  }
}

function argmax(logits: Float32Array, width: number): Int32Array {
  return Int32Array.from({ length: logits.length / width }, (_, row) => {
    const of = logits.subarray(row * width, (row + 1) * width);
    let best = 0;
    for (let i = 1; i < width; i++) if (of[i] > of[best]) best = i;
    return best;
  });
}
