/**
 * Fields of config.json that change what a model computes, with the values that change nothing. A class that does not ask for
 * such a field runs a checkpoint only with one of these; all other fields are of training, or of programs.
 */
import type { ConfigFields } from "./config-fields.js";

type Neutral = readonly (string | number | boolean)[];

/** A factor of 1; false and 0 say that there is none. */
const FACTOR: Neutral = [1];
const NONE: Neutral = [0, false];
const FEW_EXPERTS: Neutral = [0, 1, false];

/** Null counts as absent. */
const FIELDS: Readonly<Record<string, Neutral>> = {
  add_cross_attention: NONE,
  alibi: NONE,
  attention_chunk_size: NONE,
  attention_multiplier: FACTOR,
  attn_logit_softcapping: NONE,
  clip_qkv: NONE,
  embedding_multiplier: FACTOR,
  final_logit_softcapping: NONE,
  is_causal: [true],
  logit_scale: FACTOR,
  logits_scaling: FACTOR,
  moe_num_experts: FEW_EXPERTS,
  n_routed_experts: FEW_EXPERTS,
  n_shared_experts: NONE,
  no_rope_layer_interval: NONE,
  num_experts: FEW_EXPERTS,
  num_local_experts: FEW_EXPERTS,
  num_nextn_predict_layers: NONE,
  qk_layernorm: NONE,
  qk_norm: NONE,
  residual_multiplier: FACTOR,
  router_logit_softcapping: NONE,
  scale_attn_by_inverse_layer_idx: NONE,
  scale_depth: FACTOR,
  scale_emb: FACTOR,
  use_bidirectional_attention: NONE,
  use_qk_norm: NONE,
};

/** Lists whose entries are all alike change nothing: NoPE layers are 0 in this one. */
const LISTS: Readonly<Record<string, Neutral>> = { no_rope_layers: [1, true] };

/** @throws UnsupportedError that names the field */
export function refuseMeaningfulFields(config: ConfigFields): void {
  for (const [field, neutral] of Object.entries({ ...FIELDS, ...LISTS })) {
    const value = config.unasked(field);
    if (value === undefined) continue;
    const entries: readonly unknown[] = Object.hasOwn(LISTS, field) && Array.isArray(value) ? value : [value];
    if (entries.every((entry) => neutral.some((allowed) => allowed === entry))) continue;
    throw config.unsupported(field, `${neutral.map((allowed) => JSON.stringify(allowed)).join(" or ")}, or none`);
  }
}
