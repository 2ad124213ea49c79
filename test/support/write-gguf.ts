/**
 * Writes GGUF files for tests and benchmarks, valid by default; options and raw parts allow for the broken ones that
 * readers must refuse.
 */
import { quantiseRow } from "../../src/quant/index.js";
import { DTYPES, type DType, rowBytes } from "../../src/tensor/dtype.js";
import { ByteWriter } from "./byte-writer.js";

const TYPE_IDS = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;

export type GgufScalarType = Exclude<keyof typeof TYPE_IDS, "array">;

/** A value with its type spelled out. */
export interface TypedValue {
  readonly type: GgufScalarType;
  readonly value: unknown;
}
export interface TypedArrayValue {
  readonly elements: GgufScalarType;
  readonly values: readonly unknown[];
}

/** Plain values get the type that real files give them: u32, i32 below 0, f32 for fractions, bool, string. */
export type GgufValue =
  | string
  | number
  | boolean
  | readonly string[]
  | Int32Array
  | Float32Array
  | TypedValue
  | TypedArrayValue;

export interface GgufTensorSpec {
  readonly name: string;
  readonly dtype: DType;
  /** Vectors have one row and are written with one dimension. */
  readonly rows: number;
  readonly cols: number;
  /** [rows, cols], quantised here; or the stored bytes. */
  readonly values: Float32Array | Uint8Array;
}

export interface GgufSpec {
  readonly metadata?: Readonly<Record<string, GgufValue>>;
  readonly tensors?: readonly GgufTensorSpec[];
  readonly version?: number;
  /** Written as general.alignment when given; default 32. */
  readonly alignment?: number;
  /** Called where each part starts, to find the sections of a file. */
  readonly onSection?: (name: string, offset: number) => void;
}

/** The bytes of a whole file. */
export function writeGguf(spec: GgufSpec): Uint8Array<ArrayBuffer> {
  const { tensors = [], version = 3, alignment, onSection = () => {} } = spec;
  const metadata = { ...spec.metadata, ...(alignment !== undefined && { "general.alignment": alignment }) };
  const writer = new ByteWriter();
  const section = (name: string) => onSection(name, writer.position);
  section("magic");
  writer.raw(new TextEncoder().encode("GGUF"));
  section("version");
  writer.u32(version);
  section("tensor count");
  writer.u64(tensors.length);
  section("key count");
  writer.u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    section(`key ${key}`);
    writeText(writer, key);
    section(`value ${key}`);
    writeValue(writer, value);
  }
  const stored = tensors.map((tensor) => ({ tensor, bytes: tensorBytes(tensor) }));
  let offset = 0;
  for (const { tensor, bytes } of stored) {
    section(`tensor ${tensor.name}`);
    writeTensorInfo(writer, tensor, offset);
    offset += Math.ceil(bytes.length / (alignment ?? 32)) * (alignment ?? 32);
  }
  for (const { tensor, bytes } of stored) {
    writer.align(alignment ?? 32);
    section(`data ${tensor.name}`);
    writer.raw(bytes);
  }
  section("end");
  return writer.finish();
}

function writeTensorInfo(writer: ByteWriter, tensor: GgufTensorSpec, offset: number): void {
  writeText(writer, tensor.name);
  const dims = tensor.rows === 1 ? [tensor.cols] : [tensor.cols, tensor.rows];
  writer.u32(dims.length);
  for (const dim of dims) writer.u64(dim);
  writer.u32(DTYPES[tensor.dtype].ggml);
  writer.u64(offset);
}

function tensorBytes({ name, dtype, rows, cols, values }: GgufTensorSpec): Uint8Array {
  if (values instanceof Uint8Array) return values;
  if (values.length !== rows * cols) throw new Error(`${name}: ${values.length} values for ${rows} x ${cols}`);
  const stride = rowBytes(dtype, cols);
  const bytes = new Uint8Array(rows * stride);
  for (let row = 0; row < rows; row++) {
    quantiseRow(dtype, values.subarray(row * cols, (row + 1) * cols), bytes, row * stride, cols);
  }
  return bytes;
}

export function writeText(writer: ByteWriter, text: string): void {
  const bytes = new TextEncoder().encode(text);
  writer.u64(bytes.length);
  writer.raw(bytes);
}

function writeValue(writer: ByteWriter, value: GgufValue): void {
  const array = arrayOf(value);
  if (array) {
    writer.u32(TYPE_IDS.array);
    writer.u32(TYPE_IDS[array.elements]);
    writer.u64(array.values.length);
    for (const element of array.values) WRITERS[array.elements](writer, element);
    return;
  }
  const typed = isTyped(value) ? value : { type: plainType(value), value };
  writer.u32(TYPE_IDS[typed.type]);
  WRITERS[typed.type](writer, typed.value);
}

function arrayOf(value: GgufValue): TypedArrayValue | undefined {
  if (value instanceof Int32Array) return { elements: "i32", values: [...value] };
  if (value instanceof Float32Array) return { elements: "f32", values: [...value] };
  if (isTexts(value)) return { elements: "string", values: value };
  return typeof value === "object" && "elements" in value ? value : undefined;
}

function isTexts(value: GgufValue): value is readonly string[] {
  return Array.isArray(value);
}

function isTyped(value: GgufValue): value is TypedValue {
  return typeof value === "object" && "type" in value;
}

function plainType(value: unknown): GgufScalarType {
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (!Number.isInteger(value)) return "f32";
  return Number(value) < 0 ? "i32" : "u32";
}

const WRITERS: Readonly<Record<GgufScalarType, (writer: ByteWriter, value: unknown) => void>> = {
  u8: (writer, value) => writer.u8(Number(value)),
  i8: (writer, value) => writer.u8(Number(value)),
  u16: (writer, value) => writer.u16(Number(value)),
  i16: (writer, value) => writer.u16(Number(value)),
  u32: (writer, value) => writer.u32(Number(value)),
  i32: (writer, value) => writer.u32(Number(value)),
  f32: (writer, value) => writer.f32(Number(value)),
  bool: (writer, value) => writer.u8(value ? 1 : 0),
  string: (writer, value) => writeText(writer, String(value)),
  u64: (writer, value) => writer.u64(typeof value === "bigint" ? value : Number(value)),
  i64: (writer, value) => writer.u64(typeof value === "bigint" ? value : Number(value)),
  f64: (writer, value) => writer.f64(Number(value)),
};
