/** Attention for training and its derivatives, against brute force in double precision. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import type { Backend } from "../../src/tensor/backend.js";
import { UnsupportedError } from "../../src/util/errors.js";
import { Random } from "../../src/util/random.js";
import { relaxedSimd } from "../support/test-platform.js";
import { DEVICES, difference } from "./devices.js";
import {
  attend,
  bruteForce,
  type Case,
  draw,
  keysOf,
  lossOf,
  type Results,
  valueWidthOf,
} from "./training-attention-cases.js";

const BACKENDS = DEVICES;

const base: Case = { rows: 45, kvHeads: 2, group: 2, width: 16, spans: "causal" };

const CASES: readonly Case[] = [
  base,
  { rows: 1, kvHeads: 1, group: 1, width: 4, spans: "causal" },
  { rows: 260, kvHeads: 2, group: 2, width: 32, spans: "causal" },
  { rows: 150, kvHeads: 1, group: 6, width: 48, spans: "causal" },
  { rows: 140, kvHeads: 4, group: 1, width: 64, spans: "window" },
  { rows: 50, kvHeads: 1, group: 70, width: 8, spans: "window" },
  { rows: 133, kvHeads: 2, group: 5, width: 12, valueWidth: 20, spans: "sinks" },
  { rows: 200, kvHeads: 3, group: 2, width: 20, valueWidth: 8, spans: "scattered" },
  { rows: 90, kvHeads: 4, group: 2, width: 16, spans: "window", others: "scattered" },
  { rows: 90, kvHeads: 3, group: 1, width: 8, spans: "causal", others: "nothing", sinks: true },
  ...(["table", "linear"] as const).map(
    (bias): Case => ({ ...base, rows: 70, kvHeads: 4, others: "window", bias, sinks: true }),
  ),
  { rows: 60, keys: 175, kvHeads: 2, group: 2, width: 36, valueWidth: 32, spans: "causal" },
  { rows: 100, keys: 31, kvHeads: 2, group: 2, width: 32, valueWidth: 36, spans: "all" },
  { rows: 70, kvHeads: 2, group: 2, width: 16, spans: "some" },
  { rows: 40, kvHeads: 1, group: 3, width: 16, spans: "nothing" },
  { rows: 20, kvHeads: 1, group: 2, width: 512, spans: "causal" },
  ...(["window", "scattered"] as const).flatMap((spans) =>
    [undefined, 1.5].flatMap((softcap) =>
      ([undefined, "linear", "table"] as const).flatMap((bias) =>
        [false, true].map(
          (sinks): Case => ({
            ...{ ...base, rows: 85, spans, sinks },
            ...(softcap && { softcap }),
            ...(bias && { bias }),
          }),
        ),
      ),
    ),
  ),
  { rows: 320, kvHeads: 1, group: 4, width: 16, spans: "sinks", bias: "table", sinks: true, softcap: 4 },
];

const named = CASES.map((shape, index) => [JSON.stringify(shape), shape, index] as const);
const drawn = (index: number) => draw(CASES[index], new Random(index));

/** Made once for all backends. */
const expected = new Map<number, Results>();
function expectedOf(index: number): Results {
  const found = expected.get(index) ?? bruteForce(CASES[index], drawn(index));
  expected.set(index, found);
  return found;
}

/**
 * Roundings to f32, of numbers of the order of 1: a score has D of them, the sum of weighted values or derivatives as
 * many as it has terms, at most one for each key or for each row and query head of a group. Of n about sqrt(n) are left
 * in the end, and four times that is allowed; a wrong term would be off by the order of one over the number of keys.
 */
function toleranceOf(shape: Case): number {
  const terms = Math.max(keysOf(shape), shape.rows * shape.group);
  return 4 * 2 ** -24 * (Math.sqrt(Math.max(shape.width, valueWidthOf(shape))) + Math.sqrt(terms));
}

const NAMES = ["out", "logSums", "dq", "dk", "dv", "dSinks", "dTable"] as const;

describe.each(BACKENDS)("$label", ({ create }) => {
  let ops: Backend;
  beforeAll(async () => {
    ops = await create();
  });
  afterAll(() => ops.dispose());

  test.each(named)("%s", async (_, shape, index) => {
    const found = await attend(ops, shape, drawn(index));
    const exact = expectedOf(index);
    for (const name of NAMES) {
      // -Infinity, the log of nothing, is equal or wrong.
      const pairs = [...exact[name]].map((x, i) => [found[name][i], x]).filter(([a, b]) => !Object.is(a, b));
      const off = difference(
        pairs.map(([a]) => a),
        pairs.map(([, b]) => b),
      );
      expect(off, name).toBeLessThan(toleranceOf(shape));
    }
  });
});

test("heads of widths that no kernel has are refused", async () => {
  const ops = await createWasmBackend({ threads: 1, maxMemoryBytes: 2 ** 28 });
  const shape = { ...base, width: 10 };
  await expect(attend(ops, shape, draw(shape, new Random(1)))).rejects.toBeInstanceOf(UnsupportedError);
  await ops.dispose();
});

const BUILDS = [
  { relaxed: false, wide: false },
  ...(relaxedSimd ? [false, true].map((wide) => ({ relaxed: true, wide })) : []),
];

test.each(BUILDS)("two threads give the bits of one, relaxed $relaxed, wide $wide", async (build) => {
  const [one, two] = await Promise.all(
    [1, 2].map((threads) => createWasmBackend({ threads, ...build, parallelNs: 0, maxMemoryBytes: 2 ** 28 })),
  );
  for (const [name, shape, index] of named) {
    const [first, second] = [await attend(one, shape, drawn(index)), await attend(two, shape, drawn(index))];
    for (const part of NAMES) expect(sameBits(first[part], second[part]), `${part} of ${name}`).toBe(true);
  }
  await Promise.all([one.dispose(), two.dispose()]);
});

const sameBits = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  a.length === b.length && Array.from(a).every((x, i) => Object.is(x, b[i]));

test.each(["softcap", "linear", "table"])(
  "brute force's derivatives are those of its loss, with sinks and %s",
  (extra) => {
    const shape: Case = {
      ...{ rows: 6, kvHeads: 2, group: 2, width: 4, valueWidth: 8, spans: "scattered", sinks: true },
      ...(extra === "softcap" ? { softcap: 1.5 } : { bias: extra === "linear" ? "linear" : "table" }),
    };
    const numbers = draw(shape, new Random(5));
    const exact = bruteForce(shape, numbers);
    const h = 2 ** -12;
    const of = { q: "dq", k: "dk", v: "dv", sinks: "dSinks", table: "dTable" } as const;
    for (const name of ["q", "k", "v", "sinks", "table"] as const) {
      for (let i = 0; i < numbers[name].length; i++) {
        const moved = (by: number) => {
          const x = Float64Array.from(numbers[name]);
          x[i] += by;
          return lossOf(shape, numbers, { ...numbers, [name]: x });
        };
        // Four points: the error is of the order of h^4 = 4e-15, rounding of 1e-15 / h.
        const slope = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h);
        expect(Math.abs(slope - (exact[of[name]][i] - numbers.before[of[name]][i]))).toBeLessThan(1e-9);
      }
    }
  },
);
