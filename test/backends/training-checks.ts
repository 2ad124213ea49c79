/**
 * What the tests of training share: the backends that train, derivatives by differences, and the same bits on any
 * threads.
 */
import { expect } from "vitest";
import type { Backend } from "../../src/tensor/backend.js";
import type { KeptTensor, Tensor } from "../../src/tensor/tensor.js";
import type { TrainingOps } from "../../src/tensor/training.js";
import { DEVICES } from "./devices.js";

export const TRAINING_BACKENDS = DEVICES;

export function trainingOf(ops: Backend): TrainingOps {
  if (!ops.training) throw new Error(`The ${ops.name} backend does not train.`);
  return ops.training;
}

/** A copy of what the tensor holds. */
export const numbersOf = async (ops: Backend, x: Tensor): Promise<Float32Array> => (await ops.read(x)).slice();

export const double = (x: ArrayLike<number>): Float64Array => Float64Array.from(x);

/** Sum of a b. */
export const dot = (a: ArrayLike<number>, b: Float64Array): number =>
  b.reduce((sum, value, i) => sum + value * a[i], 0);

/** Derivatives of `loss` at x, by central differences: x is changed and put back. */
export function differences(x: Float64Array, loss: () => number, step = 1e-5): Float64Array {
  return Float64Array.from(x, (at, i) => {
    x[i] = at + step;
    const above = loss();
    x[i] = at - step;
    const below = loss();
    x[i] = at;
    return (above - below) / (2 * step);
  });
}

/** Expected numbers, and of each the sum of the magnitudes that it is added up from: rounding is measured by these. */
export interface Sum {
  readonly values: Float64Array;
  readonly sizes: Float64Array;
}

/** Sums of zero for `count` numbers; `add` adds a term to one. */
export class Sums implements Sum {
  readonly values: Float64Array;
  readonly sizes: Float64Array;
  constructor(count: number) {
    this.values = new Float64Array(count);
    this.sizes = new Float64Array(count);
  }
  add(i: number, term: number, size = Math.abs(term)): void {
    this.values[i] += term;
    this.sizes[i] += size;
  }
}

/** Largest error in units of the sizes; NaN where a number is none. */
export function errorOf(found: ArrayLike<number>, { values, sizes }: Sum): number {
  expect(found.length).toBe(values.length);
  return values.reduce((most, value, i) => Math.max(most, Math.abs(found[i] - value) / (sizes[i] + 1e-30)), 0);
}

/** What each build of a backend found, by what was asked. */
const found = new Map<string, Float32Array>();

/** Fails unless the numbers are those that the same build found before with another number of threads. */
export function sameBits(label: string, what: string, numbers: Float32Array): void {
  const key = `${label.replace(/\d+ threads?/, "")} ${what}`;
  const before = found.get(key);
  found.set(key, numbers);
  if (before) expect(new Int32Array(numbers.buffer)).toEqual(new Int32Array(before.buffer));
}

/** Kept tensors of a test, given back together. */
export class Keeps {
  private readonly all: KeptTensor[] = [];
  constructor(private readonly ops: Backend) {}

  of(rows: number, cols: number, values?: Float32Array): KeptTensor {
    const kept = this.ops.kept(rows, cols);
    this.all.push(kept);
    if (values) kept.write(values);
    return kept;
  }

  dispose(): void {
    for (const kept of this.all.splice(0)) kept.dispose();
  }
}
