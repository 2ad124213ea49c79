/**
 * Choices of pages on every backend against brute force over the bounds that are stored, and attention over them against brute
 * force over the chosen slots.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Backend, SelectedPages } from "../../src/tensor/backend.js";
import { KV_TYPES } from "../../src/tensor/dtype.js";
import { toleranceOf } from "./attention-cases.js";
import { DEVICES, type Device, difference, WASM_DEVICES } from "./devices.js";
import {
  attend,
  type Bounded,
  boundScores,
  bruteAttention,
  bruteWeights,
  candidates,
  chosenOf,
  type DrawnRows,
  decoding,
  drawRows,
  earlierPages,
  type Row,
  type Shape,
  selectCall,
  trueScore,
  writeAll,
} from "./select-cases.js";
import { boundsOf, keysOf } from "./stored-pages.js";

const shape: Shape = { kvHeads: 2, group: 2, keyWidth: 64, valueWidth: 64 };
const window: Row = { ...decoding, tokens: 333, start: 21, lead: 5, oldest: 0, newest: 4, pages: 9 };
const sinks: Row = { ...window, earlier: [[0, 4]], heads: [1] };
const long: Row = { ...decoding, tokens: 1400, pages: 30, newest: 4 };
const remainders = Array.from({ length: 17 }, (_, i): Row => ({ ...decoding, tokens: 160 + i, lead: i % 16 }));

const CASES: readonly (readonly [string, Shape, readonly Row[]])[] = [
  ["one row", shape, [decoding]],
  ["MQA of 8", { ...shape, kvHeads: 1, group: 8 }, [{ ...long, heads: [0] }]],
  ["MHA of width 80", { ...shape, kvHeads: 2, group: 1, keyWidth: 80, valueWidth: 80 }, [long]],
  ["groups of 4, width 128", { ...shape, group: 4, keyWidth: 128 }, [long]],
  ["odd widths, 23 query heads", { kvHeads: 1, group: 23, keyWidth: 20, valueWidth: 12 }, [{ ...window, heads: [0] }]],
  ["3 query heads, more than 1,024 pages", { ...shape, group: 3, keyWidth: 4 }, [{ ...long, tokens: 17000 }]],
  ["every page remainder", { ...shape, keyWidth: 12 }, remainders],
  [
    "windows and sinks side by side",
    shape,
    [
      window,
      decoding,
      sinks,
      {
        ...sinks,
        earlier: [
          [3, 40],
          [50, 50],
        ],
      },
    ],
  ],
  [
    "one page",
    shape,
    [
      { ...long, pages: 1, oldest: 0, newest: 1 },
      { ...decoding, tokens: 9, pages: 1, oldest: 0, newest: 1 },
    ],
  ],
  [
    "few of about 64, and of more",
    shape,
    [63, 64, 65, 96, 130].flatMap((others) =>
      [1, 2, 3, 4].map((k): Row => ({ ...decoding, tokens: (others + 3) * 16, pages: k + 3 })),
    ),
  ],
  ["given pages alone", shape, [{ ...long, pages: 5, oldest: 1, newest: 4 }]],
  ["ALiBi", { ...shape, bias: "linear" }, [window, { ...sinks, tokens: 700 }]],
  ["a table of biases", { ...shape, bias: "table" }, [window, { ...sinks, tokens: 700 }]],
  ["soft cap", { ...shape, softcap: 3 }, [window, long]],
  ["soft cap, table and sinks", { ...shape, softcap: 5, bias: "table", sinks: true, group: 5 }, [window, sinks]],
  ["learned sinks", { ...shape, sinks: true }, [window, long]],
  ["ALiBi and sinks", { ...shape, bias: "linear", sinks: true, group: 4 }, [window, long]],
  [
    "all cache types",
    shape,
    KV_TYPES.flatMap((keyType) => KV_TYPES.map((valueType) => ({ ...window, keyType, valueType }))),
  ],
];

/** The largest difference of weights that rounding to f32 explains: scores of up to 40 round by 2^-19. */
const ROUNDING = 1e-4;

