/**
 * Infinities and NaN among activations, on every backend: no operation makes a finite number of one, so that they come out at
 * the logits; and rows that have none are as if no other row had any. Products beyond the range of f32 are no excuse.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Backend, ElementFunction, Gating } from "../../src/tensor/backend.js";
import { DTYPES, type DType, KV_TYPES } from "../../src/tensor/dtype.js";
import { type KvSlice, PAGE_TOKENS } from "../../src/tensor/kv.js";
import { Random } from "../../src/util/random.js";
import { appended, attended, headsFrom } from "./cache-calls.js";
import { DEVICES, difference, numbers, tensorOf, weightOf } from "./devices.js";

const BAD = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
const TYPES = Object.keys(DTYPES) as DType[];
const FUNCTIONS: readonly ElementFunction[] = ["silu", "gelu", "geluErf", "relu", "scale", "clamp", "softcap"];
const GATINGS: readonly Gating[] = ["silu", "gelu", "geluErf", "relu", "clampedSwiglu"];

const nowhereFinite = (found: Float32Array) => !found.some(Number.isFinite);

describe.each(DEVICES)("$label", ({ create }) => {
  let ops: Backend;
  const random = new Random(31);
  beforeAll(async () => {
    ops = await create();
  });
  afterAll(() => ops.dispose());

  // One row, few, and as many as are multiplied in bytes; every place of a block of 32, as lanes differ.
  test.each(TYPES)("a product with %s", async (dtype) => {
    const [rows, cols] = [16, 256];
    const weight = weightOf(ops, dtype, rows, cols, numbers(random, rows * cols));
    for (const count of [1, 3, 9]) {
      const x = numbers(random, count * cols);
      ops.beginStep();
      const clean = (await ops.read(ops.linear(tensorOf(ops, count, cols, x), weight))).slice();
      const bad = count - 1;
      for (let at = 0; at < 32; at++) {
        const spoilt = x.slice();
        spoilt[bad * cols + at * 5] = BAD[at % 3];
        ops.beginStep();
        const found = await ops.read(ops.linear(tensorOf(ops, count, cols, spoilt), weight));
        expect(nowhereFinite(found.slice(bad * rows)), `${BAD[at % 3]} at ${at * 5} of row ${bad}`).toBe(true);
        expect(found.slice(0, bad * rows)).toEqual(clean.slice(0, bad * rows));
      }
    }
  });

  test.each(FUNCTIONS)("%s", async (f) => {
    ops.beginStep();
    const found = await ops.read(ops.map(tensorOf(ops, 1, 7, Float32Array.of(...BAD, 0, ...BAD)), f, 3));
    expect(Array.from(found, Number.isFinite)).toEqual([false, false, false, true, false, false, false]);
  });

  test.each(GATINGS)("a gate by %s", async (gating) => {
    ops.beginStep();
    const [gate, up] = [Float32Array.of(...BAD, 1, 1, 1, 1), Float32Array.of(1, 1, 1, ...BAD, 1)];
    const found = await ops.read(ops.gated(tensorOf(ops, 1, 7, gate), tensorOf(ops, 1, 7, up), gating));
    expect(Array.from(found, Number.isFinite)).toEqual([false, false, false, false, false, false, true]);
  });

  test.each([4, 16, 37, 100])("norms of %i columns: numbers whose squares are beyond f32 are normed", async (cols) => {
    const x = numbers(random, cols, 1).map((v) => v * 1e30);
    const one = weightOf(ops, "f32", 1, cols, new Float32Array(cols).fill(1));
    ops.beginStep();
    const size = Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / cols);
    const rms = (await ops.read(ops.rmsNorm(tensorOf(ops, 1, cols, x), one, 1e-6))).slice();
    expect(
      difference(
        rms,
        x.map((v) => v / size),
      ),
    ).toBeLessThan(1e-5);
    const mean = x.reduce((sum, v) => sum + v, 0) / cols;
    const spread = Math.sqrt(x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / cols);
    const layer = (await ops.read(ops.layerNorm(tensorOf(ops, 1, cols, x), one, undefined, 1e-6))).slice();
    expect(
      difference(
        layer,
        x.map((v) => (v - mean) / spread),
      ),
    ).toBeLessThan(1e-5);
  });

  test.each(BAD)("norms of %d", async (bad) => {
    for (let at = 0; at < 36; at++) {
      const x = numbers(random, 36);
      x[at] = bad;
      const one = weightOf(ops, "f32", 1, 36, new Float32Array(36).fill(1));
      ops.beginStep();
      expect((await ops.read(ops.rmsNorm(tensorOf(ops, 1, 36, x), one, 1e-6)))[at]).toBeNaN();
      expect((await ops.read(ops.layerNorm(tensorOf(ops, 1, 36, x), one, undefined, 1e-6)))[at]).toBeNaN();
    }
  });

  test.each(["chosen", "all"] as const)("experts: the weights of a row are NaN, softmax over %s", async (weighting) => {
    for (const bad of BAD) {
      for (let at = 0; at < 5; at++) {
        const logits = numbers(random, 10);
        logits[5 + at] = bad;
        ops.beginStep();
        const routing = ops.route(tensorOf(ops, 2, 5, logits), 2, weighting);
        const mixed = ops.mixExperts(tensorOf(ops, 4, 3, new Float32Array(12).fill(1)), routing);
        const found = await ops.read(mixed);
        expect(Array.from(found, Number.isFinite)).toEqual([true, true, true, false, false, false]);
      }
    }
  });

  test("the convolution and the scan of a state space: what a row has stays in its and the later rows", async () => {
    const [rows, channels, states, groups] = [6, 20, 18, 1];
    const one = (cols: number) => numbers(random, rows * cols);
    const kept = (r: number, c: number) => ops.kept(r, c);
    for (const bad of BAD) {
      const [before, after] = [kept(3, channels), kept(3, channels)];
      const x = one(channels);
      x[2 * channels + 18] = bad;
      ops.beginStep();
      const kernel = weightOf(ops, "f32", channels, 4, numbers(random, channels * 4));
      const call = { x: tensorOf(ops, rows, channels, x), kernel, bias: undefined, before, after };
      const found = await ops.read(ops.convolution(call));
      const finite = Array.from({ length: rows }, (_, t) => Number.isFinite(found[t * channels + 18]));
      expect(finite).toEqual([true, true, false, false, false, false]);
      expect(found.filter((v) => !Number.isFinite(v))).toHaveLength(4);
      for (const name of ["x", "dt", "b", "c"] as const) {
        for (const perHead of [1, 10]) {
          const heads = channels / perHead;
          const parts = { x: one(channels), dt: one(heads), b: one(groups * states), c: one(groups * states) };
          parts[name][2 * (parts[name].length / rows)] = bad;
          ops.beginStep();
          const tensor = (values: Float32Array) => tensorOf(ops, rows, values.length / rows, values);
          const state = { before: kept(channels, states), after: kept(channels, states) };
          const decays = perHead === 1 ? states : 1;
          const y = await ops.read(
            ops.scan({
              x: tensor(parts.x),
              dt: tensor(parts.dt),
              b: tensor(parts.b),
              c: tensor(parts.c),
              a: weightOf(
                ops,
                "f32",
                heads,
                decays,
                numbers(random, heads * decays).map((v) => -Math.abs(v) - 0.1),
              ),
              skip: weightOf(ops, "f32", 1, heads, numbers(random, heads)),
              ...state,
            }),
          );
          expect(Number.isFinite(y[2 * channels]), `${name} ${bad} ${perHead}`).toBe(false);
          expect(Number.isFinite(y[channels]), `${name} ${bad} ${perHead}`).toBe(true);
          for (const x of Object.values(state)) x.dispose();
        }
      }
      before.dispose();
      after.dispose();
    }
  });
});

describe.each(DEVICES)("attention on $label", ({ create }) => {
  let ops: Backend;
  const random = new Random(37);
  beforeAll(async () => {
    ops = await create();
  });
  afterAll(() => ops.dispose());

  const WIDTH = 20;

  function sliceFor(type: (typeof KV_TYPES)[number], tokens: number): KvSlice {
    const store = ops.kvStore({ members: 1, keyWidth: WIDTH, valueWidth: WIDTH, keyType: type, valueType: type });
    const table = store.table();
    for (let page = 0; page * PAGE_TOKENS < tokens; page++) table.push(store.alloc());
    return { store, table, member: 0, heads: headsFrom(0, 1) };
  }

  function append(slice: KvSlice, keys: Float32Array, values: Float32Array): void {
    const rows = keys.length / WIDTH;
    ops.append(
      appended({ keys: tensorOf(ops, rows, WIDTH, keys), values: tensorOf(ops, rows, WIDTH, values), slice, slot: 0 }),
    );
  }

  /** Rows that each see [0, seen) of the slice. */
  async function ask(slice: KvSlice, queries: Float32Array, seen: readonly number[], softcap?: number) {
    const rows = seen.length;
    const out = ops.empty(rows, WIDTH);
    const spans = ops.input(Int32Array.from(seen.flatMap((end) => [0, end])));
    ops.attention(
      attended({ out, queries: [tensorOf(ops, rows, WIDTH, queries)], spans, slice, group: 1, scale: 0.3, softcap }),
    );
    return (await ops.read(out)).slice();
  }

  // Few tokens, and so many that chunks are joined; one row, and so many that wide tiles take them.
  test.each(KV_TYPES.flatMap((type) => [[type, 37] as const, [type, 1400] as const]))(
    "a query that is not finite, over %s and %i tokens: its row is NaN, the others are not",
    async (type, tokens) => {
      ops.beginStep();
      const slice = sliceFor(type, tokens);
      append(slice, numbers(random, tokens * WIDTH), numbers(random, tokens * WIDTH));
      for (const rows of [1, 3, 6]) {
        const queries = numbers(random, rows * WIDTH);
        const seen = Array.from({ length: rows }, () => tokens);
        for (const softcap of [undefined, 5]) {
          const clean = await ask(slice, queries, seen, softcap);
          for (let at = 0; at < WIDTH; at += 3) {
            const bad = queries.slice();
            bad[(rows - 1) * WIDTH + at] = BAD[(at / 3) % 3];
            const found = await ask(slice, bad, seen, softcap);
            expect(found.slice((rows - 1) * WIDTH).every(Number.isNaN), `${BAD[(at / 3) % 3]} at ${at}`).toBe(true);
            expect(found.slice(0, (rows - 1) * WIDTH)).toEqual(clean.slice(0, (rows - 1) * WIDTH));
          }
        }
      }
      expect(ops.misfits()).toBeUndefined();
      slice.store.dispose();
    },
  );

  test("negative infinities are no masked slots: a query of them is NaN, and what sees nothing is zero", async () => {
    ops.beginStep();
    const slice = sliceFor("f32", 32);
    append(slice, new Float32Array(32 * WIDTH).fill(1), numbers(random, 32 * WIDTH));
    const queries = new Float32Array(2 * WIDTH).fill(Number.NEGATIVE_INFINITY);
    const found = await ask(slice, queries, [32, 0]);
    expect(found.slice(0, WIDTH).every(Number.isNaN)).toBe(true);
    expect(found.slice(WIDTH)).toEqual(new Float32Array(WIDTH));
    slice.store.dispose();
  });

  test.each(KV_TYPES.flatMap((type) => (["keys", "values"] as const).map((which) => [type, which] as const)))(
    "%s: %s that are not finite are told, and come out as what they are",
    async (type, which) => {
      for (const [index, bad] of BAD.entries()) {
        for (let at = 0; at < WIDTH; at += 7) {
          ops.beginStep();
          const slice = sliceFor(type, 40);
          const parts = { keys: numbers(random, 40 * WIDTH), values: numbers(random, 40 * WIDTH) };
          parts[which][(30 + index) * WIDTH + at] = bad;
          append(slice, parts.keys, parts.values);
          const found = await ask(slice, numbers(random, WIDTH), [40]);
          expect(ops.misfits()).toEqual({ beyondRange: false, notFinite: true });
          // In halves, which scales are in 4 bits, it is told and no more; an infinite key in f32 may get a weight of zero, which is what it has.
          const shows = which === "values" ? [at] : type === "q8" || Number.isNaN(bad) ? [...found.keys()] : [];
          if (type !== "f16" && type !== "q4")
            for (const d of shows) expect(Number.isFinite(found[d]), `${bad} at ${at}`).toBe(false);
          ops.beginStep();
          expect(ops.misfits()).toBeUndefined();
          slice.store.dispose();
        }
      }
    },
  );

  test.each([
    ["f16", 65519.99, undefined],
    ["f16", -65519.99, undefined],
    ["f16", 65520, { beyondRange: true, notFinite: false }],
    ["f16", -1e30, { beyondRange: true, notFinite: false }],
    ["q4", 65519.99, undefined],
    ["q4", 65520, { beyondRange: true, notFinite: false }],
    ["q4", -1e30, { beyondRange: true, notFinite: false }],
    ["q8", 1e37, undefined],
    ["q8", 3.4028234663852886e38, { beyondRange: true, notFinite: false }],
    ["f32", 3.4028234663852886e38, undefined],
  ] as const)("%s: %d", async (type, large, expected) => {
    for (const which of ["keys", "values"] as const) {
      ops.beginStep();
      const slice = sliceFor(type, 3);
      const parts = { keys: numbers(random, 3 * WIDTH), values: numbers(random, 3 * WIDTH) };
      parts[which][2 * WIDTH - 1] = large;
      append(slice, parts.keys, parts.values);
      await ask(slice, new Float32Array(WIDTH), [3]);
      expect(ops.misfits(), which).toEqual(expected);
      slice.store.dispose();
    }
  });

  test.each([0, 1])("f16: keys that are beyond its range once they are rotated, way %i", async (way) => {
    ops.beginStep();
    const [from, to] = [sliceFor("f16", 2), sliceFor("f16", 2)];
    const turn = Math.SQRT1_2;
    const values = ops.input(Float32Array.from({ length: 2 * WIDTH }, () => turn));
    const angles = { layout: "halves" as const, dims: WIDTH, values };
    const keys = Float32Array.from({ length: 2 * WIDTH }, (_, i) => (i % WIDTH === 3 || i % WIDTH === 13 ? 50000 : 1));
    const [k, v] = [keys, numbers(random, 2 * WIDTH)].map((part) => tensorOf(ops, 2, WIDTH, part));
    ops.append(appended({ keys: k, values: v, slice: from, slot: 0, ...(way === 0 && { angles }) }));
    if (way === 1) ops.rotatePages(from, to, 2, angles);
    await ask(from, new Float32Array(WIDTH), [2]);
    expect(ops.misfits()).toEqual({ beyondRange: true, notFinite: false });
    for (const { store } of [from, to]) store.dispose();
  });
});
