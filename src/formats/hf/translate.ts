/**
 * The tensors of a Hugging Face checkpoint under GGUF's names and in GGUF's layouts. Nothing is read here: what needs more
 * than a new name becomes an entry that puts its bytes together when they are read.
 */
import { DTYPES, rowBytes } from "../../tensor/dtype.js";
import { FormatError } from "../../util/errors.js";
import type { Metadata, TensorEntry, UnsupportedTensor } from "../checkpoint.js";
import type { SafetensorsTensor } from "../safetensors.js";
import type { HfArchitecture } from "./architecture.js";
import { PieceCache } from "./piece-cache.js";
import { type Placement, placementsOf } from "./tensor-table.js";
import type { View, ViewContext } from "./views.js";

export interface Translated {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly unsupportedTensors: ReadonlyMap<string, UnsupportedTensor>;
}

export interface Translation {
  readonly row: HfArchitecture;
  readonly metadata: Metadata;
  readonly tensors: Iterable<SafetensorsTensor>;
  /** Numbers that config.json has and GGUF keeps as tensors. */
  readonly vectors: Readonly<Record<string, readonly number[]>>;
  /** Whether a head in the files is a copy of the embedding that nobody needs. */
  readonly tied: boolean;
  readonly location: string;
}

/** A tensor of GGUF in the making: the parts of the file that were found so far. */
interface Collected {
  readonly view: View | undefined;
  readonly parts: Map<number, SafetensorsTensor>;
}

/** @throws FormatError for two tensors that mean the same, for missing parts, for shapes that a view cannot take */
export function translate(request: Translation): Translated {
  const cache = new PieceCache();
  const tensors = new Map<string, TensorEntry>();
  const unsupportedTensors = new Map<string, UnsupportedTensor>();
  for (const [name, collected] of collect(request)) {
    const context = { parts: orderedParts(name, collected, request), size: sizeReader(request), cache };
    const unread = context.parts.find((part) => part.dtype === undefined);
    if (unread && !collected.view?.packed) {
      unsupportedTensors.set(name, { name, type: unread.type, rows: unread.rows, cols: unread.cols });
      continue;
    }
    const entry = viewed(name, context, collected.view, request.location);
    if (entry) tensors.set(name, entry);
  }
  for (const [name, values] of Object.entries(request.vectors)) tensors.set(name, vectorEntry(name, values));
  return { tensors, unsupportedTensors };
}

function collect({ row, tensors, tied, location }: Translation): Map<string, Collected> {
  const found = new Map<string, Collected>();
  for (const tensor of withoutCopies([...tensors], row.tensors.copies ?? [])) {
    // A name that the table does not know stays, so that it can be listed.
    const unknown: Placement = { name: tensor.name, view: undefined, part: 0 };
    for (const { name, view, part } of placementsOf(row.tensors, tensor.name) ?? [unknown]) {
      if (tied && name === "output.weight") continue;
      const collected = found.get(name) ?? { view, parts: new Map<number, SafetensorsTensor>() };
      if (collected.parts.has(part)) {
        throw new FormatError(`${location}: two tensors mean "${name}".`, { tensor: tensor.name });
      }
      collected.parts.set(part, tensor);
      found.set(name, collected);
    }
  }
  return found;
}

/** One tensor of each set of copies, under the set's first name. */
function withoutCopies(
  tensors: readonly SafetensorsTensor[],
  sets: readonly (readonly string[])[],
): readonly SafetensorsTensor[] {
  return sets.reduce((rest, names) => {
    const kept = names.find((name) => rest.some((tensor) => tensor.name === name));
    return rest
      .filter(({ name }) => name === kept || !names.includes(name))
      .map((tensor) => (tensor.name === kept ? { ...tensor, name: names[0] } : tensor));
  }, tensors);
}

function orderedParts(name: string, { view, parts }: Collected, request: Translation): SafetensorsTensor[] {
  const expected = view?.parts?.(sizeReader(request)) ?? 1;
  const ordered: SafetensorsTensor[] = [];
  for (let part = 0; part < expected; part++) {
    const tensor = parts.get(part);
    if (tensor) ordered.push(tensor);
    else {
      throw new FormatError(`${request.location}: part ${part} of the ${expected} of "${name}" is missing.`, {
        tensor: name,
        part,
      });
    }
  }
  if (parts.size === expected) return ordered;
  throw new FormatError(`${request.location}: "${name}" has ${parts.size} parts, expected ${expected}.`, {
    tensor: name,
  });
}

function sizeReader({ row, metadata, location }: Translation): ViewContext["size"] {
  return (key) => {
    const value = metadata.get(`${row.architecture}.${key}`);
    if (typeof value === "number") return value;
    throw new FormatError(`${location}: the tensors need "${key}", which config.json does not have.`, { key });
  };
}

function viewed(name: string, context: ViewContext, view: View | undefined, location: string): TensorEntry | undefined {
  const [part] = context.parts;
  const { source, offset } = part;
  if (!view) {
    const { dtype, rows, cols, bytes, read } = part;
    return dtype && { name, dtype, rows, cols, bytes, source, offset, read };
  }
  const entry = { name, source, offset, ...view.apply(context) };
  const { dtype, rows, cols } = entry;
  if (Number.isInteger(rows) && Number.isInteger(cols / DTYPES[dtype].blockSize)) return entry;
  throw new FormatError(`${location}: the tensor "${part.name}" does not fit as "${name}" [${rows}, ${cols}].`, {
    tensor: part.name,
  });
}

function vectorEntry(name: string, values: readonly number[]): TensorEntry {
  const stored = new Uint8Array(Float32Array.from(values).buffer);
  const read = async (at: number, into: Uint8Array) => into.set(stored.subarray(at, at + into.length));
  return { name, dtype: "f32", rows: 1, cols: values.length, bytes: rowBytes("f32", values.length), read };
}