async function withBackend<R>({ create }: Device, body: (ops: Backend) => Promise<R>): Promise<R> {
  const ops = await create();
  try {
    return await body(ops);
  } finally {
    await ops.dispose();
  }
}

/** The lists of each row and head, and what attention makes of them. */
async function run(ops: Backend, drawn: DrawnRows, caches: readonly Bounded[]) {
  const selected = ops.select(selectCall(ops, drawn, caches));
  const out = (await ops.read(attend(ops, drawn, caches, selected))).slice();
  const lists = await Promise.all(selected.map((part) => listsOf(part)));
  return { lists, out };
}

async function listsOf(selected: SelectedPages): Promise<Int32Array[]> {
  const all = await selected.read();
  const { heads, pages } = selected;
  return Array.from({ length: heads }, (_, head) => all.slice(head * pages, (head + 1) * pages));
}

/** The bounds of a row's candidates and head, as stored. */
async function storedBounds(ops: Backend, drawn: DrawnRows, caches: readonly Bounded[], index: number, head: number) {
  const [first, count] = candidates(drawn.rows[index]);
  const all = await Promise.all(Array.from({ length: count }, (_, i) => boundsOf(ops, caches[index], first + i, head)));
  return (page: number) => all[page - first];
}

/** Fails unless the list has its pages in order, those that are given, and of the others the heaviest. */
function expectChosen(row: Row, list: Int32Array, weights: readonly number[]): void {
  const [first, count] = candidates(row);
  const earlier = earlierPages(row);
  expect([...list.subarray(0, earlier.length)]).toEqual(earlier);
  const chosen = Array.from(list.subarray(earlier.length), (entry) => entry - first);
  expect(chosen).toHaveLength(chosenOf(row));
  expect(chosen).toEqual([...new Set(chosen)].sort((a, b) => a - b));
  expect(chosen[0]).toBeGreaterThanOrEqual(0);
  expect(chosen[chosen.length - 1]).toBeLessThan(count);
  const given = (i: number) => i < row.oldest || i >= count - row.newest;
  const all = weights.map((_, i) => i);
  for (const i of all.filter(given)) expect(chosen).toContain(i);
  const lightest = Math.min(...chosen.filter((i) => !given(i)).map((i) => weights[i]));
  const heaviest = Math.max(...all.filter((i) => !given(i) && !chosen.includes(i)).map((i) => weights[i]));
  expect(lightest).toBeGreaterThanOrEqual(heaviest - ROUNDING);
}

async function expectRight(ops: Backend, drawn: DrawnRows): Promise<void> {
  ops.beginStep();
  const caches = writeAll(ops, drawn);
  const { lists, out } = await run(ops, drawn, caches);
  const { shape } = drawn;
  for (const [index, row] of drawn.rows.entries()) {
    for (const [i, kvHead] of row.heads.entries()) {
      const bounds = await storedBounds(ops, drawn, caches, index, i);
      expectChosen(row, lists[index][i], bruteWeights(drawn, index, kvHead, bounds));
    }
    const width = shape.group * shape.valueWidth;
    const at = index * shape.kvHeads * width;
    const found = row.heads.flatMap((head) => [...out.subarray(at + head * width, at + (head + 1) * width)]);
    const tolerance = 5e-6 + toleranceOf({ ...row, layout: undefined });
    expect(difference(found, bruteAttention(drawn, index, lists[index]).flat()), `row ${index}`).toBeLessThan(
      tolerance,
    );
  }
  for (const { slice, bounds } of caches) {
    slice.store.dispose();
    bounds.store.dispose();
  }
}

