/** Attention layers by GGUF's keys and names: sizes of the heads, separate or fused projections, head norms. */
import type { AttentionSpec } from "../nn/spec.js";
import { FormatError } from "../util/errors.js";
import type { ModelMetadata } from "./metadata.js";
import { linear, linearSlices, rmsNorm } from "./parts.js";

export interface HeadSizes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly keyWidth: number;
  readonly valueWidth: number;
}

/** More than any model has: a file that says so is not believed, before anything is made for each. */
const MOST_HEADS = 65536;

/**
 * The sizes that all layers have, or those of one, where an architecture has other KV heads by layer.
 * @throws FormatError when the heads do not share the KV heads evenly, or are more than can be; UnsupportedError where layers
 * differ
 */
export function headSizes(meta: ModelMetadata, layer?: number): HeadSizes {
  const heads = meta.countOfAll("attention.head_count");
  if (heads > MOST_HEADS) throw new FormatError(`${meta.checkpoint.location}: ${heads} heads are more than can be.`);
  const key = "attention.head_count_kv";
  const kvHeads = layer === undefined ? meta.countOfAll(key, heads) : meta.countOfLayer(key, layer, heads);
  if (heads % kvHeads !== 0) {
    throw new FormatError(`${meta.checkpoint.location}: ${heads} heads cannot share ${kvHeads} KV heads evenly.`);
  }
  const keyWidth = meta.count("attention.key_length", meta.count("embedding_length") / heads);
  return { heads, kvHeads, keyWidth, valueWidth: meta.count("attention.value_length", keyWidth) };
}

/**
 * The attention of a block: attn_qkv (all queries, then keys, then values) or attn_q, attn_k, attn_v, and attn_output.
 * Position schemes, windows and the like are the architecture's to add.
 */
export function attention(meta: ModelMetadata, block: string, sizes: HeadSizes): AttentionSpec {
  const { heads, kvHeads, keyWidth, valueWidth } = sizes;
  const width = meta.count("embedding_length");
  const outputs = [heads * keyWidth, kvHeads * keyWidth, kvHeads * valueWidth];
  const fused = meta.hasTensor(`${block}.attn_qkv.weight`);
  const [query, key, value] = fused
    ? linearSlices(linear(meta, `${block}.attn_qkv`, width, outputs[0] + outputs[1] + outputs[2]), outputs)
    : ["attn_q", "attn_k", "attn_v"].map((name, i) => linear(meta, `${block}.${name}`, width, outputs[i]));
  const output = linear(meta, `${block}.attn_output`, heads * valueWidth, width);
  return { kind: "attention", ...sizes, scale: 1 / Math.sqrt(keyWidth), query, key, value, output };
}

/** RMSNorms of every head's query and key. */
export function headNorms(
  meta: ModelMetadata,
  block: string,
  { keyWidth }: HeadSizes,
): Pick<AttentionSpec, "queryNorm" | "keyNorm"> {
  return {
    queryNorm: rmsNorm(meta, `${block}.attn_q_norm`, keyWidth),
    keyNorm: rmsNorm(meta, `${block}.attn_k_norm`, keyWidth),
  };
}
