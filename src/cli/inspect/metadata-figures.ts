/**
 * Figures of an architecture that Sluice does not run, by the metadata keys that most have. What they mean is the
 * architecture's, so each may be missing (null) or not be what a model of another one would call so.
 */
import type { Checkpoint, MetadataValue } from "../../formats/checkpoint.js";

export interface MetadataFigures {
  readonly layers: number | null;
  readonly width: number | null;
  readonly hidden: number | null;
  readonly heads: number | null;
  /** KV heads by layer, where the number of layers is known. */
  readonly kvHeads: readonly number[] | null;
  readonly keyWidth: number | null;
  readonly vocabulary: number | null;
  readonly trainedContext: number | null;
  readonly window: number | null;
  readonly ropeBase: number | null;
  readonly ropeScaling: string | null;
}

/** More layers than any model has: a file that says so is not believed. */
const MOST_LAYERS = 100_000;

export function metadataFigures(checkpoint: Checkpoint): MetadataFigures {
  const { metadata, architecture } = checkpoint;
  const number = (key: string) => numberOf(metadata.get(`${architecture}.${key}`));
  const [layers, width, heads] = [number("block_count"), number("embedding_length"), maximum(metadata, architecture)];
  const perHead = width !== null && heads !== null && heads > 0 ? width / heads : null;
  return {
    layers,
    width,
    hidden: number("feed_forward_length"),
    heads,
    kvHeads: kvHeadsByLayer(metadata.get(`${architecture}.attention.head_count_kv`), heads, layers),
    keyWidth: number("attention.key_length") ?? perHead,
    vocabulary: vocabularyOf(checkpoint),
    trainedContext: number("context_length"),
    window: number("attention.sliding_window"),
    ropeBase: number("rope.freq_base"),
    ropeScaling: ropeScalingOf(checkpoint),
  };
}

function numberOf(value: MetadataValue | undefined): number | null {
  if (typeof value === "bigint") return Number(value);
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

export function textOf(value: MetadataValue | undefined): string | null {
  return typeof value === "string" ? value : null;
}

/** Numbers of a value that is a list, or undefined when it is none. */
function numbersOf(value: MetadataValue | undefined): number[] | undefined {
  if (value instanceof Int32Array || value instanceof Float32Array) return [...value];
  if (!Array.isArray(value)) return undefined;
  return value.map((entry: MetadataValue) => numberOf(entry) ?? 0);
}

/** Heads of the layer that has most; some architectures give a list. */
function maximum(metadata: Checkpoint["metadata"], architecture: string): number | null {
  const value = metadata.get(`${architecture}.attention.head_count`);
  const list = numbersOf(value);
  return list ? list.reduce((most, heads) => Math.max(most, heads), 0) : numberOf(value);
}

function kvHeadsByLayer(
  value: MetadataValue | undefined,
  heads: number | null,
  layers: number | null,
): readonly number[] | null {
  if (layers === null || !Number.isInteger(layers) || layers < 0 || layers > MOST_LAYERS) return null;
  const list = numbersOf(value);
  if (list) return list.length === layers ? list : null;
  const count = numberOf(value) ?? heads;
  return count === null ? null : new Array<number>(layers).fill(count);
}

function vocabularyOf({ metadata, architecture, tensors }: Checkpoint): number | null {
  const tokens = metadata.get("tokenizer.ggml.tokens");
  if (Array.isArray(tokens)) return tokens.length;
  return numberOf(metadata.get(`${architecture}.vocab_size`)) ?? tensors.get("token_embd.weight")?.rows ?? null;
}

function ropeScalingOf({ metadata, architecture }: Checkpoint): string | null {
  const type = textOf(metadata.get(`${architecture}.rope.scaling.type`));
  if (type === null) return null;
  const factor = numberOf(metadata.get(`${architecture}.rope.scaling.factor`));
  return factor === null ? type : `${type} x${factor}`;
}
