/** Attention of few rows on every backend, against brute force: each has products of its own (kernels/attention/attention-few.ts). */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Backend } from "../../src/tensor/backend.js";
import { KV_TYPES } from "../../src/tensor/dtype.js";
import { Random } from "../../src/util/random.js";
import { attend, base, bruteForce, type Case, draw, toleranceOf } from "./attention-cases.js";
import { DEVICES, difference } from "./devices.js";

/** Keys' and values': whole vectors of a form, what is left of them, and odd multiples of four. */
const WIDTHS = [
  [4, 12],
  [12, 256],
  [20, 16],
  [36, 48],
  [64, 64],
  [80, 80],
  [96, 96],
  [100, 124],
  [128, 128],
  [256, 44],
] as const;
/** Rows of a tile: to and past those with which a page is widened into memory, in steps of one and of many. */
const GROUPS = [1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17];
const SPANS = ["full", "within", "window"] as const;
/** A block of four pages, and two pages of the next. */
const PAST = 83;

describe.each(DEVICES)("$label", ({ create }) => {
  let ops: Backend;
  beforeAll(async () => {
    ops = await create();
  });
  afterAll(() => ops.dispose());

  /** The largest error of any case, as a share of what is allowed. */
  async function worst(cases: readonly Partial<Case>[]): Promise<number> {
    let most = 0;
    for (const [index, changes] of cases.entries()) {
      const shape = { ...base, past: PAST, kvHeads: 1, ...changes };
      const drawn = draw(shape, new Random(index));
      most = Math.max(most, difference(await attend(ops, shape, drawn), bruteForce(shape, drawn)) / toleranceOf(shape));
    }
    return most;
  }

  test.each(WIDTHS)("half floats, keys of %i and values of %i, 1 to 17 rows", async (keyWidth, valueWidth) => {
    const cases = GROUPS.flatMap((group) =>
      SPANS.map((spans) => ({ keyWidth, valueWidth, group, spans, keyType: "f16", valueType: "f16" }) as const),
    );
    expect(await worst(cases)).toBeLessThan(1);
  });

  test.each(KV_TYPES.flatMap((keyType) => KV_TYPES.map((valueType) => [keyType, valueType] as const)))(
    "%s keys and %s values, 1 to 5 rows of 68",
    async (keyType, valueType) => {
      const cases = [1, 2, 3, 5].flatMap((group) =>
        SPANS.map((spans) => ({ keyWidth: 68, valueWidth: 68, group, spans, keyType, valueType }) as const),
      );
      expect(await worst(cases)).toBeLessThan(1);
    },
  );

  test.each(WIDTHS)("4 bits, keys of %i and values of %i, 1 to 17 rows", async (keyWidth, valueWidth) => {
    const cases = GROUPS.flatMap((group) =>
      SPANS.map((spans) => ({ keyWidth, valueWidth, group, spans, keyType: "q4", valueType: "q4" }) as const),
    );
    expect(await worst(cases)).toBeLessThan(1);
  });

  test("rows of several tokens, each with its own end", async () => {
    const cases = [1, 2, 3, 5, 8].flatMap((rows) =>
      [1, 2, 3].map(
        (group) => ({ rows, group, keyWidth: 64, valueWidth: 80, keyType: "f16", valueType: "f16" }) as const,
      ),
    );
    expect(await worst(cases)).toBeLessThan(1);
  });
});
