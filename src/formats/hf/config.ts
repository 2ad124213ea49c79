/**
 * config.json of a Hugging Face checkpoint as metadata under GGUF's keys. What a config leaves out has the default of its
 * class in `transformers`; what has none there, and the sizes of a model, are required here.
 *
 * Keys of our own, which no GGUF file has: `<architecture>.hidden_act` (Sluice's name of the activation, where the class
 * leaves a choice), `<architecture>.tie_word_embeddings`, `tokenizer.ggml.eos_token_ids`, `t5.decoder_norm_scale`,
 * `<architecture>.attention.window` and `.window_pattern` (of architectures that have no window in GGUF),
 * `<architecture>.rope.scaling.yarn_truncate`; and `attention.scale`, which llama.cpp has for other architectures than gemma.
 */
import { UnsupportedError } from "../../util/errors.js";
import type { MetadataValue } from "../checkpoint.js";
import type { JsonObject } from "../json-file.js";
import type { HfArchitecture } from "./architecture.js";
import { ConfigFields } from "./config-fields.js";
import { HF_ARCHITECTURES } from "./index.js";
import { refuseMeaningfulFields } from "./meaningful-fields.js";

export interface HfConfig {
  readonly row: HfArchitecture;
  readonly metadata: Map<string, MetadataValue>;
  /** Whether a head in the files is a copy of the embedding that nobody needs. */
  readonly tied: boolean;
  /** Numbers that GGUF keeps as tensors, under GGUF's names. */
  readonly vectors: Readonly<Record<string, readonly number[]>>;
}

/**
 * Reads a configuration. End tokens are the union of both files'; the first is `tokenizer.ggml.eos_token_id`, all of them
 * `tokenizer.ggml.eos_token_ids`. `location` names config.json in errors.
 * @throws FormatError that names the field, UnsupportedError for what Sluice does not run
 */
export function readHfConfig(config: JsonObject, generationConfig: JsonObject | undefined, location: string): HfConfig {
  const fields = new ConfigFields(config, location);
  const row = rowOf(fields, location);
  refuseQuantised(fields, row, location);
  const text = (row.textConfig !== undefined && fields.nested(row.textConfig)) || fields;
  const { architecture } = row;
  const metadata = new Map<string, MetadataValue>([["general.architecture", architecture]]);
  const tied = (fields.has("tie_word_embeddings") ? fields : text).flag("tie_word_embeddings") ?? row.tied;
  const keys = { ...row.metadata(text), tie_word_embeddings: tied };
  for (const [key, value] of Object.entries(keys)) {
    if (value !== undefined) metadata.set(`${architecture}.${key}`, value);
  }
  refuseMeaningfulFields(text);
  const generationLocation = location.replace(/config\.json$/, "generation_config.json");
  putTokenIds(metadata, [fields, text, new ConfigFields(generationConfig ?? {}, generationLocation)]);
  return { row, metadata, tied: tied && !row.keepsHead, vectors: row.vectors?.(text) ?? {} };
}

function rowOf(fields: ConfigFields, location: string): HfArchitecture {
  const type = fields.text("model_type");
  if (Object.hasOwn(HF_ARCHITECTURES, type)) return HF_ARCHITECTURES[type];
  throw new UnsupportedError(
    `${location}: model_type "${type}" is not supported; supported are ${Object.keys(HF_ARCHITECTURES).join(", ")}.`,
    { architecture: type },
  );
}

function refuseQuantised(fields: ConfigFields, row: HfArchitecture, location: string): void {
  // MLX writes the second.
  const quantisation = fields.object("quantization_config") ?? fields.object("quantization");
  if (!quantisation || (row.quantisation !== undefined && quantisation.quant_method === row.quantisation)) return;
  throw new UnsupportedError(
    `${location}: weights quantised with "${String(quantisation.quant_method ?? quantisation.mode ?? "an unnamed method")}" are not supported; ` +
      "take the unquantised safetensors or a GGUF file.",
  );
}

/** Ids from the first of the configurations that has them; ends from all. */
function putTokenIds(metadata: Map<string, MetadataValue>, configs: readonly ConfigFields[]): void {
  const bos = configs.flatMap((config) => config.ids("bos_token_id").slice(0, 1))[0];
  const ends = [...new Set(configs.flatMap((config) => config.ids("eos_token_id")))];
  if (bos !== undefined) metadata.set("tokenizer.ggml.bos_token_id", bos);
  if (ends.length > 0) {
    metadata.set("tokenizer.ggml.eos_token_id", ends[0]);
    metadata.set("tokenizer.ggml.eos_token_ids", Int32Array.from(ends));
  }
}
