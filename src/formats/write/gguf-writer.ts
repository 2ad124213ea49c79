/**
 * Writes GGUF version 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md) as a stream: the header at once, then
 * one tensor after the other, each read when its turn comes, so that a model is never held whole.
 */
import { DTYPES } from "../../tensor/dtype.js";
import { ArgumentError } from "../../util/errors.js";
import { ByteWriter } from "./byte-writer.js";
import { type GgufValue, writeText, writeValue } from "./gguf-values.js";
import { shapeOf, storedBytes, storedChunks, type TensorToWrite } from "./stored-rows.js";

/** The format's default, which files need not name. */
const ALIGNMENT = 32;
/** Longer names and more dimensions ggml does not take. */
const MAX_NAME_BYTES = 63;
const MAX_DIMS = 4;

export interface GgufToWrite {
  /** In the order of the file; `general.architecture` comes first by custom. */
  readonly metadata: Iterable<readonly [key: string, value: GgufValue]>;
  readonly tensors: readonly TensorToWrite[];
}

/** A file to be: its size is known before anything is read. */
export interface StreamedFile {
  readonly bytes: number;
  /** The file from its start. A chunk may be used anew for the next one: write it before asking for more. */
  chunks(): AsyncGenerator<Uint8Array, void, undefined>;
}

/** @throws ArgumentError for keys or names that appear twice, and for shapes and values that GGUF cannot hold */
export function ggufFile({ metadata, tensors }: GgufToWrite): StreamedFile {
  const writer = new ByteWriter();
  const keys = new Map(refuseTwice("metadata key", metadata));
  refuseTwice(
    "tensor",
    tensors.map((tensor) => [tensor.name, tensor] as const),
  );
  if (keys.has("general.alignment")) {
    throw new ArgumentError(`"general.alignment" is the writer's: it writes the default of ${ALIGNMENT}.`);
  }
  writeStart(writer, 3, tensors.length, keys.size);
  for (const [key, value] of keys) {
    writeText(writer, key);
    writeValue(writer, key, value);
  }
  let dataBytes = 0;
  for (const tensor of tensors) {
    checkName(tensor);
    writeTensorInfo(writer, tensor, dataBytes);
    dataBytes += aligned(storedBytes(tensor));
  }
  writer.align(ALIGNMENT);
  const header = writer.finish();
  return { bytes: header.length + dataBytes, chunks: () => fileChunks(header, tensors) };
}

async function* fileChunks(
  header: Uint8Array,
  tensors: readonly TensorToWrite[],
): AsyncGenerator<Uint8Array, void, undefined> {
  yield header;
  for (const tensor of tensors) {
    yield* storedChunks(tensor);
    const bytes = storedBytes(tensor);
    // The last tensor too is followed by zeros up to the alignment, as in files of llama.cpp.
    if (aligned(bytes) > bytes) yield new Uint8Array(aligned(bytes) - bytes);
  }
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** Magic, version and counts. */
export function writeStart(writer: ByteWriter, version: number, tensors: number, keys: number): void {
  writer.raw(new TextEncoder().encode("GGUF"));
  writer.u32(version);
  writer.u64(tensors);
  writer.u64(keys);
}

/** The list's entry of a tensor whose data begins at `offset` of the data section. */
export function writeTensorInfo(writer: ByteWriter, tensor: Omit<TensorToWrite, "read">, offset: number): void {
  writeText(writer, tensor.name);
  // The innermost dimension first.
  const dims = shapeOf(tensor).toReversed();
  writer.u32(dims.length);
  for (const dim of dims) writer.u64(dim);
  writer.u32(DTYPES[tensor.dtype].ggml);
  writer.u64(offset);
}

function checkName(tensor: TensorToWrite): void {
  const { name } = tensor;
  const bytes = new TextEncoder().encode(name).length;
  if (bytes === 0 || bytes > MAX_NAME_BYTES) {
    throw new ArgumentError(`The tensor name "${name}" has ${bytes} bytes; GGUF takes 1 to ${MAX_NAME_BYTES}.`, {
      name,
    });
  }
  const dims = shapeOf(tensor).length;
  if (dims >= 1 && dims <= MAX_DIMS) return;
  throw new ArgumentError(`The tensor "${name}" has ${dims} dimensions; GGUF takes 1 to ${MAX_DIMS}.`, { name });
}

function refuseTwice<V>(what: string, entries: Iterable<readonly [string, V]>): (readonly [string, V])[] {
  const all = [...entries];
  const seen = new Set<string>();
  for (const [name] of all) {
    if (seen.has(name)) throw new ArgumentError(`The ${what} "${name}" is given twice.`, { name });
    seen.add(name);
  }
  return all;
}
