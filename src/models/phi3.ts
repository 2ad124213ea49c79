/**
 * Phi-3 (2404.14219): llama with fused projections, rotary on a part of each head, and LongRoPE where the checkpoint has
 * its factors. Its window is that of `attention.window`, which Hugging Face folders give; GGUF's `attention.sliding_window` is
 * ignored, as llama.cpp does.
 */
import type { RopeSpec } from "../position/rope.js";
import { FormatError } from "../util/errors.js";
import type { Architecture } from "./architecture.js";
import { attention, headSizes } from "./attention-parts.js";
import { decoder } from "./decoder-parts.js";
import type { ModelMetadata } from "./metadata.js";
import { gatedMlp, rmsNorm } from "./parts.js";
import { checkDivisors, ropeFromMetadata } from "./rope-metadata.js";

const SHORT = "rope_factors_short.weight";
const LONG = "rope_factors_long.weight";

export const phi3: Architecture = {
  auxiliary: [SHORT, LONG],
  build(meta, vocabulary, auxiliary) {
    const sizes = headSizes(meta);
    const rope = longRope(meta, ropeFromMetadata(meta, "halves", sizes.keyWidth), auxiliary);
    const window = meta.has("attention.window") && meta.count("attention.window");
    return decoder(meta, vocabulary, rmsNorm, (block) => ({
      mixer: { ...attention(meta, block, sizes), rope, ...(window && { window }) },
      feedForward: gatedMlp(meta, block, "silu"),
    }));
  },
};

function longRope(meta: ModelMetadata, rope: RopeSpec, auxiliary: ReadonlyMap<string, Float32Array>): RopeSpec {
  const short = auxiliary.get(SHORT);
  const long = auxiliary.get(LONG);
  if (!short && !long) return rope;
  if (!short || !long) {
    const missing = short ? LONG : SHORT;
    throw new FormatError(`${meta.checkpoint.location}: there are factors of LongRoPE, but ${missing} is missing.`);
  }
  checkDivisors(meta, SHORT, short, rope.dims);
  checkDivisors(meta, LONG, long, rope.dims);
  const originalContext = meta.count("rope.scaling.original_context_length", meta.count("context_length"));
  const magnitude = meta.number("rope.scaling.attn_factor", 1);
  return { ...rope, scaling: { kind: "longrope", short, long, originalContext, magnitude } };
}
