/** Metadata that no model has is refused by name, before anything is made of it; variants that are not run are refused too. */
import { describe, expect, it } from "vitest";
import { weightRefs } from "../../src/nn/weights.js";
import { FormatError, UnsupportedError } from "../../src/util/errors.js";
import { type Family, familyNamed } from "../support/families.js";
import { familySpec } from "../support/random-gguf.js";

function changed(name: string, keys: Family["keys"], has?: RegExp): Family {
  const family = familyNamed(name);
  return { ...family, keys: { ...family.keys, ...keys }, has: has ?? family.has };
}

describe("refused", () => {
  it.each<[string, Family["keys"], string]>([
    ["t5", { decoder_start_token_id: 41 }, "from 0 to 40; found 41"],
    ["t5", { decoder_start_token_id: -1 }, "from 0 to 40; found -1"],
    ["t5", { decoder_start_token_id: 0.5 }, "from 0 to 40; found 0.5"],
    ["t5", { "attention.relative_buckets_count": 2 }, "2 buckets"],
    ["t5", { "attention.relative_buckets_count": 9 }, "9 buckets"],
    ["t5", { "attention.relative_buckets_count": 256 }, "256 buckets"],
    ["gemma2", { attn_logit_softcapping: -50 }, "a positive number, or 0 for none; found -50"],
    ["gemma2", { final_logit_softcapping: -30 }, "a positive number, or 0 for none; found -30"],
    ["mpt", { "attention.clamp_kqv": -1 }, "a positive number, or 0 for none; found -1"],
    ["bloom", { "attention.head_count": 2 ** 31 - 1, "attention.key_length": 4 }, "2147483647 heads"],
    ["mixtral", { expert_count: 50_000, block_count: 2 }, "2 of 50000 experts in 2 blocks"],
    ["mixtral", { expert_count: 5, expert_used_count: 6 }, "6 of 5 experts"],
    ["llama", { "attention.layer_norm_rms_epsilon": -1e-5 }, "a number that is not negative"],
    ["llama", { "attention.layer_norm_rms_epsilon": Number.NaN }, "must be a number"],
    ["gpt2", { "attention.layer_norm_epsilon": -1 }, "a number that is not negative"],
    ["llama", { feed_forward_length: [52] }, "one value or a list of 2"],
    ["llama", { "attention.head_count": [3, 3, 3] }, "one value or a list of 2"],
    ["llama", { "attention.head_count_kv": [0, 0] }, "a positive whole number for layer 0"],
    ["jamba", { "attention.head_count_kv": [0, 1] }, "one value or a list of 3"],
    ["sluice, relative with a window", { "attention.relative_maximum_distance": 2 ** 31 - 1 }, "distances"],
    ["sluice, relative with a window", { "attention.relative_buckets_count": 1 }, "buckets"],
  ])("%s with %j", (name, keys, message) => {
    expect(() => familySpec(changed(name, keys))).toThrow(FormatError);
    expect(() => familySpec(changed(name, keys))).toThrow(message);
  });

  it("one of LongRoPE's two lists of factors", () => {
    const family = familyNamed("phi3 with long rope");
    const [short] = Object.entries(family.auxiliary ?? {});
    expect(() => familySpec({ ...family, auxiliary: Object.fromEntries([short]) })).toThrow(FormatError);
  });

  it.each([["mamba", { "ssm.dt_b_c_rms": true }, undefined, "FalconMamba"]])(
    "the variant of %s with %j, %s",
    (name, keys, has, message) => {
      expect(() => familySpec(changed(name, keys, has))).toThrow(UnsupportedError);
      expect(() => familySpec(changed(name, keys, has))).toThrow(message);
    },
  );
});

describe("numbers by layer", () => {
  const keys = { feed_forward_length: [52, 52], "attention.head_count": Int32Array.of(3, 3) };

  it.each(["llama", "qwen2", "gpt2", "bloom", "mistral"])(
    "%s: lists with the same for all layers are one number",
    (name) => {
      const kv = familyNamed(name).keys["attention.head_count_kv"] === 1 ? [1, 1] : [3, 3];
      const spec = familySpec(changed(name, { ...keys, "attention.head_count_kv": kv }));
      expect(JSON.stringify(spec)).toBe(JSON.stringify(familySpec(familyNamed(name))));
    },
  );

  it.each([
    ["llama", "feed_forward_length", [52, 40], "(52, 40)"],
    ["llama", "attention.head_count", [3, 6], "(3, 6)"],
    ["gemma2", "attention.head_count_kv", [3, 1], "(3, 1)"],
  ])("%s: %s %j is refused, as the layers differ", (name, key, list, shown) => {
    const build = () => familySpec(changed(name, { [key]: list }));
    expect(build).toThrow(UnsupportedError);
    expect(build).toThrow(
      `different numbers for the layers (${shown.replace("(", "[").replace(")", "]").replace(", ", ",")})`,
    );
  });
});

describe("taken as it is meant", () => {
  it("a soft cap of 0 is none", () => {
    const spec = familySpec(changed("gemma2", { attn_logit_softcapping: 0, final_logit_softcapping: 0 }));
    expect(spec.logitSoftcap).toBeUndefined();
    expect(spec.layers.map(({ mixer: { body } }) => "softcap" in body)).toEqual(spec.layers.map(() => false));
  });

  it("layers of T5 have their own table of distances, or the first one's", () => {
    const { encoder, layers } = familySpec(changed("t5", {}, /enc\.blk\.1\.attn_rel_b/));
    const tables = (parts: unknown) =>
      weightRefs(parts).flatMap(({ tensor }) => (/rel_b/.test(tensor) ? [tensor] : []));
    expect(tables(encoder)).toEqual(["enc.blk.0.attn_rel_b.weight", "enc.blk.1.attn_rel_b.weight"]);
    expect(tables(layers)).toEqual(["dec.blk.0.attn_rel_b.weight", "dec.blk.0.attn_rel_b.weight"]);
  });

  it("the only expert's biases, and the only channel's taps, are whole", () => {
    const oss = familySpec(changed("gpt-oss", { expert_count: 1, expert_used_count: 1 }));
    const biases = weightRefs(oss).filter(({ tensor }) => tensor === "blk.0.ffn_down_exps.bias");
    expect(biases).toEqual([expect.objectContaining({ rows: 1, cols: 36 })]);
    const mamba = familySpec(changed("mamba", { "ssm.inner_size": 1 }));
    const taps = weightRefs(mamba).filter(({ tensor }) => tensor === "blk.0.ssm_conv1d.weight");
    expect(taps).toEqual([expect.objectContaining({ rows: 1, cols: 4 })]);
  });
});