describe.each(DEVICES)("choice of pages on $label", ({ create }) => {
  let ops: Backend;
  beforeAll(async () => {
    ops = await create();
  });
  afterAll(() => ops.dispose());

  test.each(CASES)("%s", async (_, problem, rows) => {
    await expectRight(ops, drawRows(problem, rows, 21));
  });

  test.each([
    [1400, [0, 1, 2, 3, 4, 20, 50]],
    [17_000, [0, 1, 2, 3, 4, 20, 50]],
    [160, [0, 1, 2, 3, 4, 5, 6]],
  ])("of pages that weigh the same the earlier are read: %i tokens", async (tokens, oldest) => {
    ops.beginStep();
    const row: Row = { ...long, tokens, pages: 9, oldest: 1, newest: 2 };
    const drawn = drawRows({ ...shape, keyWidth: 4 }, [row], 5);
    drawn.queries[0].fill(1);
    drawn.keys[0].fill(0);
    // Two are heavier, where there are so many.
    for (const page of [20, 50]) drawn.keys[0].fill(1, page * 16 * 8, page * 16 * 8 + 8);
    const { lists } = await run(ops, drawn, writeAll(ops, drawn));
    const [, count] = candidates(row);
    for (const list of lists[0]) expect([...list]).toEqual([...oldest, count - 2, count - 1]);
  });

  // One slope moves all scores of a head alike, which shows against a learned sink alone: here 4 below the bound of page `near`.
  test.each([
    [0.5, 12, 12 * 16 + 15],
    [-0.5, 1, 16],
  ])("of a page's distances the one with the largest bias counts: slope %f", async (slope, near, slot) => {
    ops.beginStep();
    const row: Row = { ...decoding, tokens: 224, heads: [0], pages: 3, oldest: 1, newest: 1 };
    const drawn = drawRows({ kvHeads: 1, group: 2, keyWidth: 4, valueWidth: 4, bias: "linear", sinks: true }, [row], 1);
    drawn.queries[0].set([2, 0, 0, 0, 0, 2, 0, 0]);
    drawn.keys[0].fill(0);
    // Another page has the weight 1/2 for the second head, which has no slope.
    for (let i = 0; i < 16; i++) {
      drawn.keys[0][(near * 16 + i) * 4] = 20;
      drawn.keys[0][(6 * 16 + i) * 4 + 1] = 20;
    }
    drawn.slopes.set([slope, 0]);
    drawn.logits.set([20 - slope * (223 - slot) - 4, 20]);
    const { lists } = await run(ops, drawn, writeAll(ops, drawn));
    expect([...lists[0][0]]).toEqual([0, near, 13]);
  });

  test("no true score is above its page's bound", async () => {
    for (const [i, keyType] of KV_TYPES.entries()) {
      ops.beginStep();
      const problem: Shape = { ...shape, keyWidth: 36, ...[{}, { softcap: 2 }, { bias: "linear" as const }][i % 3] };
      const drawn = drawRows(problem, [{ ...window, keyType }], 30 + i);
      const caches = writeAll(ops, drawn);
      const [first, count] = candidates(window);
      for (let head = 0; head < 4; head++) {
        const scores = boundScores(drawn, 0, head, await storedBounds(ops, drawn, caches, 0, head >> 1));
        for (let page = first; page < first + count; page++) {
          const keys = await keysOf(ops, caches[0], page, head >> 1);
          // The last page is not full.
          for (let slot = page * 16; slot < Math.min(page * 16 + 16, window.tokens); slot++) {
            const key = Float32Array.from({ length: 36 }, (_, d) => keys[d * 16 + (slot & 15)]);
            const score = trueScore(drawn, 0, 0, slot, head, key);
            expect(score).toBeLessThanOrEqual(scores[page - first] + 1e-12);
          }
        }
      }
    }
  });

  test.each(KV_TYPES)("%s: a page with the largest score by far is always read", async (keyType) => {
    for (const needle of [17, 200, 1333]) {
      ops.beginStep();
      const row: Row = { ...long, keyType, pages: 6, oldest: 1, newest: 4 };
      const drawn = drawRows(shape, [row], needle);
      // The key of both heads is three times the query of the first of their group.
      for (const head of [0, 1]) {
        for (let d = 0; d < 64; d++) {
          drawn.keys[0][(needle * 2 + head) * 64 + d] = 3 * drawn.queries[0][head * 2 * 64 + d];
        }
      }
      const { lists } = await run(ops, drawn, writeAll(ops, drawn));
      for (const list of lists[0]) expect([...list]).toContain(needle >> 4);
    }
  });

  test("where all pages are chosen, the bits are those of the plain call", async () => {
    const kinds: Row[] = [decoding, { ...long, tokens: 1300 }, { ...decoding, keyType: "f32", valueType: "q8" }];
    const rows = kinds.map((row): Row => ({ ...row, pages: 1000, oldest: 0 }));
    for (const extra of [{}, { bias: "linear" as const }, { bias: "table" as const, softcap: 4, sinks: true }]) {
      ops.beginStep();
      const drawn = drawRows({ ...shape, ...extra }, rows, 2);
      const caches = writeAll(ops, drawn);
      const plain = (await ops.read(attend(ops, drawn, caches))).slice();
      const { out } = await run(ops, drawn, caches);
      expect(Buffer.from(out.buffer).equals(Buffer.from(plain.buffer))).toBe(true);
    }
  });

  test("a query that is no number chooses pages that exist, and its result is no number", async () => {
    ops.beginStep();
    const drawn = drawRows(shape, [{ ...long, pages: 7 }], 5);
    drawn.queries[0][3] = Number.NaN;
    drawn.queries[0][2 * 64] = Number.POSITIVE_INFINITY;
    const { lists, out } = await run(ops, drawn, writeAll(ops, drawn));
    expect([...lists[0][0]]).toEqual([0, 1, 2, ...[-4, -3, -2, -1].map((i) => i + Math.ceil(1400 / 16))]);
    expect(out.subarray(0, 64).every(Number.isNaN)).toBe(true);
    expect(out.subarray(128, 192).every(Number.isNaN)).toBe(true);
  });

  test("more pages than there are, and none, are bugs", () => {
    ops.beginStep();
    const drawn = drawRows(shape, [decoding], 6);
    const caches = writeAll(ops, drawn);
    const call = selectCall(ops, drawn, caches);
    for (const changes of [{ pages: 14 }, { pages: 0 }, { pages: 2 }, { oldest: -1 }]) {
      expect(() => ops.select({ ...call, parts: [{ ...call.parts[0], ...changes }] })).toThrow();
    }
  });
});

