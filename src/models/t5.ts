/**
 * T5 (1910.10683): an encoder that reads the source whole and a decoder that attends to it, relative positions in buckets,
 * RMSNorm, unscaled scores. Layers use the biases of the first one's table where they have none of their own (umT5,
 * 2304.09151).
 */
import type { AttentionSpec, BranchSpec, FeedForwardSpec } from "../nn/spec.js";
import { FormatError } from "../util/errors.js";
import type { Architecture } from "./architecture.js";
import { type HeadSizes, headSizes } from "./attention-parts.js";
import { blocks, embeddingAndHead } from "./decoder-parts.js";
import type { ModelMetadata } from "./metadata.js";
import { denseMlp, gatedMlp, linear, rmsNorm, table } from "./parts.js";

/** Distances from here on share a bucket; GGUF has no key for it. */
const MAXIMUM_DISTANCE = 128;

export const t5: Architecture = {
  auxiliary: [],
  // Old files have a relative bias between the stacks that nothing reads.
  ignored: /^dec\.blk\.\d+\.cross_attn_rel_b\.weight$/,
  build(meta, vocabulary) {
    const width = meta.count("embedding_length");
    const sizes = headSizes(meta);
    const buckets = bucketCount(meta);
    const relative = (side: "enc" | "dec", block: string) => {
      const biases = table(`${side}.${block}.attn_rel_b.weight`, buckets, sizes.heads);
      return { buckets, maximum: MAXIMUM_DISTANCE, bidirectional: side === "enc", table: biases };
    };
    const first = { enc: relative("enc", "blk.0"), dec: relative("dec", "blk.0") };
    const positions = (side: "enc" | "dec", block: string) => ({
      relative: meta.hasTensor(`${side}.${block}.attn_rel_b.weight`) ? relative(side, block) : first[side],
    });
    const mixer = (block: string, name: string, positions: Partial<AttentionSpec>): BranchSpec<AttentionSpec> => ({
      norm: rmsNorm(meta, `${block}.${name}_norm`, width),
      body: { ...attention(meta, `${block}.${name}`, sizes), ...positions },
    });
    const feedForward = (block: string): BranchSpec<FeedForwardSpec> => ({
      norm: rmsNorm(meta, `${block}.ffn_norm`, width),
      body: meta.hasTensor(`${block}.ffn_gate.weight`) ? gatedMlp(meta, block, "gelu") : denseMlp(meta, block, "relu"),
    });
    return {
      ...embeddingAndHead(meta, vocabulary),
      encoder: {
        layers: blocks(meta, (block) => ({
          residual: "sequential" as const,
          mixer: mixer(`enc.${block}`, "attn", positions("enc", block)),
          feedForward: feedForward(`enc.${block}`),
        })),
        norm: rmsNorm(meta, "enc.output_norm", width),
        startToken: meta.index("decoder_start_token_id", vocabulary, 0),
      },
      layers: blocks(
        meta,
        (block) => ({
          residual: "sequential" as const,
          mixer: mixer(`dec.${block}`, "attn", positions("dec", block)),
          cross: mixer(`dec.${block}`, "cross_attn", {}),
          feedForward: feedForward(`dec.${block}`),
        }),
        meta.count("decoder_block_count", meta.count("block_count")),
      ),
      norm: rmsNorm(meta, "dec.output_norm", width),
    };
  },
};

/** An encoder has half of them for either direction, and half of these for the nearest distances. */
function bucketCount(meta: ModelMetadata): number {
  const buckets = meta.count("attention.relative_buckets_count", 32);
  if (buckets % 2 === 0 && buckets >= 4 && buckets < 2 * MAXIMUM_DISTANCE) return buckets;
  throw new FormatError(
    `${meta.checkpoint.location}: ${buckets} buckets of distances; expected an even number from 4 to ${2 * MAXIMUM_DISTANCE - 2}.`,
  );
}

function attention(meta: ModelMetadata, name: string, sizes: HeadSizes): AttentionSpec {
  const width = meta.count("embedding_length");
  const { heads, kvHeads, keyWidth, valueWidth } = sizes;
  return {
    kind: "attention",
    ...sizes,
    scale: 1,
    query: linear(meta, `${name}_q`, width, heads * keyWidth),
    key: linear(meta, `${name}_k`, width, kvHeads * keyWidth),
    value: linear(meta, `${name}_v`, width, kvHeads * valueWidth),
    output: linear(meta, `${name}_o`, heads * valueWidth, width),
  };
}
