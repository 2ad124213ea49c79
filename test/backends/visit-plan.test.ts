/** The plan of attention for training: every pair that is seen is visited once, and no page that nobody sees. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { cutChunks, PAGE_KEYS, type PlanShape, tileVisits } from "../../src/backends/wasm/training/visit-plan.js";

/** Ascending ranges, some empty, as i32 [tokens, ranges, 2]. */
const problems = fc
  .record({
    tokens: fc.integer({ min: 1, max: 40 }),
    keys: fc.integer({ min: 1, max: 130 }),
    ranges: fc.integer({ min: 1, max: 3 }),
    group: fc.integer({ min: 1, max: 7 }),
    heads: fc.integer({ min: 1, max: 3 }),
    height: fc.constantFrom(4, 16, 64),
  })
  .chain((shape: PlanShape) => {
    const bounds = fc.array(fc.integer({ min: 0, max: shape.keys }), {
      minLength: shape.ranges * 2,
      maxLength: shape.ranges * 2,
    });
    const row = bounds.map((numbers) => numbers.sort((a, b) => a - b));
    return fc.record({
      shape: fc.constant(shape),
      rows: fc.array(row, { minLength: shape.tokens, maxLength: shape.tokens }),
    });
  });

test("a visit's rows are those that see its page", () => {
  fc.assert(
    fc.property(problems, ({ shape, rows }) => {
      const tiles = tileVisits(Int32Array.from(rows.flat()), shape);
      const sees = (row: number, key: number) => {
        const bounds = rows[Math.floor(row / shape.group)];
        return bounds.some((low, i) => i % 2 === 0 && low <= key && key < bounds[i + 1]);
      };
      const last = shape.tokens * shape.group;
      expect(tiles.length).toBe(Math.ceil(last / shape.height));
      tiles.forEach((visits, tile) => {
        const inTile = Array.from({ length: Math.min(shape.height, last - tile * shape.height) }, (_, i) => i);
        for (let page = 0; page * PAGE_KEYS < shape.keys; page++) {
          const keys = Array.from({ length: PAGE_KEYS }, (_, i) => page * PAGE_KEYS + i);
          const seen = inTile.map((row) => keys.filter((key) => sees(tile * shape.height + row, key)).length);
          const some = inTile.filter((row) => seen[row] > 0);
          const found = visits.filter((visit) => visit.page === page);
          if (some.length === 0) expect(found).toEqual([]);
          else {
            const whole = seen.every((count) => count === PAGE_KEYS);
            expect(found).toEqual([{ page, first: some[0], end: some[some.length - 1] + 1, whole }]);
          }
        }
      });
    }),
    { numRuns: 150 },
  );
});

test("chunks are runs of tiles, of about the same work", () => {
  const shape = { tokens: 1024, keys: 1024, ranges: 1, group: 3, heads: 2, height: 64 };
  const causal = Int32Array.from({ length: 2 * shape.tokens }, (_, i) => (i % 2) * ((i >> 1) + 1));
  const tiles = tileVisits(causal, shape);
  const cuts = cutChunks(shape, tiles);
  expect(cuts).toHaveLength(9);
  expect([cuts[0], cuts[8]]).toEqual([0, tiles.length]);
  const work = cuts.slice(1).map((end, i) => tiles.slice(cuts[i], end).flat().length);
  // A tile has at most 64 pages; those before it were cut at the first that reached the share.
  const share = tiles.flat().length / 8;
  for (const pages of work) expect(Math.abs(pages - share)).toBeLessThanOrEqual(64);
});
