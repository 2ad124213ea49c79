/** How the keys of RoPE are understood: kinds of scaling, factors without a kind, LongRoPE; as llama.cpp does. */
import { describe, expect, it } from "vitest";
import type { AttentionSpec } from "../../src/nn/spec.js";
import { ropeFrequencies } from "../../src/position/rope.js";
import { FormatError, UnsupportedError } from "../../src/util/errors.js";
import { type Family, familyNamed } from "../support/families.js";
import { familySpec } from "../support/random-gguf.js";

type Numbers = Readonly<Record<string, readonly number[]>>;

const SHORT = [1, 1.1, 1.2, 1.3, 1.4, 1.5];
const LONG = [1, 2, 3, 4, 5, 6];
const LISTS: Numbers = { "rope_factors_short.weight": SHORT, "rope_factors_long.weight": LONG };

function ropeOf(keys: Family["keys"], auxiliary: Numbers = {}, name = "llama"): NonNullable<AttentionSpec["rope"]> {
  const family = familyNamed(name);
  const spec = familySpec({ ...family, keys: { ...family.keys, ...keys }, auxiliary });
  const { body } = spec.layers[0].mixer;
  if (body.kind !== "attention" || !body.rope) throw new Error("no rotation");
  return body.rope;
}

/** base^(-2i/12) of six pairs, divided. */
const angles = (divisor: (pair: number) => number) =>
  Array.from({ length: 6 }, (_, pair) => 10_000 ** (-pair / 6) / divisor(pair));

function expectAngles(rope: NonNullable<AttentionSpec["rope"]>, expected: readonly number[], length = 0): void {
  const { inverse } = ropeFrequencies(rope, length);
  expected.forEach((angle, pair) => {
    expect(inverse[pair] / angle).toBeCloseTo(1, 6);
  });
}

describe("a factor", () => {
  it.each<[Family["keys"], number]>([
    [{ "rope.scaling.factor": 4 }, 4],
    [{ "rope.scaling.type": "linear", "rope.scaling.factor": 4 }, 4],
    [{ "rope.scale_linear": 4 }, 4],
    [{ "rope.scale_linear": 4, "rope.scaling.factor": 2 }, 2],
    [{ "rope.scaling.type": "longrope", "rope.scaling.factor": 4 }, 4],
    [{ "rope.scaling.type": "none", "rope.scaling.factor": 4 }, 1],
    [{ "rope.scaling.type": "default", "rope.scaling.factor": 4 }, 1],
    [{ "rope.scaling.factor": 0 }, 1],
    [{ "rope.scaling.type": "linear" }, 1],
  ])("%j divides every angle by %d", (keys, factor) => {
    expectAngles(
      ropeOf(keys),
      angles(() => factor),
    );
  });

  it.each<[Family["keys"]]>([
    [{ "rope.scaling.factor": -1 }],
    [{ "rope.scaling.factor": Number.NaN }],
    [{ "rope.scaling.attn_factor": 0 }],
    [{ "rope.scaling.type": "yarn", "rope.scaling.factor": 4, "rope.scaling.yarn_beta_fast": -1 }],
    [{ "rope.freq_base": 0 }],
    [{ "rope.dimension_count": 7 }],
    [{ "rope.dimension_count": 14 }],
  ])("%j is refused", (keys) => {
    expect(() => ropeOf(keys)).toThrow(FormatError);
  });

  it("a kind that is not known is refused by name", () => {
    expect(() => ropeOf({ "rope.scaling.type": "proportional" })).toThrow(UnsupportedError);
    expect(() => ropeOf({ "rope.scaling.type": "proportional" })).toThrow('"proportional"');
  });
});

it("attn_factor multiplies cosine and sine, whatever the scaling", () => {
  const magnitude = (keys: Family["keys"]) =>
    ropeFrequencies(ropeOf({ ...keys, "rope.scaling.attn_factor": 1.3 })).magnitude;
  expect(magnitude({})).toBeCloseTo(1.3, 12);
  expect(magnitude({ "rope.scaling.factor": 4 })).toBeCloseTo(1.3, 12);
  const yarn = { "rope.scaling.type": "yarn", "rope.scaling.factor": 4 };
  expect(magnitude(yarn)).toBeCloseTo(1.3 * (1 + 0.1 * Math.log(4)), 12);
});

it("yarn_truncate, which folders of gpt-oss have, reaches the scaling", () => {
  const yarn = { "rope.scaling.type": "yarn", "rope.scaling.factor": 4 };
  expect(ropeOf(yarn).scaling).not.toHaveProperty("truncate");
  expect(ropeOf({ ...yarn, "rope.scaling.yarn_truncate": false }).scaling).toMatchObject({ truncate: false });
});

describe("LongRoPE", () => {
  const keys = { "rope.scaling.type": "longrope", "rope.scaling.original_context_length": 32 };

  it.each(["llama", "qwen2"])("of %s has its lists by the size of the context", (name) => {
    const rope = ropeOf({ ...keys, "rope.scaling.attn_factor": 1.2 }, LISTS, name);
    expectAngles(
      rope,
      angles((pair) => SHORT[pair]),
      32,
    );
    expectAngles(
      rope,
      angles((pair) => LONG[pair]),
      33,
    );
    expect(ropeFrequencies(rope, 33).magnitude).toBeCloseTo(1.2, 12);
  });

  it("a factor of the scaling divides beside the lists", () => {
    expectAngles(
      ropeOf({ ...keys, "rope.scaling.factor": 4 }, LISTS),
      angles((pair) => 4 * SHORT[pair]),
      32,
    );
  });

  it("without the original context, the trained one decides", () => {
    const rope = ropeOf({ "rope.scaling.type": "longrope" }, LISTS);
    expectAngles(
      rope,
      angles((pair) => SHORT[pair]),
      64,
    );
    expectAngles(
      rope,
      angles((pair) => LONG[pair]),
      65,
    );
  });

  it.each<[Family["keys"], Numbers, string]>([
    [keys, { "rope_factors_short.weight": SHORT }, "rope_factors_long.weight is missing"],
    [keys, { ...LISTS, "rope_factors_long.weight": [1, 2] }, "has 2 factors, expected 6"],
    [keys, { ...LISTS, "rope_factors_long.weight": [1, 2, 3, 4, 5, 0] }, "numbers above 0, found 0"],
    [keys, { ...LISTS, "rope_factors_short.weight": [1, 2, 3, 4, 5, Number.NaN] }, "numbers above 0, found NaN"],
    [keys, { ...LISTS, "rope_freqs.weight": LONG }, "beside rope_freqs.weight"],
    [{ "rope.scaling.type": "yarn", "rope.scaling.factor": 2 }, LISTS, 'scaling of the kind "yarn"'],
  ])("%j with other lists is refused", (more, lists, message) => {
    expect(() => ropeOf(more, lists)).toThrow(FormatError);
    expect(() => ropeOf(more, lists)).toThrow(message);
  });
});
