/**
 * Names of tensors in Hugging Face checkpoints and in GGUF, as tables. An architecture is a row; most share all modules of
 * the llama family and add a few.
 */

/** Module paths to GGUF's names; parameters keep their `.weight` or `.bias`. */
interface NameTable {
  /** Outside of layers, under an optional "model." in front. */
  readonly model: Readonly<Record<string, string>>;
  /** Within `layers.<i>.`; GGUF's names go after `blk.<i>.`. */
  readonly layer: Readonly<Record<string, string>>;
}

const LLAMA: NameTable = {
  model: {
    embed_tokens: "token_embd",
    norm: "output_norm",
    lm_head: "output",
  },
  layer: {
    input_layernorm: "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    post_attention_layernorm: "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
  },
};

const QWEN3: NameTable = {
  model: LLAMA.model,
  layer: { ...LLAMA.layer, "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm" },
};

const TABLES: Readonly<Record<string, NameTable>> = { llama: LLAMA, mistral: LLAMA, qwen2: LLAMA, qwen3: QWEN3 };

/** Saved by old versions, computed anew by everyone. */
const IGNORED = /\.rotary_emb\.(inv_freq|cos_cached|sin_cached)$/;

const LAYER = /^layers\.(0|[1-9]\d{0,4})\.(.+)$/s;

/**
 * GGUF's name of a tensor; undefined for one that is not needed. Names that the table does not know stay as they are, so
 * that they can be listed.
 */
export function ggufTensorName(architecture: string, name: string): string | undefined {
  if (IGNORED.test(name)) return undefined;
  const table = Object.hasOwn(TABLES, architecture) ? TABLES[architecture] : undefined;
  const path = name.startsWith("model.") ? name.slice("model.".length) : name;
  const dot = path.lastIndexOf(".");
  const parameter = path.slice(dot + 1);
  if (!table || (parameter !== "weight" && parameter !== "bias")) return name;
  const module = path.slice(0, dot);
  const [, index, inner] = LAYER.exec(module) ?? [];
  if (index === undefined) return lookUp(table.model, module, (found) => `${found}.${parameter}`) ?? name;
  return lookUp(table.layer, inner, (found) => `blk.${index}.${found}.${parameter}`) ?? name;
}

function lookUp(
  names: Readonly<Record<string, string>>,
  module: string,
  build: (found: string) => string,
): string | undefined {
  return Object.hasOwn(names, module) ? build(names[module]) : undefined;
}
