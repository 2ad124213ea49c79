/**
 * config.json of a Hugging Face checkpoint as metadata under GGUF's keys. What a config leaves out has the default of its
 * class in `transformers`; what has none there is required here.
 */
import { FormatError, UnsupportedError } from "../util/errors.js";
import type { MetadataValue } from "./checkpoint.js";
import { ConfigFields } from "./hf-config-fields.js";
import { ropeMetadata } from "./hf-rope.js";
import type { JsonObject } from "./json-file.js";

/** How an architecture of `transformers` differs from the others: a row for each `model_type`. */
interface HfArchitecture {
  /** `num_key_value_heads` when absent: a number, or as many as query heads. */
  readonly kvHeads: number | "heads";
  /** `head_dim` when absent: a number, or width / heads. */
  readonly headWidth: number | "split";
  /** Whether `sliding_window` counts: always, only with `use_sliding_window`, or never. */
  readonly window: "always" | "flagged" | "never";
}

const HF_ARCHITECTURES: Readonly<Record<string, HfArchitecture>> = {
  llama: { kvHeads: "heads", headWidth: "split", window: "never" },
  mistral: { kvHeads: 8, headWidth: "split", window: "always" },
  qwen2: { kvHeads: 32, headWidth: "split", window: "flagged" },
  qwen3: { kvHeads: 32, headWidth: 128, window: "flagged" },
};

/**
 * Metadata of a model: `general.architecture` is its `model_type`. End tokens are the union of both files'; the first is
 * `tokenizer.ggml.eos_token_id`, all of them `tokenizer.ggml.eos_token_ids` (a key of our own: GGUF has none).
 * `location` names config.json in errors.
 * @throws FormatError that names the field, UnsupportedError for what Sluice does not run
 */
export function metadataFromConfig(
  config: JsonObject,
  generationConfig: JsonObject | undefined,
  location: string,
): Map<string, MetadataValue> {
  const fields = new ConfigFields(config, location);
  const architecture = fields.text("model_type");
  const row = Object.hasOwn(HF_ARCHITECTURES, architecture) ? HF_ARCHITECTURES[architecture] : undefined;
  if (!row) {
    throw new UnsupportedError(
      `${location}: model_type "${architecture}" is not supported; supported are ${Object.keys(HF_ARCHITECTURES).join(", ")}.`,
      { architecture },
    );
  }
  refuse(fields, location);
  const metadata = new Map<string, MetadataValue>([["general.architecture", architecture]]);
  const put = (key: string, value: MetadataValue | undefined) => {
    if (value !== undefined) metadata.set(`${architecture}.${key}`, value);
  };
  const heads = fields.count("num_attention_heads");
  const width = fields.count("hidden_size");
  const headWidth = headWidthOf(fields, row, width, heads);
  put("vocab_size", fields.count("vocab_size"));
  put("context_length", fields.count("max_position_embeddings"));
  put("embedding_length", width);
  put("block_count", fields.count("num_hidden_layers"));
  put("feed_forward_length", fields.count("intermediate_size"));
  put("attention.head_count", heads);
  put("attention.head_count_kv", kvHeadsOf(fields, row, heads));
  put("attention.key_length", headWidth);
  put("attention.value_length", headWidth);
  put("attention.layer_norm_rms_epsilon", fields.positive("rms_norm_eps"));
  put("attention.sliding_window", windowOf(fields, row, location));
  put("tie_word_embeddings", fields.flag("tie_word_embeddings") ?? false);
  for (const [key, value] of ropeMetadata(fields, headWidth)) put(key, value);
  putTokenIds(metadata, fields, generationConfig, location);
  return metadata;
}

function refuse(fields: ConfigFields, location: string): void {
  const activation = fields.value("hidden_act") ?? "silu";
  if (activation !== "silu") {
    throw new UnsupportedError(`${location}: hidden_act "${String(activation)}" is not supported; expected "silu".`);
  }
  const quantisation = fields.object("quantization_config");
  if (quantisation) {
    throw new UnsupportedError(
      `${location}: weights quantised with "${String(quantisation.quant_method)}" are not supported; ` +
        "take the unquantised safetensors or a GGUF file.",
    );
  }
}

function headWidthOf(fields: ConfigFields, row: HfArchitecture, width: number, heads: number): number {
  if (fields.value("head_dim") !== undefined) return fields.count("head_dim");
  if (row.headWidth !== "split") return row.headWidth;
  if (width % heads !== 0) {
    throw fields.wrong("num_attention_heads", `a divisor of hidden_size ${width}, as there is no head_dim`);
  }
  return width / heads;
}

function kvHeadsOf(fields: ConfigFields, row: HfArchitecture, heads: number): number {
  // An explicit null means "as many as heads"; an absent field has the class's default.
  const fallback = fields.has("num_key_value_heads") || row.kvHeads === "heads" ? heads : row.kvHeads;
  const kvHeads = fields.count("num_key_value_heads", fallback);
  if (heads % kvHeads !== 0) throw fields.wrong("num_key_value_heads", `a divisor of num_attention_heads ${heads}`);
  return kvHeads;
}

function windowOf(fields: ConfigFields, row: HfArchitecture, location: string): number | undefined {
  if (row.window === "never" || fields.value("sliding_window") === undefined) return undefined;
  if (row.window === "always") return fields.count("sliding_window");
  const layers = fields.count("num_hidden_layers");
  if (!fields.flag("use_sliding_window") || fields.whole("max_window_layers", layers) >= layers) return undefined;
  throw new UnsupportedError(`${location}: use_sliding_window with windows on some layers only is not supported.`);
}

function putTokenIds(
  metadata: Map<string, MetadataValue>,
  fields: ConfigFields,
  generationConfig: JsonObject | undefined,
  location: string,
): void {
  const generation = new ConfigFields(
    generationConfig ?? {},
    location.replace(/config\.json$/, "generation_config.json"),
  );
  const bos = fields.ids("bos_token_id")[0] ?? generation.ids("bos_token_id")[0];
  const ends = [...new Set([...fields.ids("eos_token_id"), ...generation.ids("eos_token_id")])];
  if (bos !== undefined) metadata.set("tokenizer.ggml.bos_token_id", bos);
  if (ends.length > 0) {
    metadata.set("tokenizer.ggml.eos_token_id", ends[0]);
    metadata.set("tokenizer.ggml.eos_token_ids", Int32Array.from(ends));
  }
}

/** Whether the head shares the embedding's weights, whatever else the files hold. */
export function tiesEmbeddings(metadata: ReadonlyMap<string, MetadataValue>, location: string): boolean {
  const architecture = metadata.get("general.architecture");
  const tied = metadata.get(`${String(architecture)}.tie_word_embeddings`);
  if (typeof tied === "boolean") return tied;
  throw new FormatError(`${location}: tie_word_embeddings must be true or false.`);
}
