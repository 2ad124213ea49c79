/**
 * Metadata values of GGUF (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): thirteen value types. Arrays of
 * small integers become Int32Array, of floats Float32Array, other arrays plain ones. No allocation by a count in the file
 * before it is known that the file has bytes for so many.
 */
import type { ByteCursor } from "./byte-cursor.js";
import type { MetadataValue } from "./checkpoint.js";

/** Real chat templates take kilobytes, embedded tokenizer.json files up to some 30 MB. */
const MAX_TEXT_BYTES = 2 ** 26;
/** In all arrays of a file; the largest vocabularies have about a million tokens and merges. */
export const MAX_ARRAY_ELEMENTS = 2 ** 25;
const MAX_ARRAY_DEPTH = 4;

const STRING = 8;
const ARRAY = 9;

interface ScalarType {
  readonly name: string;
  readonly size: number;
  read(cursor: ByteCursor): number | bigint | boolean;
  /** A typed array that holds every value of the type exactly. */
  readonly packed?: new (
    length: number,
  ) => Int32Array | Float32Array;
}

/** By the id in the file. 8 and 9 are strings and arrays. */
const SCALARS: Readonly<Record<number, ScalarType>> = {
  0: { name: "u8", size: 1, read: (c) => c.u8(), packed: Int32Array },
  1: { name: "i8", size: 1, read: (c) => c.i8(), packed: Int32Array },
  2: { name: "u16", size: 2, read: (c) => c.u16(), packed: Int32Array },
  3: { name: "i16", size: 2, read: (c) => c.i16(), packed: Int32Array },
  4: { name: "u32", size: 4, read: (c) => c.u32() },
  5: { name: "i32", size: 4, read: (c) => c.i32(), packed: Int32Array },
  6: { name: "f32", size: 4, read: (c) => c.f32(), packed: Float32Array },
  7: { name: "bool", size: 1, read: readBool },
  10: { name: "u64", size: 8, read: (c) => c.u64() },
  11: { name: "i64", size: 8, read: (c) => c.i64() },
  12: { name: "f64", size: 8, read: (c) => c.f64() },
};

/** Elements that arrays may still take. */
export interface ElementBudget {
  left: number;
}

/** One value, with its type before it. `what` names it in errors. @throws FormatError */
export async function readValue(cursor: ByteCursor, what: string, budget: ElementBudget): Promise<MetadataValue> {
  await cursor.fill(4, `the type of ${what}`);
  return readTyped(cursor, readType(cursor, what), what, budget, 0);
}

function readType(cursor: ByteCursor, what: string): number {
  const start = cursor.position;
  const type = cursor.u32();
  if (type === STRING || type === ARRAY || Object.hasOwn(SCALARS, type)) return type;
  throw cursor.error(`${what} has the unknown value type ${type} (known are 0 to 12)`, start);
}

async function readTyped(
  cursor: ByteCursor,
  type: number,
  what: string,
  budget: ElementBudget,
  depth: number,
): Promise<MetadataValue> {
  if (type === STRING) return cursor.text(what, MAX_TEXT_BYTES);
  if (type === ARRAY) return readArray(cursor, what, budget, depth);
  const scalar = SCALARS[type];
  await cursor.fill(scalar.size, what);
  return scalar.read(cursor);
}

async function readArray(
  cursor: ByteCursor,
  what: string,
  budget: ElementBudget,
  depth: number,
): Promise<MetadataValue> {
  if (depth >= MAX_ARRAY_DEPTH) throw cursor.error(`${what} nests arrays more than ${MAX_ARRAY_DEPTH} deep`);
  await cursor.fill(12, `the array header of ${what}`);
  const type = readType(cursor, `the elements of ${what}`);
  // The least that an element takes: a string its length, an array its type and length.
  const least = type === STRING ? 8 : type === ARRAY ? 12 : SCALARS[type].size;
  const most = Math.min(budget.left, Math.floor((cursor.remaining - 8) / least));
  const count = await cursor.count(`the number of elements of ${what}`, most);
  budget.left -= count;
  if (type === STRING) return readTexts(cursor, count, what);
  if (type !== ARRAY) return readScalars(cursor, SCALARS[type], count, what);
  const nested: MetadataValue[] = [];
  for (let i = 0; i < count; i++) nested.push(await readArray(cursor, `${what}[${i}]`, budget, depth + 1));
  return nested;
}

async function readTexts(cursor: ByteCursor, count: number, what: string): Promise<string[]> {
  const texts: string[] = [];
  for (let i = 0; i < count; i++) {
    // Almost every string is in the window: no await for each of a vocabulary's tokens.
    texts.push(cursor.bufferedText() ?? (await cursor.text(`${what}[${i}]`, MAX_TEXT_BYTES)));
  }
  return texts;
}

async function readScalars(
  cursor: ByteCursor,
  type: ScalarType,
  count: number,
  what: string,
): Promise<MetadataValue[] | Int32Array | Float32Array> {
  const packed = type.packed && new type.packed(count);
  const plain: MetadataValue[] = [];
  for (let i = 0; i < count; i++) {
    if (cursor.buffered < type.size) await cursor.fill(type.size, `${what}[${i}]`);
    const value = type.read(cursor);
    if (packed) packed[i] = Number(value);
    else plain.push(value);
  }
  return packed ?? plain;
}

function readBool(cursor: ByteCursor): boolean {
  const value = cursor.u8();
  if (value > 1) throw cursor.error(`a boolean is 0 or 1, found ${value}`, cursor.position - 1);
  return value === 1;
}
