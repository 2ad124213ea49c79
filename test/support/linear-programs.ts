/**
 * Random programs of operations that are linear in their inputs, over small whole numbers: floats hold their results and
 * gradients exactly, so a gradient is right or wrong, whatever way tensors are shared, viewed and used again.
 */
import type { RecordingBackend } from "../../src/autograd/recording-backend.js";
import type { Tape } from "../../src/autograd/tape.js";
import type { Backend } from "../../src/tensor/backend.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import type { TrainingOps } from "../../src/tensor/training.js";
import { Random } from "../../src/util/random.js";

export const COLS = 4;

/** What a program runs on: the plain backend, or a tape's. */
export interface Machine {
  readonly ops: Backend | RecordingBackend;
  readonly training: TrainingOps;
  readonly tape?: Tape | undefined;
}

/** Makes a further tensor of those that are there. */
type Step = (machine: Machine, pool: readonly Tensor[]) => Tensor;

export interface LinearProgram {
  readonly names: readonly string[];
  run(machine: Machine, inputs: readonly Tensor[]): Tensor;
}

/** The rows of every tensor are known when the program is drawn. */
interface Drawing {
  readonly random: Random;
  readonly rows: readonly number[];
}

interface Drawn {
  readonly rows: number;
  readonly step: Step;
}

const KINDS: Readonly<Record<string, (drawing: Drawing) => Drawn>> = {
  add: ({ random, rows }) => {
    const a = random.below(rows.length);
    const alike = rows.flatMap((count, i) => (count === rows[a] ? [i] : []));
    const b = alike[random.below(alike.length)];
    return { rows: rows[a], step: ({ ops }, pool) => ops.add(pool[a], pool[b]) };
  },
  twice: ({ random, rows }) => {
    const a = random.below(rows.length);
    return { rows: rows[a], step: ({ ops }, pool) => ops.add(pool[a], pool[a]) };
  },
  rows: ({ random, rows }) => {
    const a = random.below(rows.length);
    const start = random.below(rows[a]);
    const count = 1 + random.below(rows[a] - start);
    return { rows: count, step: ({ ops }, pool) => ops.rows(pool[a], start, count) };
  },
  concat: ({ random, rows }) => {
    const parts = Array.from({ length: 1 + random.below(3) }, () => random.below(rows.length));
    const total = parts.reduce((sum, part) => sum + rows[part], 0);
    return { rows: total, step: ({ ops }, pool) => ops.concat(parts.map((part) => pool[part])) };
  },
  gather: ({ random, rows }) => {
    const a = random.below(rows.length);
    const indices = Int32Array.from({ length: 1 + random.below(4) }, () => random.below(rows[a]));
    return { rows: indices.length, step: ({ ops }, pool) => ops.gather(pool[a], ops.input(indices)) };
  },
  scale: ({ random, rows }) => {
    const a = random.below(rows.length);
    return { rows: rows[a], step: ({ ops }, pool) => ops.map(pool[a], "scale", -2) };
  },
  /** An operation whose derivative adds to the gradient where it lies. */
  buffered: ({ random, rows }) => {
    const a = random.below(rows.length);
    const step: Step = ({ training, tape }, pool) => {
      const y = training.copy(pool[a]);
      return tape ? tape.record(y, (dy) => training.accumulate(tape.buffer(pool[a]), dy)) : y;
    };
    return { rows: rows[a], step };
  },
  /** A residual branch in a layer of its own, which may be computed anew. */
  layer: ({ random, rows }) => {
    const a = random.below(rows.length);
    const forward = (ops: Backend, x: Tensor) => ops.add(x, ops.map(ops.add(x, x), "scale", -1));
    // The oracle has no scope, whose result would end with the scope after the next.
    const step: Step = ({ ops, tape }, pool) =>
      tape ? ops.scope({ layer: 0, forward }, pool[a], undefined) : forward(ops, pool[a]);
    return { rows: rows[a], step };
  },
  /** A layer that passes on what it gets, so that its gradient is the one that comes in. */
  idle: ({ random, rows }) => {
    const a = random.below(rows.length);
    const step: Step = ({ ops, tape }, pool) =>
      tape ? ops.scope({ layer: 0, forward: (_, x) => x }, pool[a], undefined) : pool[a];
    return { rows: rows[a], step };
  },
};

/** A program of `steps` steps over inputs of these rows; its result is made of the last two tensors. */
export function linearProgram(seed: number, steps: number, inputRows: readonly number[]): LinearProgram {
  const random = new Random(seed);
  const rows = [...inputRows];
  const drawn = Array.from({ length: steps }, () => {
    const names = Object.keys(KINDS);
    const name = names[random.below(names.length)];
    const made = KINDS[name]({ random, rows });
    rows.push(made.rows);
    return { name, step: made.step };
  });
  return {
    names: drawn.map(({ name }) => name),
    run(machine, inputs) {
      const pool = [...inputs];
      for (const { step } of drawn) pool.push(step(machine, pool));
      return machine.ops.concat(pool.slice(-2));
    },
  };
}