test("any rows: right, and the same bits on any number of threads and beside any others", async () => {
  const row = fc
    .record({
      tokens: fc.integer({ min: 40, max: 600 }),
      keyType: fc.constantFrom(...KV_TYPES),
      valueType: fc.constantFrom(...KV_TYPES),
      heads: fc.constantFrom([0], [1], [0, 2], [0, 1, 2]),
      sinks: fc.integer({ min: 0, max: 9 }),
      start: fc.integer({ min: 0, max: 30 }),
      pages: fc.integer({ min: 5, max: 12 }),
      oldest: fc.integer({ min: 0, max: 1 }),
      newest: fc.integer({ min: 0, max: 4 }),
      lead: fc.integer({ min: 0, max: 15 }),
      member: fc.integer({ min: 0, max: 2 }),
    })
    .map(({ sinks, ...rest }): Row => {
      const all = { ...rest, earlier: sinks > 0 ? [[0, sinks] as const] : [] };
      return {
        ...all,
        oldest: Math.min(all.oldest, chosenOf(all) - 1),
        newest: Math.min(all.newest, chosenOf(all) - 1),
      };
    });
  const shapes = fc.record({
    kvHeads: fc.constant(3),
    group: fc.constantFrom(1, 2, 3, 4, 7, 17),
    keyWidth: fc.integer({ min: 1, max: 20 }).map((n) => n * 4),
    valueWidth: fc.integer({ min: 1, max: 9 }).map((n) => n * 4),
    softcap: fc.constantFrom(undefined, 5),
    bias: fc.constantFrom(undefined, "linear" as const, "table" as const),
    sinks: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(shapes, fc.array(row, { minLength: 1, maxLength: 4 }), fc.nat(), async (problem, rows, seed) => {
      const drawn = drawRows(problem, rows, seed);
      for (let i = 0; i < WASM_DEVICES.length; i += 2) {
        const results = await Promise.all(
          [WASM_DEVICES[i], WASM_DEVICES[i + 1]].map((device) =>
            withBackend(device, async (ops) => {
              await expectRight(ops, drawn);
              ops.beginStep();
              return run(ops, drawn, writeAll(ops, drawn));
            }),
          ),
        );
        expect(results[1]).toEqual(results[0]);
      }
    }),
    { numRuns: 6 },
  );
});
