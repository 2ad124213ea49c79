/**
 * The tape by itself: who shares a gradient with whom, and who may write it. Programs of linear operations over whole numbers
 * are exact, so their gradients are compared for equality: that of an input's element is dy . f(its unit vector).
 */
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { RecordingBackend } from "../../src/autograd/recording-backend.js";
import { Tape } from "../../src/autograd/tape.js";
import { createBackend } from "../../src/backends/create.js";
import type { Backend } from "../../src/tensor/backend.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import type { TrainingOps } from "../../src/tensor/training.js";
import { InternalError } from "../../src/util/errors.js";
import { Random } from "../../src/util/random.js";
import { directionalError } from "../support/finite-differences.js";
import { COLS, linearProgram } from "../support/linear-programs.js";

const wholes = (random: Random, count: number) => Float32Array.from({ length: count }, () => random.below(7) - 3);

describe.each([
  { name: "reference", threads: 1 },
  { name: "wasm", threads: 2 },
] as const)("on $name", ({ name, threads }) => {
  let backend: Backend;
  let training: TrainingOps;
  let tape: Tape;
  let ops: RecordingBackend;
  beforeAll(async () => {
    backend = await createBackend(name, { threads });
    if (!backend.training) throw new Error("no training");
    training = backend.training;
    tape = new Tape(backend, training, new Map());
    ops = new RecordingBackend(tape);
  });
  afterAll(() => backend.dispose());

  const constant = (values: ArrayLike<number>, cols = COLS) =>
    backend.tensor(backend.input(Float32Array.from(values)), values.length / cols, cols);
  const watched = (values: ArrayLike<number>) => tape.watch(constant(values));
  const read = async (x: Tensor | undefined) => x && Array.from(await backend.read(x));

  /** Gradients of dy . y with respect to `inputs`. */
  async function gradients(y: Tensor, dy: ArrayLike<number>, inputs: readonly Tensor[]) {
    tape.backward(y, constant(dy));
    return Promise.all(inputs.map((x) => read(tape.gradientOf(x))));
  }

  it.each([
    ["kept", false],
    ["computed anew", true],
  ] as const)("random programs have the gradients that unit vectors give, layers %s", async (_, checkpointing) => {
    const recording = new RecordingBackend(tape, { checkpointing });
    for (let seed = 0; seed < 60; seed++) {
      const random = new Random(1000 + seed);
      const inputRows = [2, 3];
      const program = linearProgram(seed, 9, inputRows);
      const values = inputRows.map((rows) => wholes(random, rows * COLS));
      recording.beginStep();
      const inputs = values.map(watched);
      const y = program.run({ ops: recording, training, tape }, inputs);
      const dy = wholes(random, y.rows * COLS);
      const found = await gradients(y, dy, inputs);
      for (const [input, { length }] of values.entries()) {
        const expected: number[] = [];
        for (let i = 0; i < length; i++) {
          backend.beginStep();
          const unit = values.map((of, at) => constant(of.map((_, j) => (at === input && i === j ? 1 : 0))));
          const row = await backend.read(program.run({ ops: backend, training }, unit));
          expected.push(row.reduce((sum, value, j) => sum + value * dy[j], 0));
        }
        // What has no gradient has none at all, or zeros; a zero's sign says nothing.
        const plain = (found[input] ?? expected.map(() => 0)).map((value) => value + 0);
        expect(plain, `${seed}: ${program.names}`).toEqual(expected.map((value) => value + 0));
      }
    }
  });

  it("tells the backend which rows of the step are of sequences that read few", () => {
    const inner = backend.beginStep.bind(backend);
    const told: unknown[] = [];
    backend.beginStep = (splits) => {
      told.push(splits);
      inner(splits);
    };
    ops.beginStep([{ rows: 12, few: 4 }]);
    ops.beginStep();
    backend.beginStep = inner;
    expect(told).toEqual([[{ rows: 12, few: 4 }], undefined]);
  });

  it("x + x has twice the gradient, and a sum's two parts share theirs without writing it", async () => {
    ops.beginStep();
    const [a, b] = [watched([1, 2, 3, 4]), watched([5, 6, 7, 8])];
    const sum = ops.add(a, b);
    const y = ops.add(sum, sum);
    // a has a gradient of its own behind the shared one: b must not see it.
    const more = ops.add(y, ops.map(a, "scale", 10));
    expect(await gradients(more, [1, 2, 3, 4], [a, b, sum])).toEqual([
      [12, 24, 36, 48],
      [2, 4, 6, 8],
      [2, 4, 6, 8],
    ]);
  });

  it("a tensor used three times has the sum of three gradients", async () => {
    ops.beginStep();
    const x = watched([1, 2, 3, 4]);
    const parts = [1, 10, 100].map((factor) => ops.map(x, "scale", factor));
    const y = ops.add(ops.add(parts[0], parts[1]), parts[2]);
    expect(await gradients(y, [1, 2, 3, 4], [x])).toEqual([[111, 222, 333, 444]]);
  });

  it("layers that are computed anew give gradients that nothing else writes or ends", async () => {
    const recording = new RecordingBackend(tape, { checkpointing: true });
    const scaled = (x: Tensor, factor: number) =>
      recording.scope({ layer: 0, forward: (inner, inside) => inner.map(inside, "scale", factor) }, x, undefined);
    recording.beginStep();
    const x = watched([1, 2, 3, 4]);
    const parts = [1, 10, 100, 1000].map((factor) => scaled(x, factor));
    const sum = parts.reduce((all, part) => recording.add(all, part));
    expect(await gradients(sum, [1, 2, 3, 4], [x])).toEqual([[1111, 2222, 3333, 4444]]);

    recording.beginStep();
    const [a, b] = [watched([1, 2, 3, 4]), watched([1, 2, 3, 4])];
    // The order in which they go back: what b gets is read after a's was added to.
    const last = recording.map(b, "scale", 1);
    const other = recording.map(a, "scale", 10);
    const same = recording.scope({ layer: 0, forward: (_, inside) => inside }, a, undefined);
    const y = recording.add(recording.add(same, other), last);
    expect(await gradients(y, [1, 2, 3, 4], [a, b])).toEqual([
      [11, 22, 33, 44],
      [1, 2, 3, 4],
    ]);
  });

  it("a chain of residuals doubles the gradient with each", async () => {
    ops.beginStep();
    const x = watched([1, -1, 2, 0]);
    let y = x;
    for (let i = 0; i < 12; i++) y = ops.add(y, ops.map(y, "scale", 1));
    expect(await gradients(y, [1, 2, -3, 4], [x])).toEqual([[4096, 8192, -12288, 16384]]);
  });

  it("views share their parent's gradient, views of views too", async () => {
    ops.beginStep();
    const x = watched([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
    const lower = ops.rows(x, 1, 2);
    const last = ops.rows(lower, 1, 1);
    const y = ops.concat([ops.map(last, "scale", 3), lower]);
    const dy = [1, 1, 1, 1, 5, 5, 5, 5, 7, 7, 7, 7];
    expect(await gradients(y, dy, [x, lower, last])).toEqual([
      [0, 0, 0, 0, 5, 5, 5, 5, 10, 10, 10, 10],
      [5, 5, 5, 5, 10, 10, 10, 10],
      [10, 10, 10, 10],
    ]);
  });

  it("constants get no gradient, and a buffer that nobody reads", async () => {
    ops.beginStep();
    const [x, fixed] = [watched([1, 2, 3, 4]), constant([5, 6, 7, 8])];
    const view = ops.rows(fixed, 0, 1);
    const y = ops.add(ops.add(x, fixed), view);
    expect(await gradients(y, [1, 1, 1, 1], [x, fixed, view])).toEqual([[1, 1, 1, 1], undefined, undefined]);
    expect(await read(tape.buffer(fixed))).toEqual([0, 0, 0, 0]);
    expect([tape.isWatched(x), tape.isWatched(y), tape.isWatched(fixed), tape.isWatched(view)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it("a buffer of a shared gradient is a copy", async () => {
    ops.beginStep();
    const [a, b] = [watched([1, 2, 3, 4]), watched([1, 2, 3, 4])];
    tape.backward(ops.add(a, b), constant([1, 1, 1, 1]));
    training.accumulate(tape.buffer(a), constant([9, 9, 9, 9]));
    expect([await read(tape.gradientOf(a)), await read(tape.gradientOf(b))]).toEqual([
      [10, 10, 10, 10],
      [1, 1, 1, 1],
    ]);
  });

  it("what leads nowhere costs nothing and has no gradient", async () => {
    ops.beginStep();
    const x = watched([1, 2, 3, 4]);
    let called = 0;
    tape.record(training.copy(x), () => called++);
    const y = ops.map(x, "scale", 2);
    expect(await gradients(y, [1, 1, 1, 1], [x])).toEqual([[2, 2, 2, 2]]);
    expect(called).toBe(0);
  });

  it("asks for gradients of what it recorded alone", () => {
    ops.beginStep();
    expect(() => tape.backward(constant([1, 2, 3, 4]), constant([1, 2, 3, 4]))).toThrow(InternalError);
    const x = watched([1, 2, 3, 4]);
    tape.clear();
    expect(tape.isWatched(x)).toBe(false);
  });

  test("rows, gathered and put together through functions that are not linear: differences of the loss", async () => {
    const random = new Random(5);
    const parameters = [4, 3].map((rows) => Float32Array.from({ length: rows * COLS }, () => random.double() * 2 - 1));
    const forward = (of: Backend, [a, b]: readonly Tensor[]) => {
      const mixed = of.concat([of.rows(a, 1, 3), b, of.rows(of.concat([b, a]), 2, 2)]);
      const picked = of.gather(mixed, of.input(Int32Array.of(0, 7, 3, 3, 5, 0)));
      const gated = of.gated(picked, of.map(picked, "geluErf"), "silu");
      return of.add(gated, of.map(picked, "softcap", 1.5));
    };
    const dy = Float32Array.from({ length: 6 * COLS }, () => random.double() * 2 - 1);
    ops.beginStep();
    const inputs = parameters.map(watched);
    const found = await gradients(forward(ops, inputs), dy, inputs);
    const loss = async (moved: readonly Float32Array[]) => {
      backend.beginStep();
      const y = await backend.read(
        forward(
          backend,
          moved.map((each) => constant(each)),
        ),
      );
      return y.reduce((sum, value, i) => sum + value * dy[i], 0);
    };
    const check = { parameters, loss, gradients: found.map((each) => each ?? []), seed: 1 };
    // finite-differences.ts: about 2e-6 of rounding, and sums of about as many terms as there are elements in the loss.
    expect(await directionalError(check)).toBeLessThan(1e-4);
  });
});

test("weights that are not among the parameters are frozen, and a fork has the same ones", async () => {
  const backend = await createBackend("reference", { threads: 1 });
  const { training } = backend;
  if (!training) throw new Error("no training");
  const weights = ["a", "b"].map((name) => backend.allocWeight({ name, dtype: "f32", rows: 1, cols: 2 }).weight);
  const gradient = backend.kept(1, 2);
  const tape = new Tape(backend, training, new Map([[weights[0], gradient]]));
  for (const each of [tape, tape.fork()]) {
    expect(weights.map((weight) => each.parameter(weight))).toEqual([gradient, undefined]);
    expect(each.parameter(undefined)).toBeUndefined();
  }
});
