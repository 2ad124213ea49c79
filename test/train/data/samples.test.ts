/** Windows, mixtures, the first token and the copy task: samples are pure functions of seed and number. */
import { describe, expect, it } from "vitest";
import { CopyTask, characterIds } from "../../../src/train/data/copy.js";
import { Mixture } from "../../../src/train/data/mixture.js";
import { permutation } from "../../../src/train/data/permutation.js";
import { randomFor, type SampleSource, withFirstToken } from "../../../src/train/data/sample.js";
import { tokensInMemory } from "../../../src/train/data/token-sequence.js";
import { ShuffledWindows, WindowsInOrder } from "../../../src/train/data/windows.js";
import { ArgumentError } from "../../../src/util/errors.js";
import { byteLevelMetadata, fromMetadata } from "../../support/tiny-vocabularies.js";

const counting = (count: number) => tokensInMemory(Array.from({ length: count }, (_, i) => i));

describe("permutation", () => {
  it.each([1, 2, 3, 5, 16, 17, 100, 1000, 4097])("of %d numbers has each once", (size) => {
    const numberAt = permutation(size, randomFor(size, 1));
    const numbers = Array.from({ length: size }, (_, place) => numberAt(place));
    expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: size }, (_, i) => i));
  });

  it("stays in range for sizes that no table could have", () => {
    const size = 2 ** 45 + 12_345;
    const numberAt = permutation(size, randomFor(1));
    const numbers = Array.from({ length: 200 }, (_, place) => numberAt(place));
    expect(numbers.every((number) => Number.isInteger(number) && number >= 0 && number < size)).toBe(true);
    expect(new Set(numbers).size).toBe(200);
  });

  it("is in no order: each place sees each number about equally often", () => {
    const seen = new Int32Array(64);
    for (let seed = 0; seed < 6400; seed++)
      seen[permutation(8, randomFor(seed))(3) * 8 + permutation(8, randomFor(seed))(4)]++;
    // 56 pairs of different numbers, 6400 / 56 = 114 of each; 6 standard deviations are 64.
    for (let pair = 0; pair < 64; pair++) {
      if (pair % 9 === 0) expect(seen[pair]).toBe(0);
      else expect(Math.abs(seen[pair] - 6400 / 56)).toBeLessThan(64);
    }
  });
});

describe("randomFor", () => {
  it("depends on the seed, on all numbers and on their order", () => {
    const first = (seed: number, ...place: number[]) => randomFor(seed, ...place).uint32();
    const draws = [first(1), first(1, 0), first(1, 2), first(2, 1), first(1, 2, 0), first(1, 2 ** 40)];
    expect(new Set(draws).size).toBe(draws.length);
    expect(first(1, 2)).toBe(draws[2]);
  });
});

describe("shuffled windows", () => {
  const windows = new ShuffledWindows(counting(1000), { seed: 7 });

  it("have their targets one token on, and all count", async () => {
    const { ids, weights } = await windows.sample(3, 16);
    expect([...ids]).toEqual(Array.from({ length: 17 }, (_, i) => ids[0] + i));
    expect([...weights]).toEqual(new Array(16).fill(1));
  });

  it("cover an epoch once, with another offset and order in the next", () => {
    const count = windows.windows(16);
    expect(count).toBe(61);
    const starts = (epoch: number) =>
      Array.from({ length: count }, (_, i) => {
        const place = windows.place(epoch * count + i, 16);
        expect([place.epoch, place.index]).toEqual([epoch, i]);
        return place.start;
      });
    const offsets = Array.from({ length: 200 }, (_, epoch) => {
      const sorted = starts(epoch).toSorted((a, b) => a - b);
      expect(sorted).toEqual(Array.from({ length: count }, (_, i) => sorted[0] + 16 * i));
      expect(sorted[count - 1] + 17).toBeLessThanOrEqual(1000);
      return sorted[0];
    });
    expect(new Set(offsets).size).toBeGreaterThan(8);
    // No token is left out of all epochs: 999 are 61 windows and 23 more.
    expect([Math.min(...offsets), Math.max(...offsets)]).toEqual([0, 23]);
    expect(starts(0)).not.toEqual(starts(1).map((start) => start - offsets[1] + offsets[0]));
  });

  it("are the same from any sample on, and others with another seed", async () => {
    const again = new ShuffledWindows(counting(1000), { seed: 7 });
    expect(await again.sample(500, 16)).toEqual(await windows.sample(500, 16));
    expect(await windows.sample(2, 16)).toEqual(await again.sample(2, 16));
    const other = new ShuffledWindows(counting(1000), { seed: 8 });
    const places = (source: ShuffledWindows) => Array.from({ length: 20 }, (_, n) => source.place(n, 16).start);
    expect(places(other)).not.toEqual(places(windows));
  });

  it.each([17, 18, 32, 33, 34, 48])("read %d tokens within their bounds", async (count) => {
    const few = new ShuffledWindows(counting(count), { seed: 1 });
    for (let n = 0; n < 40; n++) expect((await few.sample(n, 16)).ids).toHaveLength(17);
  });

  it("need a window's tokens", async () => {
    await expect(new ShuffledWindows(counting(16), { seed: 1 }).sample(0, 16)).rejects.toThrow(ArgumentError);
    await expect(windows.sample(0, 0)).rejects.toThrow(ArgumentError);
  });
});

