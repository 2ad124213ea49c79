/** Nothing of a checkpoint is left out in silence: tensors that no weight uses, and keys that nothing asks for. */
import { describe, expect, it } from "vitest";
import { builtModel, loadLocal } from "../../src/engine/loading/load-local.js";
import { openCheckpoint } from "../../src/formats/open.js";
import { ARCHITECTURES } from "../../src/models/index.js";
import { UnsupportedError } from "../../src/util/errors.js";
import { platform } from "../../src/util/platform.js";
import { FAMILIES, type Family, familyNamed } from "../support/families.js";
import { randomGguf } from "../support/random-gguf.js";

/** What is built of a file of the family with further keys and tensors. */
async function built(name: string, keys: Family["keys"] = {}, tensors: readonly string[] = []) {
  const family = familyNamed(name);
  const more = Object.fromEntries(tensors.map((tensor) => [tensor, [1, 1, 1]]));
  const changed = { ...family, keys: { ...family.keys, ...keys }, auxiliary: { ...family.auxiliary, ...more } };
  const checkpoint = await openCheckpoint(randomGguf(changed).path, platform());
  try {
    return await builtModel(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

describe("every architecture", () => {
  const names = Object.keys(ARCHITECTURES).map((architecture) => {
    const found = FAMILIES.find((family) => family.architecture === architecture);
    if (!found) throw new Error(`no family of ${architecture}`);
    return found.name;
  });

  it.each(FAMILIES.map(({ name }) => name))("%s: a whole file is run without notes", async (name) => {
    expect((await built(name)).notes).toEqual([]);
  });

  it.each(names)("%s: a tensor that nothing uses is refused by name", async (name) => {
    const building = built(name, {}, ["blk.0.surprise.weight"]);
    await expect(building).rejects.toThrow(UnsupportedError);
    await expect(building).rejects.toThrow('it has the tensor "blk.0.surprise.weight"');
  });

  it.each(names)("%s: attention to later tokens is refused, a stranger's key is told", async (name) => {
    await expect(built(name, { "attention.causal": false })).rejects.toThrow(/attention\.causal" is false/);
    const { notes } = await built(name, { "attention.causal": true, "some.new_thing": 3 });
    expect(notes).toEqual([expect.stringMatching(/has no use for the metadata key ".*\.some\.new_thing"$/)]);
  });
});

describe("tensors", () => {
  it.each<[string, readonly string[], string]>([
    ["llama", ["blk.0.attn_q_norm.weight", "blk.1.attn_q_norm.weight"], '"blk.0.attn_q_norm.weight"'],
    ["llama", ["blk.0.attn_sinks.weight"], '"blk.0.attn_sinks.weight"'],
    ["mixtral", ["blk.0.ffn_up_shexp.weight"], '"blk.0.ffn_up_shexp.weight"'],
    ["mixtral", ["blk.0.exp_probs_b.bias"], '"blk.0.exp_probs_b.bias"'],
    ["llama", ["blk.2.attn_norm.weight"], "more blocks than the 2 that the metadata announces"],
    ["llama", ["blk.0.attn_q.scale", "blk.0.attn_q.input_scale"], "a quantisation that Sluice does not read"],
    ["qwen2", ["blk.0.attn_q.weight.lora_a"], "an adapter"],
    ["qwen2", ["v.blk.0.attn_q.weight", "mm.0.weight"], "a part for images"],
    ["qwen2", ["cls.output.weight"], "classifies or embeds"],
    ["llama", ["blk.1.nextn.eh_proj.weight"], "predicts further tokens"],
    ["mpt", ["position_embd.weight"], '"position_embd.weight"'],
    ["mpt", ["blk.0.ffn_act.scales"], '"blk.0.ffn_act.scales"'],
    ["gpt2", ["rope_freqs.weight"], '"rope_freqs.weight"'],
    ["gemma2", ["blk.0.attn_q_norm.weight"], '"blk.0.attn_q_norm.weight"'],
    ["t5", ["enc.blk.2.attn_norm.weight"], '"enc.blk.2.attn_norm.weight"'],
  ])("%s with %j is refused", async (name, tensors, message) => {
    await expect(built(name, {}, tensors)).rejects.toThrow(UnsupportedError);
    await expect(built(name, {}, tensors)).rejects.toThrow(message);
  });

  it("names the first ones and counts the rest", async () => {
    const tensors = Array.from({ length: 7 }, (_, index) => `extra.${index}.weight`);
    const message = '"extra.0.weight", "extra.1.weight", "extra.2.weight" and 4 more tensors';
    await expect(built("llama", {}, tensors)).rejects.toThrow(message);
    await expect(
      loadLocal(randomGguf({ ...familyNamed("llama"), auxiliary: { "x.weight": [1] } }).path),
    ).rejects.toThrow('it has the tensor "x.weight"');
  });

  it.each<[string, readonly string[]]>([
    ["llama", ["blk.0.attn_rot_embd.inv_freq"]],
    ["gemma3", ["v.blk.0.attn_q.weight", "mm.input_projection.weight"]],
    ["t5", ["dec.blk.0.cross_attn_rel_b.weight"]],
  ])("%s with %j is run, as these mean nothing to it", async (name, tensors) => {
    expect((await built(name, {}, tensors)).notes).toEqual([]);
  });
});

describe("keys that change what a model computes", () => {
  it.each<[string, Family["keys"]]>([
    ["llama", { "attention.sliding_window": 8, "attention.sliding_window_pattern": 2 }],
    ["llama", { "attention.max_alibi_bias": 8 }],
    ["llama", { "attention.clamp_kqv": 0.5 }],
    ["llama", { "attention.scale": 0.5 }],
    ["llama", { "attention.key_length_mla": 8 }],
    ["llama", { attn_logit_softcapping: 30 }],
    ["llama", { final_logit_softcapping: 30 }],
    ["llama", { logit_scale: 0.5 }],
    ["llama", { residual_scale: 0.5 }],
    ["llama", { embedding_scale: 12 }],
    ["llama", { use_parallel_residual: true }],
    ["llama", { "rope.dimension_sections": Int32Array.of(2, 2, 2, 0) }],
    ["llama", { nextn_predict_layers: 1 }],
    ["llama", { "rope.scaling.yarn_log_multiplier": 0.1 }],
    ["mixtral", { expert_shared_count: 1 }],
    ["mixtral", { expert_weights_norm: false }],
    ["mixtral", { expert_weights_scale: 2.5 }],
    ["mixtral", { expert_gating_func: 2 }],
    ["mixtral", { expert_group_count: 4 }],
    ["mixtral", { leading_dense_block_count: 1 }],
    ["mixtral", { interleave_moe_layer_step: 2 }],
    ["jamba", { expert_weights_norm: true }],
    ["gpt-oss", { swiglu_clamp_exp: [5, 5] }],
    ["gpt2", { expert_count: 4 }],
    ["bloom", { "attention.max_alibi_bias": 4 }],
    ["falcon 7b", { use_parallel_residual: false }],
    ["mamba2", { "ssm.dt_b_c_rms": true }],
    ["qwen2", { "attention.group_norm_groups": 8 }],
    ["qwen2", { "attention.shared_kv_layers": 1 }],
  ])("%s with %j is refused", async (name, keys) => {
    await expect(built(name, keys)).rejects.toThrow(UnsupportedError);
    await expect(built(name, keys)).rejects.toThrow(new RegExp(Object.keys(keys).at(-1)?.replace(".", "\\.") ?? ""));
  });

  it.each<[string, Family["keys"]]>([
    ["llama", { "attention.sliding_window": 0, "attention.sliding_window_pattern": 2 }],
    ["llama", { "attention.sliding_window": 64 }],
    ["llama", { "attention.scale": 1 / Math.sqrt(12), "attention.clamp_kqv": 0, logit_scale: 1, vocab_size: 41 }],
    ["llama", { expert_shared_count: 0, expert_gating_func: 1, tensor_data_layout: "Meta AI original pth" }],
    ["llama", { "rope.dimension_sections": Int32Array.of(0, 0, 0, 0), "rope.scaling.finetuned": true }],
    ["mixtral", { expert_weights_norm: true, expert_weights_scale: 1, expert_gating_func: 1 }],
    ["gpt-oss", { expert_gating_func: 3, swiglu_clamp_exp: [0, 0] }],
    ["bloom", { "attention.max_alibi_bias": 8, "rope.dimension_count": 12 }],
    ["falcon 7b", { use_parallel_residual: true, tensor_data_layout: "jploski" }],
  ])("%s with %j is run without notes: nothing is changed", async (name, keys) => {
    expect((await built(name, keys)).notes).toEqual([]);
  });

  it("a window that llama.cpp does not use for the architecture is told", async () => {
    const { spec, notes } = await built("llama", { "attention.sliding_window": 8, pooling_type: 3 });
    expect(spec.layers.every(({ mixer: { body } }) => !("window" in body))).toBe(true);
    expect(notes).toEqual([
      '"llama.attention.sliding_window" is 8, but llama is run without windows, as llama.cpp runs it',
      '"llama.pooling_type" is 3: the model is for embeddings, and may write no sense',
    ]);
  });

  it("notes are the model's, and its sessions begin with them", async () => {
    const family = familyNamed("llama");
    const { path } = randomGguf({ ...family, keys: { ...family.keys, "some.thing": 1, "other.thing": 2 } });
    const model = await loadLocal(path, { backend: "reference" });
    const note = 'llama as Sluice runs it has no use for the metadata keys "llama.some.thing", "llama.other.thing"';
    expect(model.info.notes).toEqual([note]);
    expect(model.session().notes).toEqual([note]);
    await model.dispose();
  });
});
