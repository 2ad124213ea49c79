/**
 * A checkpoint in figures, from its metadata and tensor list alone: it works for architectures and tensor types that
 * Sluice does not run, so every figure may be missing (null).
 */
import type { Checkpoint, MetadataValue } from "../../formats/checkpoint.js";

export interface TypeTotal {
  readonly type: string;
  readonly tensors: number;
  readonly elements: number;
  readonly bytes: number;
}

export interface CheckpointSummary {
  readonly location: string;
  readonly format: string;
  readonly architecture: string;
  readonly supported: boolean;
  readonly name: string | null;
  readonly parameters: number;
  readonly weightBytes: number;
  readonly layers: number | null;
  readonly width: number | null;
  readonly hidden: number | null;
  readonly heads: number | null;
  /** KV heads by layer, where the number of layers is known. */
  readonly kvHeads: readonly number[] | null;
  readonly keyWidth: number | null;
  readonly valueWidth: number | null;
  readonly vocabulary: number | null;
  readonly trainedContext: number | null;
  readonly window: number | null;
  readonly ropeBase: number | null;
  readonly ropeScaling: string | null;
  readonly tokenizer: string | null;
  readonly hasChatTemplate: boolean;
  readonly types: readonly TypeTotal[];
  /** Tensors whose type Sluice cannot compute with. */
  readonly unsupportedTensors: number;
}

/** A line of the tensor list. */
export interface TensorLine {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: string;
  /** Null where the size of a block is not known. */
  readonly bytes: number | null;
  readonly supported: boolean;
}

/** More layers than any model has: a file that says so is not believed. */
const MOST_LAYERS = 100_000;

export function tensorLines(checkpoint: Checkpoint): TensorLine[] {
  const known = [...checkpoint.tensors.values()].map(({ name, rows, cols, dtype, bytes }) => ({
    name,
    shape: [rows, cols],
    type: dtype,
    bytes,
    supported: true,
  }));
  const unknown = [...(checkpoint.unsupportedTensors?.values() ?? [])].map(({ name, rows, cols, type }) => ({
    name,
    shape: [rows, cols],
    type,
    bytes: null,
    supported: false,
  }));
  return [...known, ...unknown];
}

/** @param architectures that Sluice runs */
export function summarise(checkpoint: Checkpoint, architectures: readonly string[]): CheckpointSummary {
  const { metadata, architecture } = checkpoint;
  const number = (key: string) => numberOf(metadata.get(`${architecture}.${key}`));
  const tensors = tensorLines(checkpoint);
  const types = typeTotals(tensors);
  const [layers, width, heads] = [number("block_count"), number("embedding_length"), maximum(metadata, architecture)];
  const perHead = width !== null && heads !== null && heads > 0 ? width / heads : null;
  const keyWidth = number("attention.key_length") ?? perHead;
  return {
    location: checkpoint.location,
    format: checkpoint.format,
    architecture,
    supported: architectures.includes(architecture),
    name: textOf(metadata.get("general.name")),
    parameters: types.reduce((sum, type) => sum + type.elements, 0),
    weightBytes: types.reduce((sum, type) => sum + type.bytes, 0),
    layers,
    width,
    hidden: number("feed_forward_length"),
    heads,
    kvHeads: kvHeadsByLayer(metadata.get(`${architecture}.attention.head_count_kv`), heads, layers),
    keyWidth,
    valueWidth: number("attention.value_length") ?? keyWidth,
    vocabulary: vocabularyOf(checkpoint),
    trainedContext: number("context_length"),
    window: number("attention.sliding_window"),
    ropeBase: number("rope.freq_base"),
    ropeScaling: ropeScalingOf(checkpoint),
    tokenizer: tokenizerOf(checkpoint),
    hasChatTemplate: hasChatTemplate(checkpoint),
    types,
    unsupportedTensors: tensors.filter((tensor) => !tensor.supported).length,
  };
}

function typeTotals(tensors: readonly TensorLine[]): TypeTotal[] {
  const totals = new Map<string, TypeTotal>();
  for (const { type, shape, bytes } of tensors) {
    const before = totals.get(type) ?? { type, tensors: 0, elements: 0, bytes: 0 };
    totals.set(type, {
      type,
      tensors: before.tensors + 1,
      elements: before.elements + shape.reduce((product, size) => product * size, 1),
      bytes: before.bytes + (bytes ?? 0),
    });
  }
  return [...totals.values()].sort((a, b) => b.bytes - a.bytes);
}

function numberOf(value: MetadataValue | undefined): number | null {
  if (typeof value === "bigint") return Number(value);
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function textOf(value: MetadataValue | undefined): string | null {
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

function tokenizerOf({ metadata, tokenizer }: Checkpoint): string | null {
  if (!tokenizer) return null;
  if (tokenizer.kind === "hf") return "tokenizer.json";
  const model = textOf(metadata.get("tokenizer.ggml.model"));
  const pre = textOf(metadata.get("tokenizer.ggml.pre"));
  return model !== null && pre !== null ? `${model} (${pre})` : model;
}

function hasChatTemplate({ metadata, tokenizer }: Checkpoint): boolean {
  if (tokenizer?.kind !== "hf") return metadata.has("tokenizer.chat_template");
  const config = tokenizer.tokenizerConfig;
  return typeof config === "object" && config !== null && "chat_template" in config && Boolean(config.chat_template);
}
