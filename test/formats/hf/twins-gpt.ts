/** Twins of the families with LayerNorm: GPT-2, GPTBigCode, GPT-NeoX, BLOOM, Falcon, MPT. */
import { conv1d, inGroups } from "./layouts.js";
import { count, type Keys, type Layout, module, norm, plain, type Row, row, type Twin } from "./twin.js";

const TINY: Keys = {
  context_length: 40,
  embedding_length: 24,
  block_count: 2,
  feed_forward_length: 96,
  "attention.head_count": 4,
  "attention.layer_norm_epsilon": 2 ** -17,
};
const VOCABULARY = 37;

const sizes = (keys: Keys) => ({
  width: count(keys, "embedding_length"),
  hidden: count(keys, "feed_forward_length"),
  context: count(keys, "context_length"),
  heads: count(keys, "attention.head_count"),
  layers: count(keys, "block_count"),
  epsilon: count(keys, "attention.layer_norm_epsilon"),
  kvHeads: typeof keys["attention.head_count_kv"] === "number" ? keys["attention.head_count_kv"] : undefined,
});

const vocabulary = (keys: Keys) => (typeof keys.vocab_size === "number" ? keys.vocab_size : VOCABULARY);

/** Rows [H + 2 Hkv][D] of the fused projection. */
function fusedRows(keys: Keys): number {
  const { width, heads, kvHeads = heads } = sizes(keys);
  return (width / heads) * (heads + 2 * kvHeads);
}

function gptRows(linear: Layout, fused: Layout): Twin["rows"] {
  return (keys) => {
    const { width, hidden, context } = sizes(keys);
    return [
      row("token_embd.weight", [vocabulary(keys), width], "transformer.wte.weight"),
      row("position_embd.weight", [context, width], "transformer.wpe.weight"),
      ...norm("blk.#.attn_norm", width, "transformer.h.#.ln_1"),
      ...module("blk.#.attn_qkv", [fusedRows(keys), width], "transformer.h.#.attn.c_attn", fused),
      ...module("blk.#.attn_output", [width, width], "transformer.h.#.attn.c_proj", linear),
      ...norm("blk.#.ffn_norm", width, "transformer.h.#.ln_2"),
      ...module("blk.#.ffn_up", [hidden, width], "transformer.h.#.mlp.c_fc", linear),
      ...module("blk.#.ffn_down", [width, hidden], "transformer.h.#.mlp.c_proj", linear),
      ...norm("output_norm", width, "transformer.ln_f"),
      row("output.weight", [vocabulary(keys), width], "lm_head.weight"),
    ];
  };
}

function gptConfig(type: string): Twin["config"] {
  return (keys, has) => {
    const { width, hidden, context, heads, layers, epsilon, kvHeads } = sizes(keys);
    return {
      model_type: type,
      vocab_size: vocabulary(keys),
      n_positions: context,
      n_embd: width,
      n_layer: layers,
      n_head: heads,
      n_inner: hidden,
      layer_norm_epsilon: epsilon,
      activation_function: "gelu_new",
      ...(type === "gpt_bigcode" && { multi_query: kvHeads === 1 }),
      tie_word_embeddings: !has("output.weight"),
    };
  };
}

const gpt2: Twin = {
  architecture: "gpt2",
  keys: TINY,
  without: /^output\.weight/,
  config: gptConfig("gpt2"),
  rows: gptRows(conv1d, conv1d),
};

const starcoder: Twin = {
  architecture: "starcoder",
  keys: { ...TINY, "attention.head_count_kv": 1 },
  config: gptConfig("gpt_bigcode"),
  rows: gptRows(plain, plain),
};

/** `multi_query` false: heads fused as [H][q, k, v]. */
const starcoderHeads: Twin = { ...starcoder, keys: TINY, rows: gptRows(plain, inGroups) };

/** The modules that GPT-NeoX, BLOOM and Falcon call alike. */
function denseRows(keys: Keys, block: string, attention: string, fused: Layout): Row[] {
  const { width, hidden } = sizes(keys);
  return [
    ...norm("blk.#.attn_norm", width, `${block}.input_layernorm`),
    ...module("blk.#.attn_qkv", [fusedRows(keys), width], `${block}.${attention}.query_key_value`, fused),
    ...module("blk.#.attn_output", [width, width], `${block}.${attention}.dense`),
    ...norm("blk.#.ffn_norm", width, `${block}.post_attention_layernorm`),
    ...module("blk.#.ffn_up", [hidden, width], `${block}.mlp.dense_h_to_4h`),
    ...module("blk.#.ffn_down", [width, hidden], `${block}.mlp.dense_4h_to_h`),
  ];
}

const gptneox: Twin = {
  architecture: "gptneox",
  keys: { ...TINY, "rope.dimension_count": 2, "rope.freq_base": 5000, use_parallel_residual: true },
  config: (keys) => {
    const { width, hidden, context, heads, layers, epsilon } = sizes(keys);
    return {
      model_type: "gpt_neox",
      vocab_size: vocabulary(keys),
      max_position_embeddings: context,
      hidden_size: width,
      num_hidden_layers: layers,
      num_attention_heads: heads,
      intermediate_size: hidden,
      layer_norm_eps: epsilon,
      rotary_pct: count(keys, "rope.dimension_count") / (width / heads),
      rotary_emb_base: keys["rope.freq_base"] ?? 10000,
      use_parallel_residual: keys.use_parallel_residual,
      hidden_act: "gelu_fast",
    };
  },
  rows: (keys) => [
    row("token_embd.weight", [vocabulary(keys), sizes(keys).width], "gpt_neox.embed_in.weight"),
    ...denseRows(keys, "gpt_neox.layers.#", "attention", inGroups),
    ...norm("output_norm", sizes(keys).width, "gpt_neox.final_layer_norm"),
    row("output.weight", [vocabulary(keys), sizes(keys).width], "embed_out.weight"),
  ],
};

