/**
 * A product of many sequences gives each row the bits that it has in the product of its sequence alone: of every format, on
 * every backend, for matrices and for experts.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Backend, FEW_ROWS, type RowSplit } from "../../src/tensor/backend.js";
import { DTYPES, type DType } from "../../src/tensor/dtype.js";
import type { Tensor, Weight } from "../../src/tensor/tensor.js";
import { Random } from "../../src/util/random.js";
import { DEVICES, numbers, tensorOf, weightOf } from "./devices.js";
import { randomWeights } from "./linear-kernels.js";

/** Rows of each sequence, those that read few first. */
const STEPS: readonly (readonly number[])[] = [
  [1, 2, 3, 5, 7, 8, 9, 20],
  Array.from({ length: 33 }, () => 1),
  [1, 1, 1, 1, 1, 1, 1, 13],
  [4, 6],
  [12, 15],
];
const EXPERTS = 5;
const USED = 2;

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
const few = (counts: readonly number[]) => sum(counts.filter((count) => count < FEW_ROWS));
const splitOf = (counts: readonly number[]): RowSplit => ({ rows: sum(counts), few: few(counts) });

function storedWeight(ops: Backend, dtype: DType, rows: number, cols: number, seed: number, experts?: number): Weight {
  const slot = ops.allocWeight({ name: `${dtype} ${seed}`, dtype, rows, cols, experts });
  slot.write(0, randomWeights(dtype, rows, cols, seed));
  return slot.weight;
}

describe.each(DEVICES)("$label", ({ create }) => {
  let ops: Backend;
  const random = new Random(3);
  beforeAll(async () => {
    ops = await create();
  });
  afterAll(() => ops.dispose());

  /** Whatever `body` makes of rows of x, of all sequences at once and of each alone. */
  async function compare(counts: readonly number[], cols: number, body: (x: Tensor, first: number) => Tensor) {
    const x = numbers(random, sum(counts) * cols, 3);
    ops.beginStep([splitOf(counts)]);
    const together = (await ops.read(body(tensorOf(ops, sum(counts), cols, x), 0))).slice();
    const width = together.length / sum(counts);
    let first = 0;
    for (const count of counts) {
      ops.beginStep([splitOf([count])]);
      const rows = tensorOf(ops, count, cols, x.subarray(first * cols, (first + count) * cols));
      const alone = await ops.read(body(rows, first));
      expect(alone, `${count} rows of ${counts}`).toEqual(together.subarray(first * width, (first + count) * width));
      expect(alone.every(Number.isFinite)).toBe(true);
      first += count;
    }
  }

  test.each(Object.keys(DTYPES) as DType[])("%s", async (dtype) => {
    const cols = DTYPES[dtype].blockSize === 256 ? 512 : 96;
    const [eights, odd] = [16, 13].map((rows) => storedWeight(ops, dtype, rows, cols, rows));
    const matrix = storedWeight(ops, dtype, EXPERTS * 8, cols, 50, EXPERTS);
    const plain = { count: EXPERTS, matrix };
    const biased = { ...plain, bias: weightOf(ops, "f32", EXPERTS, 8, numbers(random, EXPERTS * 8)) };
    ops.weightsLoaded();
    for (const counts of STEPS) {
      await compare(counts, cols, (x) => ops.linear(x, eights));
      await compare(counts, cols, (x) => ops.linear(x, odd));
      // Gate and up read the same rows; down reads a row for each expert.
      const logits = numbers(random, sum(counts) * EXPERTS, 3);
      const hidden = numbers(random, sum(counts) * USED * cols);
      await compare(counts, cols, (x, first) => {
        const part = (values: Float32Array, width: number) => values.subarray(first * width, (first + x.rows) * width);
        const routing = ops.route(tensorOf(ops, x.rows, EXPERTS, part(logits, EXPERTS)), USED, "chosen");
        const entries = tensorOf(ops, x.rows * USED, cols, part(hidden, USED * cols));
        const gate = ops.expertLinear(x, biased, routing);
        const up = ops.gated(gate, ops.expertLinear(x, plain, routing), "silu");
        const down = ops.expertLinear(entries, biased, routing);
        return ops.mixExperts(ops.add(up, down), routing);
      });
    }
  });

  test("without splits a tensor's rows are those of one sequence", async () => {
    const weight = storedWeight(ops, "q4_0", 16, 96, 1);
    ops.weightsLoaded();
    for (const count of [1, FEW_ROWS - 1, FEW_ROWS, 20]) {
      const x = numbers(random, count * 96);
      const found: Float32Array[] = [];
      for (const splits of [undefined, [splitOf([count])], [{ rows: 64, few: 64 }]]) {
        ops.beginStep(splits);
        found.push((await ops.read(ops.linear(tensorOf(ops, count, 96, x), weight))).slice());
      }
      expect(found[1]).toEqual(found[0]);
      expect(found[2]).toEqual(found[0]);
    }
  });

  test("the last row of many is multiplied as they are where the split says so", async () => {
    const weight = storedWeight(ops, "q4_0", 16, 96, 2);
    ops.weightsLoaded();
    const x = numbers(random, 20 * 96);
    ops.beginStep([splitOf([20]), { rows: 1, few: 0 }]);
    const all = tensorOf(ops, 20, 96, x);
    const last = ops.linear(ops.rows(all, 19, 1), weight);
    const expected = ops.linear(all, weight);
    const found = (await ops.read(last)).slice();
    expect(found).toEqual((await ops.read(expected)).subarray(19 * 16));
  });
});
