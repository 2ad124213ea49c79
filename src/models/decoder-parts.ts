/** The frame of a decoder by GGUF's names: embedding, blocks with their norms, final norm, head. */
import type { FeedForwardSpec, LayerSpec, MixerSpec, ModelSpec, NormSpec } from "../nn/spec.js";
import { FormatError } from "../util/errors.js";
import type { ModelMetadata } from "./metadata.js";
import { linear, matrix } from "./parts.js";

/** rmsNorm or layerNorm of parts.ts. */
type MakeNorm = (meta: ModelMetadata, name: string, width: number) => NormSpec;

/** What an architecture says of a block; the norms are its frame's. */
export interface BlockParts {
  readonly mixer: MixerSpec;
  readonly feedForward?: FeedForwardSpec;
  /** Default: sequential. */
  readonly residual?: LayerSpec["residual"];
  /** Names of the norms before the mixer (default attn_norm) and the feed-forward (ffn_norm), and behind them (none). */
  readonly norms?: {
    readonly mixer?: string;
    readonly feedForward?: string;
    readonly afterMixer?: string;
    readonly afterFeedForward?: string;
  };
}

/** A decoder whose norms are all made by `norm`; `block` is called with "blk.0" and so on. */
export function decoder(
  meta: ModelMetadata,
  vocabulary: number,
  norm: MakeNorm,
  block: (name: string, index: number) => BlockParts,
): ModelSpec {
  const width = meta.count("embedding_length");
  return {
    ...embeddingAndHead(meta, vocabulary),
    layers: blocks(meta, (name, index) => layer(meta, norm, name, block(name, index))),
    norm: norm(meta, "output_norm", width),
  };
}

function layer(meta: ModelMetadata, norm: MakeNorm, block: string, parts: BlockParts): LayerSpec {
  const width = meta.count("embedding_length");
  const { mixer, feedForward, residual = "sequential", norms = {} } = parts;
  const branch = <B>(body: B, before: string, after: string | undefined) => {
    const plain = { norm: norm(meta, `${block}.${before}`, width), body };
    return after === undefined ? plain : { ...plain, postNorm: norm(meta, `${block}.${after}`, width) };
  };
  const mixing = branch(mixer, norms.mixer ?? "attn_norm", norms.afterMixer);
  if (!feedForward) return { residual, mixer: mixing };
  const feeding = branch(feedForward, norms.feedForward ?? "ffn_norm", norms.afterFeedForward);
  return { residual, mixer: mixing, feedForward: feeding };
}

/** What stands around the layers. The head is the embedding where there is no `output.weight`. */
export function embeddingAndHead(meta: ModelMetadata, vocabulary: number): Omit<ModelSpec, "layers" | "norm"> {
  const width = meta.count("embedding_length");
  return {
    architecture: meta.checkpoint.architecture,
    width,
    vocabulary,
    contextLength: meta.count("context_length"),
    embedding: matrix("token_embd.weight", vocabulary, width),
    head: linear(meta, meta.hasTensor("output.weight") ? "output" : "token_embd", width, vocabulary),
  };
}

/** One of each block. The count (default: the metadata's) is bounded by the tensors that are there, so that a hostile one allocates nothing. */
export function blocks<L>(
  meta: ModelMetadata,
  build: (name: string, index: number) => L,
  count = meta.count("block_count"),
): L[] {
  const { location, tensors } = meta.checkpoint;
  if (count > tensors.size) {
    const found = `${count} blocks are announced, but there are only ${tensors.size} tensors`;
    throw new FormatError(`${location}: ${found}.`, { count });
  }
  return Array.from({ length: count }, (_, index) => build(`blk.${index}`, index));
}