const bloom: Twin = {
  architecture: "bloom",
  keys: TINY,
  config: (keys) => {
    const { width, hidden, context, heads, layers, epsilon } = sizes(keys);
    return {
      model_type: "bloom",
      vocab_size: vocabulary(keys),
      seq_length: context,
      n_embed: width,
      n_layer: layers,
      num_attention_heads: heads,
      n_inner: hidden,
      layer_norm_epsilon: epsilon,
    };
  },
  rows: (keys) => [
    row("token_embd.weight", [vocabulary(keys), sizes(keys).width], "transformer.word_embeddings.weight"),
    ...norm("token_embd_norm", sizes(keys).width, "transformer.word_embeddings_layernorm"),
    ...denseRows(keys, "transformer.h.#", "self_attention", inGroups),
    ...norm("output_norm", sizes(keys).width, "transformer.ln_f"),
  ],
};

/** One norm for both branches (7B), or `ln_attn` and `ln_mlp` (40B). */
function falconTwin(twoNorms: boolean, kvHeads: number): Twin {
  return {
    architecture: "falcon",
    keys: { ...TINY, "attention.head_count_kv": kvHeads },
    without: twoNorms ? /bias$(?<!norm(_2)?\.bias)/ : /(^output\.weight|norm_2|bias$(?<!norm\.bias))/,
    config: (keys, has) => {
      const { width, hidden, context, heads, layers, epsilon } = sizes(keys);
      return {
        model_type: "falcon",
        vocab_size: vocabulary(keys),
        hidden_size: width,
        ffn_hidden_size: hidden,
        max_position_embeddings: context,
        num_hidden_layers: layers,
        num_attention_heads: heads,
        layer_norm_epsilon: epsilon,
        new_decoder_architecture: twoNorms,
        multi_query: true,
        activation: "gelu_pytorch_tanh",
        ...(twoNorms && { num_kv_heads: kvHeads }),
        tie_word_embeddings: !has("output.weight"),
      };
    },
    rows: (keys) => {
      const { width } = sizes(keys);
      const block = "transformer.h.#";
      const shared = denseRows(keys, block, "self_attention", inGroups).filter(
        ({ gguf }) => !gguf[0].includes("ffn_norm") && !gguf[0].includes("attn_norm"),
      );
      return [
        row("token_embd.weight", [vocabulary(keys), width], "transformer.word_embeddings.weight"),
        ...norm("blk.#.attn_norm", width, twoNorms ? `${block}.ln_mlp` : `${block}.input_layernorm`),
        ...norm("blk.#.attn_norm_2", width, `${block}.ln_attn`),
        ...shared,
        ...norm("output_norm", width, "transformer.ln_f"),
        row("output.weight", [vocabulary(keys), width], "lm_head.weight"),
      ];
    },
  };
}

const mpt: Twin = {
  architecture: "mpt",
  keys: { ...TINY, "attention.max_alibi_bias": 8, "attention.clamp_kqv": 6 },
  without: /bias$/,
  config: (keys) => {
    const { width, hidden, context, heads, layers, epsilon } = sizes(keys);
    return {
      model_type: "mpt",
      vocab_size: vocabulary(keys),
      d_model: width,
      expansion_ratio: hidden / width,
      max_seq_len: context,
      n_layers: layers,
      n_heads: heads,
      layer_norm_epsilon: epsilon,
      attn_config: {
        alibi: true,
        alibi_bias_max: keys["attention.max_alibi_bias"],
        clip_qkv: keys["attention.clamp_kqv"] ?? null,
      },
    };
  },
  rows: (keys) => {
    const { width, hidden } = sizes(keys);
    const block = "transformer.blocks.#";
    return [
      row("token_embd.weight", [vocabulary(keys), width], "transformer.wte.weight"),
      ...norm("blk.#.attn_norm", width, `${block}.norm_1`),
      ...module("blk.#.attn_qkv", [fusedRows(keys), width], `${block}.attn.Wqkv`),
      ...module("blk.#.attn_output", [width, width], `${block}.attn.out_proj`),
      ...norm("blk.#.ffn_norm", width, `${block}.norm_2`),
      ...module("blk.#.ffn_up", [hidden, width], `${block}.ffn.up_proj`),
      ...module("blk.#.ffn_down", [width, hidden], `${block}.ffn.down_proj`),
      ...norm("output_norm", width, "transformer.norm_f"),
    ];
  },
};

/** By the name of the golden file, where there is one. */
export const GPT_TWINS: Readonly<Record<string, Twin>> = {
  gpt2,
  starcoder,
  "starcoder-heads": starcoderHeads,
  gptneox,
  "gptneox-seq": { ...gptneox, keys: { ...gptneox.keys, use_parallel_residual: false } },
  bloom,
  falcon: falconTwin(false, 1),
  "falcon-40b": falconTwin(true, 2),
  mpt,
};
