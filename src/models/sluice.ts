/**
 * The decoder of studies: Llama's blocks, with whatever position scheme, window and sinks a checkpoint names. Models of it
 * come from Sluice's trainer; other runtimes do not know the name.
 */
import type { AttentionSpec, PositionEmbeddingSpec } from "../nn/spec.js";
import { alibi } from "../position/alibi.js";
import { FormatError } from "../util/errors.js";
import type { Architecture } from "./architecture.js";
import { attention, type HeadSizes, headSizes } from "./attention-parts.js";
import { decoder } from "./decoder-parts.js";
import type { ModelMetadata } from "./metadata.js";
import { gatedMlp, matrix, rmsNorm, table, vector } from "./parts.js";
import { DIVISORS, ropeFromMetadata } from "./rope-metadata.js";
import { windowsOf } from "./windows.js";

/** `position.scheme`; default rope. */
const SCHEMES = ["rope", "alibi", "relative", "learned", "sinusoidal", "none"] as const;
type Scheme = (typeof SCHEMES)[number];

export const sluice: Architecture = {
  auxiliary: [DIVISORS],
  build(meta, vocabulary, auxiliary) {
    const sizes = headSizes(meta);
    const scheme = schemeOf(meta);
    const traits = attentionTraits(meta, scheme, sizes, auxiliary);
    const windows = windowsOf(meta, { period: 0 });
    const spec = decoder(meta, vocabulary, rmsNorm, (block, index) => {
      const window = windows(index);
      const sinks = `${block}.attn_sinks.weight`;
      return {
        mixer: {
          ...attention(meta, block, sizes),
          ...traits,
          ...(window && { window }),
          ...(meta.hasTensor(sinks) && { sinks: vector(sinks, sizes.heads) }),
        },
        feedForward: gatedMlp(meta, block, "silu"),
      };
    });
    const positions = addedPositions(meta, scheme);
    return positions ? { ...spec, positions } : spec;
  },
};

const MOST_DISTANCE = 2 ** 20;

function schemeOf(meta: ModelMetadata): Scheme {
  const name = meta.text("position.scheme") ?? "rope";
  const found = SCHEMES.find((scheme) => scheme === name);
  if (found) return found;
  throw new FormatError(
    `${meta.checkpoint.location}: the position scheme "${name}" is not known; known are ${SCHEMES.join(", ")}.`,
  );
}

function attentionTraits(
  meta: ModelMetadata,
  scheme: Scheme,
  sizes: HeadSizes,
  auxiliary: ReadonlyMap<string, Float32Array>,
): Partial<AttentionSpec> {
  if (scheme === "rope") {
    return { rope: ropeFromMetadata(meta, { layout: "interleaved", headWidth: sizes.keyWidth, auxiliary }) };
  }
  if (scheme === "alibi") return { alibi: alibi(sizes.heads, meta.number("attention.max_alibi_bias", 8)) };
  if (scheme !== "relative") return {};
  const buckets = meta.count("attention.relative_buckets_count", 32);
  const maximum = meta.count("attention.relative_maximum_distance", 128);
  // There is a bucket for every distance in memory.
  if (buckets < 2 || buckets >= 2 * maximum || maximum > MOST_DISTANCE) {
    const found = `${buckets} buckets for distances up to ${maximum}`;
    throw new FormatError(`${meta.checkpoint.location}: ${found}; expected 2 or more, for at most ${MOST_DISTANCE}.`);
  }
  const biases = table("attn_rel_b.weight", buckets, sizes.heads);
  return { relative: { buckets, maximum, bidirectional: false, table: biases } };
}

function addedPositions(meta: ModelMetadata, scheme: Scheme): PositionEmbeddingSpec | undefined {
  if (scheme === "sinusoidal") return { kind: "sinusoidal" };
  if (scheme !== "learned") return undefined;
  const positions = meta.count("context_length");
  return {
    kind: "learned",
    positions,
    table: matrix("position_embd.weight", positions, meta.count("embedding_length")),
  };
}
