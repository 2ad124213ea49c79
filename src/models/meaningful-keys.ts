/**
 * Keys of the metadata that an architecture did not ask for. Some change what a model computes: their value must be the one
 * that changes nothing, or the file is refused. Some are known to mean nothing. Of the others a note tells.
 */
import type { MetadataValue } from "../formats/checkpoint.js";
import { UnsupportedError } from "../util/errors.js";
import type { Architecture } from "./architecture.js";
import { type ModelMetadata, shown } from "./metadata.js";
import type { NeutralKeys } from "./neutral-keys.js";

const NONE = [0, false];
/** A factor of 1; llama.cpp takes 0 for "none". */
const FACTOR = [0, 1];

/** By key, without the architecture in front. Lists are neutral when all of their entries are. */
const NEUTRAL: NeutralKeys = {
  "attention.causal": [true],
  "attention.clamp_kqv": NONE,
  "attention.max_alibi_bias": NONE,
  "attention.group_norm_epsilon": NONE,
  "attention.group_norm_groups": NONE,
  "attention.indexer.head_count": NONE,
  "attention.kv_lora_rank": NONE,
  "attention.q_lora_rank": NONE,
  "attention.key_length_mla": NONE,
  "attention.value_length_mla": NONE,
  "attention.output_gate": NONE,
  "attention.output_scale": FACTOR,
  "attention.value_scale": FACTOR,
  "attention.recurrent_layers": NONE,
  "attention.relative_buckets_count": NONE,
  "attention.shared_kv_layers": NONE,
  "attention.temperature_length": NONE,
  "attention.temperature_scale": NONE,
  attn_logit_softcapping: NONE,
  final_logit_softcapping: NONE,
  router_logit_softcapping: NONE,
  embedding_length_per_layer_input: NONE,
  embedding_scale: FACTOR,
  logit_scale: FACTOR,
  residual_scale: FACTOR,
  expert_chunk_feed_forward_length: NONE,
  expert_count: NONE,
  expert_gating_func: [0, 1],
  expert_group_count: FACTOR,
  expert_group_scale: FACTOR,
  expert_group_used_count: FACTOR,
  expert_latent_length: NONE,
  expert_shared_count: NONE,
  expert_shared_feed_forward_length: NONE,
  expert_weights_norm: [true],
  expert_weights_scale: FACTOR,
  experts_per_group: NONE,
  full_attention_interval: FACTOR,
  hidden_act: ["silu"],
  hidden_activation: ["silu"],
  interleave_moe_layer_step: FACTOR,
  leading_dense_block_count: NONE,
  moe_every_n_layers: FACTOR,
  moe_latent_size: NONE,
  nextn_predict_layers: NONE,
  n_deepstack_layers: NONE,
  "position.scheme": ["rope"],
  "rope.dimension_sections": NONE,
  "rope.scaling.alpha": FACTOR,
  "rope.scaling.yarn_ext_factor": FACTOR,
  "rope.scaling.yarn_log_multiplier": NONE,
  "ssm.dt_b_c_rms": NONE,
  swiglu_clamp_exp: NONE,
  swiglu_clamp_shexp: NONE,
  swin_norm: NONE,
  use_parallel_residual: NONE,
};

/** Keys that mean nothing where they are not asked for. */
const WITHOUT_MEANING = new Set([
  "context_length",
  "vocab_size",
  "feed_forward_length",
  "attention.head_count",
  "attention.head_count_kv",
  "attention.key_length",
  "attention.value_length",
  "attention.layer_norm_epsilon",
  "attention.layer_norm_rms_epsilon",
  "decoder_norm_scale",
  "expert_used_count",
  "rope.dimension_count",
  "rope.freq_base",
  "rope.scale_linear",
  "rope.scaling.attn_factor",
  "rope.scaling.factor",
  "rope.scaling.finetuned",
  "rope.scaling.high_freq_factor",
  "rope.scaling.low_freq_factor",
  "rope.scaling.original_context_length",
  "rope.scaling.type",
  "rope.scaling.yarn_attn_factor",
  "rope.scaling.yarn_beta_fast",
  "rope.scaling.yarn_beta_slow",
  "rope.scaling.yarn_truncate",
  "tensor_data_layout",
  "tie_word_embeddings",
]);

interface Comparison {
  readonly neutral: (value: MetadataValue, meta: ModelMetadata) => boolean;
  readonly expected: string;
}

const sameAs = (key: string, usual: number): Comparison => ({
  neutral: (value, meta) => value === meta.number(key, usual),
  expected: `the value of "${key}"`,
});

const windowed = (meta: ModelMetadata) => meta.number("attention.sliding_window", 0) > 0;

