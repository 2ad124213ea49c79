/** The mass of attention on the first places: what is known of it without computing it. */
import { describe, expect, it } from "vitest";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import { attentionMass } from "../../src/eval/attention-mass.js";
import { ArgumentError } from "../../src/util/errors.js";
import { type TinyOptions, tinyFile } from "../support/tiny-gguf.js";

const LENGTH = 24;
const texts = [1, 2].map((seed) => Int32Array.from({ length: LENGTH }, (_, i) => (seed * 37 + i * 11) % 280));

async function massOf(options: TinyOptions, places: number, from: number) {
  const model = await loadLocal(tinyFile(options), { backend: "reference" });
  try {
    return await attentionMass(model, texts, { places, from });
  } finally {
    await model.dispose();
  }
}

describe("attention mass", () => {
  it("of all places together is 1, by layer and head", async () => {
    const { layers } = await massOf({}, LENGTH, 5);
    expect(layers.map(({ layer, heads }) => [layer, heads.length])).toEqual([
      [0, 4],
      [1, 4],
    ]);
    for (const { heads, places } of layers) {
      for (const mass of [...heads.map((head) => head.places), places]) {
        expect(mass.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 12);
      }
      expect(heads.every(({ nowhere }) => Math.abs(nowhere) < 1e-12)).toBe(true);
      expect(new Set(heads.map((head) => head.places[0])).size).toBe(4);
    }
  });

  it("is alike where queries are zero, and then what `uniform` says", async () => {
    const { layers, uniform } = await massOf({ zeros: /blk\.1\.attn_q/ }, 4, 5);
    const expected = Array.from({ length: LENGTH - 5 }, (_, i) => 1 / (i + 6)).reduce((a, b) => a + b) / (LENGTH - 5);
    expect(uniform).toBeCloseTo(expected, 12);
    for (const share of layers[1].places) expect(share).toBeCloseTo(uniform, 12);
    expect(Math.abs(layers[0].places[0] - uniform)).toBeGreaterThan(1e-3);
  });

  it("sees its own texts alone, whatever else the model is at, and leaves the model as it was", async () => {
    const alone = await massOf({}, 4, 5);
    const model = await loadLocal(tinyFile(), { backend: "reference" });
    const { backend } = model.runner;
    const session = model.session();
    const writing = async () => {
      let last: string | undefined;
      const options = { temperature: 0, maxTokens: 12, ignoreEnd: true };
      for await (const part of session.generate(texts[0], options)) last = part.finish;
      return last;
    };
    const look = () => attentionMass(model, texts, { places: 4, from: 5 });
    const [finish, ...masses] = await Promise.all([writing(), look(), look()]);
    expect(finish).toBe("length");
    for (const mass of masses) expect(mass).toEqual(alone);
    expect(Object.hasOwn(backend, "attention")).toBe(false);
    await model.dispose();
  });

  it("needs the reference backend and texts beyond the first query", async () => {
    await expect(massOf({}, 4, LENGTH)).rejects.toThrow(ArgumentError);
    const model = await loadLocal(tinyFile(), { threads: 1 });
    await expect(attentionMass(model, texts, { from: 5 })).rejects.toThrow(/reference backend/);
    await model.dispose();
  });
});
