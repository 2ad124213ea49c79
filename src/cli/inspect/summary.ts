/**
 * What a checkpoint holds, whatever its architecture: name, tensors by type, tokenizer. It works for tensor types that
 * Sluice does not run too.
 */
import type { Checkpoint } from "../../formats/checkpoint.js";
import { textOf } from "./metadata-figures.js";

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
  readonly name: string | null;
  readonly parameters: number;
  readonly weightBytes: number;
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

export function summarise(checkpoint: Checkpoint): CheckpointSummary {
  const { location, format, architecture, metadata } = checkpoint;
  const tensors = tensorLines(checkpoint);
  const types = typeTotals(tensors);
  return {
    location,
    format,
    architecture,
    name: textOf(metadata.get("general.name")),
    parameters: types.reduce((sum, type) => sum + type.elements, 0),
    weightBytes: types.reduce((sum, type) => sum + type.bytes, 0),
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
