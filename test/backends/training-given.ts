/**
 * How an operation's derivatives are checked on any backend with a training tier: the operation itself gives the loss
 * sum(r y) for finite differences, its derivatives the gradients.
 */
import type { Backend } from "../../src/tensor/backend.js";
import type { KeptTensor, StepInput, Tensor, Weight } from "../../src/tensor/tensor.js";
import type { TrainingOps } from "../../src/tensor/training.js";
import { Random } from "../../src/util/random.js";
import { type DirectionalCheck, directionalErrors } from "../support/finite-differences.js";
import { weightOf } from "./devices.js";

/** Numbers of one input, uniform in [least, most] ([-1, 1] if absent) but not near `kinks`. */
export interface Shape {
  readonly rows: number;
  readonly cols: number;
  readonly within?: readonly [least: number, most: number];
  readonly kinks?: readonly number[];
}

export interface DerivativeCase {
  readonly name: string;
  readonly shapes: readonly Shape[];
  readonly step?: number;
  readonly forward: (given: Given) => Tensor;
  /** Gradients of all inputs in order. */
  readonly back: (given: Given, dy: Tensor) => readonly Tensor[];
}

export const shape = (rows: number, cols: number, more: Partial<Shape> = {}): Shape => ({ rows, cols, ...more });

/** What accumulated gradients hold before. */
const BEGUN = 0.5;

/** The numbers of a case in one step of a backend, as the tensors or weights that the operation takes. */
export class Given {
  private readonly gradients = new Map<number, KeptTensor>();
  private readonly begun: Tensor[] = [];
  private readonly states: KeptTensor[] = [];

  readonly training: TrainingOps;

  constructor(
    readonly ops: Backend,
    private readonly shapes: readonly Shape[],
    private readonly values: readonly Float32Array[],
  ) {
    this.training = trainingOf(ops);
    ops.beginStep();
  }

  tensor(index: number): Tensor {
    const { rows, cols } = this.shapes[index];
    return this.ops.tensor(this.ops.input(this.values[index]), rows, cols);
  }

  weight(index: number): Weight {
    const { rows, cols } = this.shapes[index];
    return weightOf(this.ops, "f32", rows, cols, this.values[index]);
  }

  ints(...values: number[]): StepInput {
    return this.ops.input(Int32Array.from(values));
  }

  /** What the gradient of an input is added to; not zero, so that adding shows. */
  gradient(index: number): KeptTensor {
    const { rows, cols } = this.shapes[index];
    const found = this.gradients.get(index) ?? this.ops.kept(rows, cols);
    if (!this.gradients.has(index)) found.write(new Float32Array(rows * cols).fill(BEGUN));
    this.gradients.set(index, found);
    return found;
  }

  /** As `gradient`, where a tensor of the step is added to. */
  sums(index: number): Tensor {
    const { rows, cols } = this.shapes[index];
    const sums = this.ops.tensor(this.ops.input(new Float32Array(rows * cols).fill(BEGUN)), rows, cols);
    this.begun.push(sums);
    return sums;
  }

  /** A state of zeros. */
  state(rows: number, cols: number): KeptTensor {
    const state = this.ops.kept(rows, cols);
    this.states.push(state);
    return state;
  }

  /** What a gradient held before. */
  begunOf(gradient: Tensor): number {
    const begun: Tensor[] = [...this.gradients.values(), ...this.begun];
    return begun.includes(gradient) ? BEGUN : 0;
  }

  dispose(): void {
    for (const kept of [...this.gradients.values(), ...this.states]) kept.dispose();
  }
}

/** Uniform numbers that stay a tenth of their spread away from the kinks, which is further than any step goes. */
export function drawShape({ rows, cols, within = [-1, 1], kinks = [] }: Shape, random: Random): Float32Array {
  const [least, most] = within;
  const margin = (most - least) / 20;
  return Float32Array.from({ length: rows * cols }, () => {
    const value = least + random.double() * (most - least);
    const near = kinks.find((kink) => Math.abs(value - kink) < margin);
    return near === undefined ? value : near + (value < near ? -margin : margin);
  });
}

export function trainingOf(ops: Backend): TrainingOps {
  if (!ops.training) throw new Error(`The ${ops.name} backend has no training tier.`);
  return ops.training;
}

/** The loss sum(r y) of a case and its gradients on a backend, for `directionalErrors`. */
export async function checkOf(
  ops: Backend,
  { shapes, step, forward, back }: DerivativeCase,
  seed: number,
): Promise<DirectionalCheck> {
  const random = new Random(seed);
  const parameters = shapes.map((each) => drawShape(each, random));
  const given = (values: readonly Float32Array[]) => new Given(ops, shapes, values);
  const first = given(parameters);
  const { rows, cols } = forward(first);
  first.dispose();
  const r = drawShape(shape(rows, cols), random);
  const loss = async (values: readonly Float32Array[]) => {
    const now = given(values);
    const y = await ops.read(forward(now));
    now.dispose();
    return y.reduce((sum, value, i) => sum + value * r[i], 0);
  };
  const gradients = await gradientsOf(given(parameters), (now) => back(now, ops.tensor(ops.input(r), rows, cols)));
  return { parameters, loss, gradients, seed, ...(step ? { step } : {}) };
}

/** Numbers of the gradients, without what accumulated ones held before (see Given.gradient). */
export async function gradientsOf(given: Given, back: (given: Given) => readonly Tensor[]): Promise<Float32Array[]> {
  const numbers: Float32Array[] = [];
  for (const gradient of back(given)) {
    const begun = given.begunOf(gradient);
    numbers.push((await given.ops.read(gradient)).map((value) => value - begun));
  }
  given.dispose();
  return numbers;
}

/** The largest error among the inputs, and the smallest along two directions if the gradients had the other sign. */
export async function derivativeErrors(check: DirectionalCheck): Promise<{ right: number; negated: number }> {
  const negated = check.gradients.map((each) => Float32Array.from(each, (value) => -value));
  return {
    right: Math.max(...(await directionalErrors(check))),
    negated: Math.min(...(await directionalErrors({ ...check, gradients: negated, directions: 2 }))),
  };
}
