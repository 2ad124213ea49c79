/**
 * The tensor list of a GGUF file: names, shapes, types, places. Everything is checked against the file's size before
 * anyone reads or allocates by it.
 */
import { DTYPES, dtypeOfGgml, rowBytes } from "../tensor/dtype.js";
import type { ByteCursor } from "./byte-cursor.js";
import type { UnsupportedTensor } from "./checkpoint.js";
import { ggmlTypeName } from "./ggml-types.js";
import { type StoredTensor, storedTensor } from "./stored-tensor.js";

/** ggml stops at 64 bytes; longer names are read, but not novels. */
const MAX_NAME_BYTES = 65535;
const MAX_DIMS = 4;

/** A tensor as the list has it; `offset` counts from the start of the data section. */
export interface TensorInfo {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly type: number;
  readonly offset: number;
}

/** Name, dimensions, type and offset of one tensor. @throws FormatError */
export async function readTensorInfo(cursor: ByteCursor, index: number): Promise<TensorInfo> {
  const place = `tensor ${index}`;
  const name = await cursor.text(`the name of ${place}`, MAX_NAME_BYTES);
  const what = `tensor "${name}"`;
  await cursor.fill(4, `the number of dimensions of ${what}`);
  const start = cursor.position;
  const rank = cursor.u32();
  if (rank < 1 || rank > MAX_DIMS) {
    throw cursor.error(`${what} has ${rank} dimensions, expected 1 to ${MAX_DIMS}`, start);
  }
  const cols = await readDimension(cursor, what);
  let rows = 1;
  for (let i = 1; i < rank; i++) {
    rows *= await readDimension(cursor, what);
    if (!Number.isSafeInteger(rows * cols)) throw cursor.error(`the dimensions of ${what} multiply to an absurd size`);
  }
  await cursor.fill(4, `the type of ${what}`);
  const type = cursor.u32();
  const offset = await cursor.count(`the offset of ${what}`, cursor.source.size);
  return { name, rows, cols, type, offset };
}

async function readDimension(cursor: ByteCursor, what: string): Promise<number> {
  const dimension = await cursor.count(`a dimension of ${what}`, Number.MAX_SAFE_INTEGER);
  if (dimension === 0) throw cursor.error(`a dimension of ${what} is 0`, cursor.position - 8);
  return dimension;
}

export interface PlacedTensors {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly unsupported: ReadonlyMap<string, UnsupportedTensor>;
}

/**
 * Checks names, alignment, block sizes, bounds and overlaps, and turns offsets into those of the file.
 * @throws FormatError
 */
export function placeTensors(
  cursor: ByteCursor,
  infos: readonly TensorInfo[],
  dataOffset: number,
  alignment: number,
): PlacedTensors {
  const tensors = new Map<string, StoredTensor>();
  const unsupported = new Map<string, UnsupportedTensor>();
  for (const info of infos) {
    const { name, rows, cols, type } = info;
    if (tensors.has(name) || unsupported.has(name)) {
      throw cursor.error(`the tensor ${quoted(name)} appears twice`);
    }
    if (info.offset % alignment !== 0) {
      throw cursor.error(`tensor "${name}" starts at offset ${info.offset}, not a multiple of ${alignment}`);
    }
    const entry = entryOf(cursor, info, dataOffset);
    if (entry) tensors.set(name, entry);
    else unsupported.set(name, { name, type: ggmlTypeName(type), rows, cols });
  }
  refuseOverlaps(cursor, [...tensors.values()]);
  return { tensors, unsupported };
}

/** A name in a message; where bytes of it were replaced, two may have become one. */
export function quoted(name: string): string {
  return name.includes("\ufffd") ? `"${name}" (with U+FFFD for bytes that are not UTF-8)` : `"${name}"`;
}

/** Undefined for types that Sluice does not read: their size is not known. */
function entryOf(cursor: ByteCursor, info: TensorInfo, dataOffset: number): StoredTensor | undefined {
  const { name, rows, cols } = info;
  const { source } = cursor;
  const dtype = dtypeOfGgml(info.type);
  if (!dtype) return undefined;
  const { blockSize } = DTYPES[dtype];
  if (cols % blockSize !== 0) {
    throw cursor.error(`tensor "${name}" has rows of ${cols} elements, but ${dtype} stores blocks of ${blockSize}`);
  }
  const bytes = rows * rowBytes(dtype, cols);
  const offset = dataOffset + info.offset;
  if (offset + bytes > source.size) {
    throw cursor.truncated(
      `tensor "${name}" (${dtype}, ${rows} x ${cols}) takes bytes ${offset} to ${offset + bytes}, ` +
        `but the file ends at ${source.size}; it seems to be truncated`,
    );
  }
  return storedTensor({ name, dtype, rows, cols, source, offset, bytes });
}

function refuseOverlaps(cursor: ByteCursor, entries: StoredTensor[]): void {
  entries.sort((a, b) => a.offset - b.offset);
  for (let i = 1; i < entries.length; i++) {
    const [before, after] = [entries[i - 1], entries[i]];
    if (before.offset + before.bytes > after.offset) {
      throw cursor.error(`the tensors "${before.name}" and "${after.name}" overlap`);
    }
  }
}
