/**
 * Header of safetensors files (https://github.com/huggingface/safetensors): a u64 length, JSON with dtype, shape and
 * byte range of each tensor, then the data, which the ranges must tile without gaps or overlaps.
 */
import type { DType } from "../tensor/dtype.js";
import { FormatError } from "../util/errors.js";
import type { ByteSource } from "../util/platform.js";
import { ByteCursor } from "./byte-cursor.js";
import type { UnsupportedTensor } from "./checkpoint.js";
import { describeForeign, foreignDetails, SIGNATURE_BYTES } from "./foreign-file.js";
import { isObject, parseJson } from "./json-file.js";
import type { StoredTensor } from "./stored-tensor.js";

/** The format's own limit. */
const MAX_HEADER_BYTES = 100_000_000;

const SUPPORTED: Readonly<Record<string, DType>> = { F32: "f32", F16: "f16", BF16: "bf16" };

/** Bytes of an element, for all types of the format. */
const ELEMENT_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
};

/** A tensor of any type, as the file has it. */
export interface SafetensorsTensor extends UnsupportedTensor, Omit<StoredTensor, "dtype"> {
  readonly shape: readonly number[];
  /** Absent for types that Sluice has no kernel for. */
  readonly dtype?: DType;
}

export interface SafetensorsFile {
  /** Under the file's own names. */
  readonly tensors: ReadonlyMap<string, SafetensorsTensor & StoredTensor>;
  readonly unsupported: ReadonlyMap<string, SafetensorsTensor>;
  /** The texts under `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
}

interface Declared {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly number[];
  readonly rows: number;
  readonly cols: number;
  /** Byte range in the data section. */
  readonly start: number;
  readonly end: number;
}

/** Reads the header. Does not close the source. @throws FormatError */
export async function readSafetensors(source: ByteSource): Promise<SafetensorsFile> {
  const cursor = new ByteCursor(source, MAX_HEADER_BYTES + 8);
  const header = await readHeader(cursor);
  const dataOffset = cursor.position;
  const declared = Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, value]) => declaration(cursor, name, value));
  checkTiling(cursor, declared, source.size - dataOffset);
  const tensors = new Map<string, SafetensorsTensor & StoredTensor>();
  const unsupported = new Map<string, SafetensorsTensor>();
  for (const { name, type, shape, rows, cols, start, end } of declared) {
    const dtype = Object.hasOwn(SUPPORTED, type) ? SUPPORTED[type] : undefined;
    const offset = dataOffset + start;
    const read = (at: number, into: Uint8Array) => source.read(offset + at, into);
    const tensor = { name, type, shape, rows, cols, source, offset, bytes: end - start, read };
    if (dtype) tensors.set(name, { ...tensor, dtype });
    else unsupported.set(name, tensor);
  }
  return { tensors, unsupported, metadata: textsOf(header.__metadata__) };
}

/** What is no text is left out: the format has none. */
function textsOf(metadata: unknown): ReadonlyMap<string, string> {
  const entries = isObject(metadata) ? Object.entries(metadata) : [];
  return new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}

async function readHeader(cursor: ByteCursor): Promise<Readonly<Record<string, unknown>>> {
  const { source } = cursor;
  const first = new Uint8Array(Math.min(SIGNATURE_BYTES, source.size));
  await source.read(0, first);
  // The JSON must begin with an opening brace right after the length.
  if (first.length >= 9 && first[8] !== 0x7b) {
    throw new FormatError(
      `${source.name} is not a safetensors file: ${describeForeign(first)}.`,
      foreignDetails(first),
    );
  }
  const most = Math.min(MAX_HEADER_BYTES, Math.max(0, source.size - 8));
  const length = await cursor.count("the length of the header", most);
  await cursor.fill(length, "the header");
  const header = parseJson(cursor.bytes(length), `The header of ${source.name}`);
  if (isObject(header)) return header;
  throw cursor.error("the header must be a JSON object", 8);
}

function declaration(cursor: ByteCursor, name: string, value: unknown): Declared {
  if (!isObject(value)) throw cursor.error(`the header's entry for "${name}" must be an object`, 8);
  const { dtype: type, shape, data_offsets: range } = value;
  if (typeof type !== "string") throw cursor.error(`tensor "${name}" has no dtype`, 8);
  if (!isCounts(shape)) throw cursor.error(`the shape of tensor "${name}" must be a list of whole numbers`, 8);
  if (!isCounts(range) || range.length !== 2 || range[0] > range[1]) {
    throw cursor.error(`data_offsets of tensor "${name}" must be [start, end] with start <= end`, 8);
  }
  const cols = shape.at(-1) ?? 1;
  const rows = shape.slice(0, -1).reduce((product, n) => product * n, 1);
  const [start, end] = range;
  const bytes = Object.hasOwn(ELEMENT_BYTES, type) ? ELEMENT_BYTES[type] * rows * cols : end - start;
  if (bytes !== end - start) {
    throw cursor.error(
      `tensor "${name}" (${type}, [${shape.slice(0, 8)}]) needs ${bytes} bytes, but its range has ${end - start}`,
      8,
    );
  }
  return { name, type, shape, rows, cols, start, end };
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

/** As the reference implementation asks: each range starts where the one before ends, the last ends with the file. */
function checkTiling(cursor: ByteCursor, declared: readonly Declared[], dataBytes: number): void {
  let expected = 0;
  for (const { name, start, end } of declared.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    if (end > dataBytes) {
      throw cursor.truncated(
        `tensor "${name}" takes bytes ${start} to ${end} of the data, but the file has only ${dataBytes}; it seems to be truncated`,
        8,
      );
    }
    if (start !== expected) {
      throw cursor.error(
        `tensor "${name}" starts at byte ${start} of the data, expected ${expected}: ${start < expected ? "an overlap" : "a gap"}`,
        8,
      );
    }
    expected = end;
  }
  if (expected !== dataBytes) {
    throw cursor.error(`the tensors end at byte ${expected} of the data, but the file has ${dataBytes}`, 8);
  }
}
