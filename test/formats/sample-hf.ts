/** A tiny Hugging Face model folder for tests. */
import { type SafetensorsTensorSpec, writeSafetensors } from "../support/write-safetensors.js";

export const CONFIG = {
  model_type: "llama",
  vocab_size: 10,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  hidden_act: "silu",
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  bos_token_id: 1,
  eos_token_id: 2,
  tie_word_embeddings: false,
};

const tensor = (name: string, ...shape: number[]): SafetensorsTensorSpec => {
  const length = shape.reduce((product, n) => product * n, 1);
  return { name, dtype: "F32", shape, values: Float32Array.from({ length }, (_, i) => i) };
};

export const TENSORS: readonly SafetensorsTensorSpec[] = [
  tensor("model.embed_tokens.weight", 10, 8),
  tensor("model.layers.0.input_layernorm.weight", 8),
  tensor("model.layers.0.self_attn.q_proj.weight", 8, 8),
  { ...tensor("model.layers.0.self_attn.k_proj.weight", 4, 8), dtype: "BF16" },
  { ...tensor("model.layers.0.self_attn.v_proj.weight", 4, 8), dtype: "F16" },
  tensor("model.layers.0.self_attn.o_proj.weight", 8, 8),
  tensor("model.layers.0.self_attn.rotary_emb.inv_freq", 1),
  tensor("model.layers.0.post_attention_layernorm.weight", 8),
  tensor("model.layers.0.mlp.gate_proj.weight", 12, 8),
  tensor("model.layers.0.mlp.up_proj.weight", 12, 8),
  tensor("model.layers.0.mlp.down_proj.weight", 8, 12),
  tensor("model.norm.weight", 8),
  tensor("lm_head.weight", 10, 8),
];

export const GGUF_NAMES = [
  "token_embd.weight",
  "blk.0.attn_norm.weight",
  "blk.0.attn_q.weight",
  "blk.0.attn_k.weight",
  "blk.0.attn_v.weight",
  "blk.0.attn_output.weight",
  "blk.0.ffn_norm.weight",
  "blk.0.ffn_gate.weight",
  "blk.0.ffn_up.weight",
  "blk.0.ffn_down.weight",
  "output_norm.weight",
  "output.weight",
];

/** The files of the folder "hf": weights in one file. */
export function hfFolder(config: Readonly<Record<string, unknown>> = {}): Record<string, Uint8Array | string> {
  return {
    "hf/config.json": JSON.stringify({ ...CONFIG, ...config }),
    "hf/model.safetensors": writeSafetensors(TENSORS, { format: "pt" }),
    "hf/tokenizer.json": JSON.stringify({ model: { type: "BPE" } }),
    "hf/tokenizer_config.json": JSON.stringify({ bos_token: "<s>" }),
  };
}

/** The same with the weights in two files and an index. */
export function shardedHfFolder(): Record<string, Uint8Array | string> {
  const { "hf/model.safetensors": _, ...rest } = hfFolder();
  const file = (index: number) => `model-0000${index + 1}-of-00002.safetensors`;
  const halves = [TENSORS.slice(0, 5), TENSORS.slice(5)];
  const weightMap = Object.fromEntries(halves.flatMap((half, i) => half.map(({ name }) => [name, file(i)])));
  return {
    ...rest,
    "hf/model.safetensors.index.json": JSON.stringify({ metadata: { total_size: 1 }, weight_map: weightMap }),
    [`hf/${file(0)}`]: writeSafetensors(halves[0]),
    [`hf/${file(1)}`]: writeSafetensors(halves[1]),
  };
}
