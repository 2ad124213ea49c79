/**
 * The weights that learn: f32 masters in the backend's memory, which its operations read as they are, with a gradient and
 * the optimizer's two moments for each. They outlive the spec: a later stage's model has the same weights by name.
 */

import type { ModelSpec } from "../nn/spec.js";
import { Weights, type WeightUse, weightUses } from "../nn/weights.js";
import type { Backend } from "../tensor/backend.js";
import type { KeptTensor, Weight } from "../tensor/tensor.js";
import type { TrainingOps } from "../tensor/training.js";
import { InternalError, MemoryError } from "../util/errors.js";
import { platform } from "../util/platform.js";
import { isDecay, updateDecay } from "./decay-update.js";
import { initialValues } from "./initial-values.js";

/** Weights, gradients and two moments. */
const COPIES = 4;

export interface TrainedWeight {
  readonly use: WeightUse;
  readonly weight: Weight;
  /** The backend's own memory; finish what waits before reading it. */
  readonly values: Float32Array;
  readonly gradient: KeptTensor;
  readonly first: KeptTensor;
  readonly second: KeptTensor;
  /** Whether weight decay applies: to matrices, not to norms, biases, decays and skips of state spaces. */
  readonly decays: boolean;
}

export interface StepSettings {
  readonly rate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly decay: number;
  readonly clip: number;
  /** From 1. */
  readonly step: number;
}

export class TrainedWeights {
  readonly list: readonly TrainedWeight[];
  /** Those of the list that learn. */
  readonly learning: readonly TrainedWeight[];
  readonly weights: Weights;
  readonly gradients: ReadonlyMap<Weight, KeptTensor>;

  /** @param frozen names of weights that stay as they begin. @throws MemoryError */
  constructor(
    private readonly backend: Backend,
    private readonly training: TrainingOps,
    spec: ModelSpec,
    frozen: RegExp | undefined,
  ) {
    const uses = weightUses(spec);
    requireRoom(uses, backend);
    this.list = uses.map((use) => allocate(backend, use));
    backend.weightsLoaded();
    this.learning = this.list.filter(({ use }) => !frozen?.test(use.name));
    this.weights = new Weights(new Map(this.list.map(({ use, weight }) => [use.name, weight])));
    this.gradients = new Map(this.learning.map(({ weight, gradient }) => [weight, gradient]));
  }

  /** Numbers to begin with, which the seed determines. */
  initialise(spec: ModelSpec, seed: number): void {
    this.list.forEach(({ use, values }, index) => {
      values.set(initialValues(spec, use, seed + index));
    });
  }

  /** Parameters that learn. */
  get parameters(): number {
    return this.learning.reduce((sum, { values }) => sum + values.length, 0);
  }

  /**
   * One step of the optimizer with the gradients gathered so far, which are cleared.
   * @returns the norm of all gradients before clipping; when it is not finite nothing has changed
   */
  async update(settings: StepSettings): Promise<number> {
    const { training, learning } = this;
    const norm = await this.gradientNorm();
    if (!Number.isFinite(norm)) return norm;
    const { step, clip, rate, beta1, beta2, epsilon } = settings;
    const common = {
      rate,
      beta1,
      beta2,
      epsilon,
      correction1: 1 - beta1 ** step,
      correction2: 1 - beta2 ** step,
      gradientScale: norm > clip ? clip / norm : 1,
    };
    for (const learnt of learning) {
      const { weight, gradient, first, second, decays } = learnt;
      if (isDecay(learnt)) await updateDecay(learnt, common);
      else training.adamW({ weight, gradient, first, second, decay: decays ? settings.decay : 0, ...common });
    }
    this.clearGradients();
    return norm;
  }

  /** Of all gradients gathered so far. */
  async gradientNorm(): Promise<number> {
    const { backend, training, learning } = this;
    const sums = await backend.read(training.sumsOfSquares(learning.map(({ gradient }) => gradient)));
    return Math.sqrt(sums.reduce((sum, square) => sum + square, 0));
  }

  clearGradients(): void {
    for (const { gradient } of this.learning) this.training.clear(gradient);
  }

  byName(name: string): TrainedWeight {
    const found = this.list.find(({ use }) => use.name === name);
    if (!found) throw new InternalError(`There is no weight "${name}".`);
    return found;
  }

  /** All that was asked of the backend is done: the values may be read. */
  async settle(x: Pick<TrainedWeight, "first"> = this.list[0]): Promise<void> {
    await x.first.read();
  }

  dispose(): void {
    for (const { gradient, first, second } of this.list) {
      for (const tensor of [gradient, first, second]) tensor.dispose();
    }
  }
}

/** Before anything is taken. @throws MemoryError when not even weights, gradients and moments fit */
function requireRoom(uses: readonly WeightUse[], backend: Backend): void {
  const parameters = uses.reduce((sum, { ref }) => sum + ref.rows * ref.cols, 0);
  const neededBytes = 4 * COPIES * parameters;
  const availableBytes = Math.min(
    backend.memoryLimitBytes,
    platform().availableMemoryBytes() ?? Number.POSITIVE_INFINITY,
  );
  if (neededBytes <= availableBytes) return;
  const size = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  throw new MemoryError(
    `The ${parameters} parameters of the model, with gradients and moments, need ${size(neededBytes)}; ` +
      `${size(availableBytes)} are available. Train a smaller model.`,
    { neededBytes, availableBytes },
  );
}

function allocate(backend: Backend, use: WeightUse): TrainedWeight {
  const { rows, cols, exact } = use.ref;
  const { weight, memory } = backend.allocWeight({ name: use.name, dtype: "f32", rows, cols });
  if (!memory)
    throw new InternalError(`Training needs weights that the host reaches; the ${backend.name} backend has none.`);
  const values = new Float32Array(memory.buffer, memory.byteOffset, rows * cols);
  const kept = () => backend.kept(rows, cols);
  return { use, weight, values, gradient: kept(), first: kept(), second: kept(), decays: rows > 1 && !exact };
}