/** Neutral where they say the same as another key, or where there is nothing that they could change. */
const COMPARED: Readonly<Record<string, Comparison>> = {
  "attention.key_length_swa": sameAs("attention.key_length", 0),
  "attention.value_length_swa": sameAs("attention.value_length", 0),
  "attention.scale": {
    neutral: (value, meta) => {
      const width = meta.number("attention.key_length", 0) || meta.number("embedding_length") / headsOf(meta);
      return value === 0 || (typeof value === "number" && Math.abs(value * Math.sqrt(width) - 1) < 1e-5);
    },
    expected: "1 / sqrt(width of a head)",
  },
  "attention.sliding_window_pattern": {
    neutral: (value, meta) => value === 1 || !windowed(meta),
    expected: "1, or without a sliding window",
  },
  embedding_length_out: sameAs("embedding_length", 0),
  "rope.dimension_count_swa": sameAs("rope.dimension_count", 0),
  "rope.freq_base_swa": {
    neutral: (value, meta) => value === meta.number("rope.freq_base", 10_000) || !windowed(meta),
    expected: 'the value of "rope.freq_base", or without a sliding window',
  },
};

const headsOf = (meta: ModelMetadata) => Math.max(1, meta.countOfAll("attention.head_count"));

/** Keys of which a note tells more than that nothing asks for them. */
const NOTED: Readonly<Record<string, (value: MetadataValue, meta: ModelMetadata) => string | undefined>> = {
  // As llama.cpp does for these architectures.
  "attention.sliding_window": (value, meta) =>
    typeof value === "number" && (value === 0 || value >= meta.number("context_length", 0))
      ? undefined
      : `${said(meta, "attention.sliding_window", value)}, but ${meta.checkpoint.architecture} is run without windows, as llama.cpp runs it`,
  pooling_type: (value, meta) =>
    value === 0
      ? undefined
      : `${said(meta, "pooling_type", value)}: the model is for embeddings, and may write no sense`,
};

const said = (meta: ModelMetadata, key: string, value: MetadataValue) => `"${meta.full(key)}" is ${shown(value)}`;

/**
 * Notes on the keys that the building of the spec did not ask `meta` for.
 * @throws UnsupportedError for one that changes what the model computes
 */
export function keyNotes(meta: ModelMetadata, { fixed = {} }: Architecture): string[] {
  const asked = new Set(meta.asked);
  const prefix = meta.full("");
  const notes: string[] = [];
  const unknown: string[] = [];
  for (const [full, value] of meta.checkpoint.metadata) {
    const key = full.slice(prefix.length);
    if (!full.startsWith(prefix) || asked.has(key)) continue;
    const neutral = of(fixed, key) ?? of(NEUTRAL, key);
    const compared = of(COMPARED, key);
    if (neutral) requireNeutral(meta, key, value, neutral);
    else if (compared) {
      if (!compared.neutral(value, meta)) throw refused(meta, key, value, compared.expected);
    } else if (Object.hasOwn(NOTED, key)) {
      const note = NOTED[key](value, meta);
      if (note !== undefined) notes.push(note);
    } else if (!WITHOUT_MEANING.has(key)) unknown.push(full);
  }
  if (unknown.length > 0) notes.push(unknownNote(meta.checkpoint.architecture, unknown));
  return notes;
}

function of<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

function requireNeutral(
  meta: ModelMetadata,
  key: string,
  value: MetadataValue,
  neutral: readonly (number | boolean | string)[],
): void {
  const entries = typeof value === "object" ? Array.from<MetadataValue>(value) : [value];
  if (entries.every((entry) => neutral.some((allowed) => allowed === entry))) return;
  throw refused(meta, key, value, neutral.map((allowed) => JSON.stringify(allowed)).join(" or "));
}

function refused(meta: ModelMetadata, key: string, value: MetadataValue, expected: string): UnsupportedError {
  const { location, architecture } = meta.checkpoint;
  return new UnsupportedError(
    `${location}: the metadata key ${said(meta, key, value)}, which changes what the model computes; Sluice runs ` +
      `${architecture} only with ${expected}.`,
    { key: meta.full(key) },
  );
}

const NAMED = 5;

function unknownNote(architecture: string, keys: readonly string[]): string {
  const named = keys.slice(0, NAMED).map((key) => `"${key}"`);
  const more = keys.length > NAMED ? ` and ${keys.length - NAMED} more` : "";
  const which = keys.length === 1 ? "the metadata key" : "the metadata keys";
  return `${architecture} as Sluice runs it has no use for ${which} ${named.join(", ")}${more}`;
}
