/**
 * Llama and its relatives of the same module names: configuration_{llama,mistral,qwen2,qwen3,mixtral}.py of `transformers`
 * for fields and defaults; conversion/llama.py of llama.cpp for Mixtral's experts (w1 gate, w3 up, w2 down).
 */
import type { HfArchitecture, KeyValues } from "./architecture.js";
import type { ConfigFields } from "./config-fields.js";
import { longRope, longRopeFactors, longRopeKeys } from "./long-rope.js";
import { EXPERTS } from "./rearranged.js";
import { type RopeFields, ropeKeys, unscaledRopeKeys } from "./rope.js";
import type { TensorTable } from "./tensor-table.js";
import { flaggedWindows, windowOfAll } from "./windows.js";

/** What a class of `transformers` has where config.json is silent; without a default a field is required. */
export interface LlamaDefaults {
  readonly heads?: number;
  /** A number, or as many as query heads. */
  readonly kvHeads: number | "heads";
  /** A number, or width / heads. */
  readonly headWidth: number | "split";
  readonly vocabulary?: number;
  readonly context?: number;
  readonly epsilon?: number;
}

/** Sizes without RoPE. */
export function llamaSizes(config: ConfigFields, defaults: LlamaDefaults): KeyValues {
  const heads = config.count("num_attention_heads", defaults.heads);
  const headWidth = headWidthOf(config, defaults, heads);
  return {
    vocab_size: config.count("vocab_size", defaults.vocabulary),
    context_length: config.count("max_position_embeddings", defaults.context),
    embedding_length: config.count("hidden_size"),
    block_count: config.count("num_hidden_layers"),
    feed_forward_length: config.count("intermediate_size"),
    "attention.head_count": heads,
    "attention.head_count_kv": kvHeadsOf(config, defaults, heads),
    "attention.key_length": headWidth,
    "attention.value_length": headWidth,
    "attention.layer_norm_rms_epsilon": config.positive("rms_norm_eps", defaults.epsilon),
  };
}

export function headWidthOf(config: ConfigFields, { headWidth }: LlamaDefaults, heads: number): number {
  if (config.value("head_dim") !== undefined) return config.count("head_dim");
  if (headWidth !== "split") return headWidth;
  const width = config.count("hidden_size");
  if (width % heads === 0) return width / heads;
  throw config.wrong("num_attention_heads", `a divisor of hidden_size ${width}, as there is no head_dim`);
}

function kvHeadsOf(config: ConfigFields, defaults: LlamaDefaults, heads: number): number {
  // An explicit null means "as many as heads"; an absent field has the class's default.
  const fallback = config.has("num_key_value_heads") || defaults.kvHeads === "heads" ? heads : defaults.kvHeads;
  const kvHeads = config.count("num_key_value_heads", fallback);
  if (heads % kvHeads === 0) return kvHeads;
  throw config.wrong("num_key_value_heads", `a divisor of num_attention_heads ${heads}`);
}

/** Sizes and RoPE. */
export function llamaKeys(config: ConfigFields, defaults: LlamaDefaults, rope?: RopeFields): KeyValues {
  const sizes = llamaSizes(config, defaults);
  return { ...sizes, ...ropeKeys(config, headWidthOf(config, defaults, Number(sizes["attention.head_count"])), rope) };
}

export const LLAMA_TENSORS = {
  prefixes: ["model."],
  modules: {
    embed_tokens: "token_embd",
    norm: "output_norm",
    lm_head: "output",
    "layers.#.input_layernorm": "blk.#.attn_norm",
    "layers.#.self_attn.q_proj": "blk.#.attn_q",
    "layers.#.self_attn.k_proj": "blk.#.attn_k",
    "layers.#.self_attn.v_proj": "blk.#.attn_v",
    "layers.#.self_attn.o_proj": "blk.#.attn_output",
    "layers.#.post_attention_layernorm": "blk.#.ffn_norm",
    "layers.#.mlp.gate_proj": "blk.#.ffn_gate",
    "layers.#.mlp.up_proj": "blk.#.ffn_up",
    "layers.#.mlp.down_proj": "blk.#.ffn_down",
  },
} satisfies TensorTable;

/** The table with further modules. */
export function llamaTensorsWith(modules: TensorTable["modules"]): TensorTable {
  return { ...LLAMA_TENSORS, modules: { ...LLAMA_TENSORS.modules, ...modules } };
}

interface Relative {
  readonly architecture: string;
  readonly defaults: LlamaDefaults;
  readonly tensors?: TensorTable;
  /** Keys beside sizes and RoPE. */
  readonly more?: (config: ConfigFields) => KeyValues;
  readonly rope?: RopeFields;
}

function relative({ architecture, defaults, more, rope, tensors = LLAMA_TENSORS }: Relative): HfArchitecture {
  const headWidth = (config: ConfigFields) =>
    headWidthOf(config, defaults, config.count("num_attention_heads", defaults.heads));
  const metadata = (config: ConfigFields) => {
    config.only("hidden_act", "silu");
    const rotation = longRope(config, {})
      ? { ...unscaledRopeKeys(config, headWidth(config), rope), ...longRopeKeys(config) }
      : ropeKeys(config, headWidth(config), rope);
    return { ...llamaSizes(config, defaults), ...rotation, ...more?.(config) };
  };
  const vectors = (config: ConfigFields) => longRopeFactors(config, headWidth(config), rope ? { rope } : {});
  return { architecture, tied: false, metadata, vectors, tensors };
}

function optionalWindow(config: ConfigFields): KeyValues {
  if (config.value("sliding_window") === undefined) return {};
  return { "attention.sliding_window": config.count("sliding_window") };
}

const QWEN3_TENSORS = llamaTensorsWith({
  "layers.#.self_attn.q_norm": "blk.#.attn_q_norm",
  "layers.#.self_attn.k_norm": "blk.#.attn_k_norm",
});

const MIXTRAL_TENSORS = llamaTensorsWith({
  "layers.#.block_sparse_moe.gate": "blk.#.ffn_gate_inp",
  "layers.#.block_sparse_moe.experts.*.w1": { to: "blk.#.ffn_gate_exps", view: EXPERTS },
  "layers.#.block_sparse_moe.experts.*.w3": { to: "blk.#.ffn_up_exps", view: EXPERTS },
  "layers.#.block_sparse_moe.experts.*.w2": { to: "blk.#.ffn_down_exps", view: EXPERTS },
});

export const llama = relative({ architecture: "llama", defaults: { kvHeads: "heads", headWidth: "split" } });

export const mistral = relative({
  architecture: "mistral",
  defaults: { kvHeads: 8, headWidth: "split" },
  more: optionalWindow,
});

export const qwen2 = relative({
  architecture: "qwen2",
  defaults: { kvHeads: 32, headWidth: "split" },
  more: flaggedWindows,
});

export const qwen3 = relative({
  architecture: "qwen3",
  defaults: { kvHeads: 32, headWidth: 128 },
  more: flaggedWindows,
  tensors: QWEN3_TENSORS,
});

export const mixtral = relative({
  architecture: "llama",
  defaults: { kvHeads: 8, headWidth: "split" },
  rope: { base: ["rope_theta", 1e6] },
  tensors: MIXTRAL_TENSORS,
  more: (config) => {
    return {
      ...windowOfAll(config),
      expert_count: config.count("num_local_experts", 8),
      expert_used_count: config.count("num_experts_per_tok", 2),
    };
  },
});
