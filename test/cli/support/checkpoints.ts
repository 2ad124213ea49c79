/** Checkpoints without weights: metadata and names of tensors, which is all that a spec is made of. */
import type { Checkpoint, MetadataValue, TensorEntry } from "../../../src/formats/checkpoint.js";

const read = async () => Promise.reject(new Error("weights were read"));

export function tensor(
  name: string,
  dtype: TensorEntry["dtype"],
  rows: number,
  cols: number,
  bytes: number,
): TensorEntry {
  return { name, dtype, rows, cols, bytes, read };
}

/** An embedding of 100 tokens in Q8_0 and a norm, unless `rest` has other tensors. */
export function checkpoint(metadata: Record<string, MetadataValue>, rest: Partial<Checkpoint> = {}): Checkpoint {
  const tensors = [tensor("token_embd.weight", "q8_0", 100, 32, 3400), tensor("output_norm.weight", "f32", 1, 32, 128)];
  return {
    format: "gguf",
    location: "m.gguf",
    architecture: String(metadata["general.architecture"] ?? "llama"),
    metadata: new Map(Object.entries(metadata)),
    tensors: new Map(tensors.map((entry) => [entry.name, entry])),
    tokenizer: undefined,
    ropeLayout: undefined,
    close: async () => {},
    ...rest,
  };
}

/** What all architectures have. */
const COMMON = {
  embedding_length: 64,
  block_count: 4,
  context_length: 512,
  "attention.layer_norm_rms_epsilon": 1e-6,
  "attention.layer_norm_epsilon": 1e-5,
};
const HEADS = { "attention.head_count": 4, "attention.head_count_kv": 2, feed_forward_length: 128 };
const EXPERTS = { expert_count: 8, expert_used_count: 2 };
const STATES = { "ssm.inner_size": 128, "ssm.state_size": 16, "ssm.conv_kernel": 4, "ssm.time_step_rank": 4 };

interface Family {
  readonly keys: Record<string, MetadataValue>;
  /** Beside the embedding, those whose presence tells something; `*` stands for each layer. */
  readonly tensors: readonly string[];
}

/** One of each kind of mixer, feed-forward, position scheme and wiring. */
export const FAMILIES: Readonly<Record<string, Family>> = {
  gptneox: {
    keys: { ...HEADS, "attention.head_count_kv": 4, "rope.dimension_count": 4, use_parallel_residual: true },
    tensors: ["output.weight", "blk.*.attn_norm.bias"],
  },
  sluice: {
    keys: { ...HEADS, "attention.sliding_window": 32 },
    tensors: ["blk.*.ffn_gate.weight", "blk.*.attn_sinks.weight"],
  },
  gpt2: { keys: { ...HEADS, "attention.head_count_kv": 4 }, tensors: ["blk.*.attn_qkv.weight"] },
  bloom: { keys: { ...HEADS, "attention.head_count": 6, embedding_length: 96 }, tensors: ["blk.*.attn_qkv.weight"] },
  mpt: { keys: { ...HEADS, "attention.clamp_kqv": 8 }, tensors: ["blk.*.attn_qkv.weight"] },
  gemma2: {
    keys: {
      ...HEADS,
      block_count: 3,
      "attention.sliding_window": 32,
      "attention.key_length": 32,
      "attention.value_length": 32,
      attn_logit_softcapping: 8,
    },
    tensors: ["blk.*.ffn_gate.weight"],
  },
  "gpt-oss": {
    keys: {
      ...HEADS,
      ...EXPERTS,
      "attention.sliding_window": 16,
      "rope.scaling.type": "yarn",
      "rope.scaling.factor": 4,
      "rope.scaling.original_context_length": 128,
    },
    tensors: ["output.weight", "blk.*.attn_sinks.weight"],
  },
  mamba: { keys: { ...STATES, feed_forward_length: 0 }, tensors: ["blk.*.ssm_in.weight"] },
  mamba2: { keys: { ...STATES, "ssm.time_step_rank": 8, "ssm.group_count": 2 }, tensors: ["blk.*.ssm_in.weight"] },
  jamba: {
    keys: { ...HEADS, ...EXPERTS, ...STATES, "attention.head_count_kv": Int32Array.of(0, 2, 0, 0) },
    tensors: [0, 2, 3]
      .map((at) => `blk.${at}.ssm_in.weight`)
      .concat("blk.3.ffn_gate_inp.weight", ...[0, 1, 2].map((at) => `blk.${at}.ffn_gate.weight`)),
  },
  t5: { keys: { ...HEADS, "attention.head_count_kv": 4 }, tensors: ["enc.blk.*.attn_q.weight"] },
};

/** @param more keys beside the family's */
export function familyCheckpoint(architecture: string, more: Family["keys"] = {}): Checkpoint {
  const { keys, tensors } = FAMILIES[architecture];
  const layers = Array.from({ length: Number(keys.block_count ?? COMMON.block_count) }, (_, layer) => layer);
  const names = tensors.flatMap((name) => layers.map((layer) => name.replace("*", String(layer))));
  const all = Object.entries({ ...COMMON, ...keys, ...more }).map(([key, value]) => [`${architecture}.${key}`, value]);
  const metadata = { "general.architecture": architecture, ...Object.fromEntries(all) };
  const entries = ["token_embd.weight", ...names].map((name) => tensor(name, "f32", 100, 64, 25_600));
  return checkpoint(metadata, { tensors: new Map(entries.map((entry) => [entry.name, entry])) });
}