describe("windows in order", () => {
  it("predict each token once", async () => {
    const windows = new WindowsInOrder(counting(50));
    expect(windows.windows(16)).toBe(3);
    const targets: number[] = [];
    for (let n = 0; n < 3; n++) targets.push(...(await windows.sample(n, 16)).ids.subarray(1));
    expect(targets).toEqual(Array.from({ length: 48 }, (_, i) => i + 1));
    await expect(windows.sample(3, 16)).rejects.toThrow(ArgumentError);
  });
});

describe("a first token", () => {
  it("stands in front of a sample that is shorter by one", async () => {
    const inner = new WindowsInOrder(counting(50));
    const { ids, weights } = await withFirstToken(inner, 99, 0.5).sample(1, 8);
    expect([...ids]).toEqual([99, 7, 8, 9, 10, 11, 12, 13, 14]);
    expect([...weights]).toEqual([0.5, 1, 1, 1, 1, 1, 1, 1]);
  });
});

describe("a mixture", () => {
  const numbered = (name: string): SampleSource => ({
    name,
    sample: async (n, length) => ({ ids: new Int32Array(length + 1).fill(n), weights: new Float32Array(length) }),
  });
  const parts = [
    { source: numbered("a"), share: 2 },
    { source: numbered("b"), share: 1 },
    { source: numbered("c"), share: 0.003 },
  ];

  it("gives each part its share, and each part's samples in order without gaps", () => {
    const mixture = new Mixture(parts, 5);
    const next = [0, 0, 0];
    for (let n = 0; n < 3000; n++) {
      const place = mixture.place(n);
      expect(place.n).toBe(next[place.part]++);
    }
    expect(next).toEqual([1998, 999, 3]);
  });

  it("mixes: no part waits long, and rounds differ", () => {
    const mixture = new Mixture(parts, 5);
    const order = Array.from({ length: 2000 }, (_, n) => mixture.place(n).part).join("");
    expect(order).not.toMatch(/0{40}|1{25}/);
    expect(order.slice(0, 1000)).not.toBe(order.slice(1000));
  });

  it("is the same from any sample on", async () => {
    const mixture = new Mixture(parts, 5);
    const expected = await mixture.sample(1700, 4);
    await mixture.sample(3, 4);
    expect(await new Mixture(parts, 5).sample(1700, 4)).toEqual(expected);
    expect(await mixture.sample(1700, 4)).toEqual(expected);
  });

  it("refuses shares that are none", () => {
    expect(() => new Mixture([], 1)).toThrow(ArgumentError);
    for (const share of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e-5]) {
      expect(() => new Mixture([parts[0], { source: numbered("d"), share }], 1)).toThrow(ArgumentError);
    }
  });
});

describe("the copy task", () => {
  const task = new CopyTask({ seed: 3, symbols: [10, 11, 12, 13], separator: 20 });

  it("has a string, a separator and the string again, of which the copy counts", async () => {
    const { ids, weights } = await task.sample(0, 8);
    expect(ids).toHaveLength(9);
    expect(ids[4]).toBe(20);
    expect(ids.subarray(5)).toEqual(ids.subarray(0, 4));
    expect([...ids.subarray(0, 4)].every((id) => id >= 10 && id < 14)).toBe(true);
    expect([...weights]).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
  });

  it("has a separator in front where the length is odd", async () => {
    const { ids, weights } = await task.sample(0, 9);
    expect([ids[0], ids[5]]).toEqual([20, 20]);
    expect(ids.subarray(6)).toEqual(ids.subarray(1, 5));
    expect([...weights]).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1]);
  });

  it("differs from sample to sample", async () => {
    const samples = await Promise.all(Array.from({ length: 50 }, (_, n) => task.sample(n, 32)));
    expect(new Set(samples.map(({ ids }) => ids.join())).size).toBe(50);
    expect(await task.sample(7, 32)).toEqual(samples[7]);
  });

  it("takes the ids of characters from a tokenizer", () => {
    const tokenizer = fromMetadata(byteLevelMetadata());
    expect([...characterIds(tokenizer, "ab|")]).toEqual([97, 98, 124]);
    expect(() => characterIds(tokenizer, "é")).toThrow(ArgumentError);
  });
});
