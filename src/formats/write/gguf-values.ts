/**
 * Metadata values as GGUF stores them (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). Readers such as llama.cpp
 * ask for the exact type of a key, which a number of JavaScript does not have: whole numbers are u32 (below 0 i32, beyond
 * 32 bits u64 or i64) and others f32, but keys that hold a real number are f32 also where it happens to be whole.
 */
import { ArgumentError } from "../../util/errors.js";
import type { MetadataValue } from "../checkpoint.js";
import type { ByteWriter } from "./byte-writer.js";

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

/** What may be written: a value, whose type follows from it and its key, or one with its type. */
export type GgufValue = MetadataValue | TypedValue | TypedArrayValue;

/** Ends of keys whose numbers are real, of any architecture. */
const REAL_KEYS =
  /\.(layer_norm(_rms)?_epsilon|group_norm_epsilon|freq_base(_swa)?|rope\.scale_linear|rope\.scaling\.(factor|attn_factor|low_freq_factor|high_freq_factor|yarn_\w+)|attention\.scale|max_alibi_bias|clamp_kqv|\w+_softcapping|(logit|residual|embedding|expert_weights)_scale|decoder_norm_scale)$/;

/** Writes a value behind its type. `key` names it, in errors too. @throws ArgumentError for what GGUF cannot hold */
export function writeValue(writer: ByteWriter, key: string, value: GgufValue): void {
  if (typeof value === "object" && "type" in value) {
    writer.u32(TYPE_IDS[value.type]);
    WRITERS[value.type](writer, value.value);
    return;
  }
  if (typeof value !== "object") {
    const type = scalarType(key, value);
    writer.u32(TYPE_IDS[type]);
    WRITERS[type](writer, value);
    return;
  }
  writer.u32(TYPE_IDS.array);
  writeArray(writer, key, value);
}

export function writeText(writer: ByteWriter, text: string): void {
  const bytes = new TextEncoder().encode(text);
  writer.u64(bytes.length);
  writer.raw(bytes);
}

function scalarType(key: string, value: string | number | bigint | boolean): GgufScalarType {
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number" && (REAL_KEYS.test(key) || !Number.isSafeInteger(value))) return "f32";
  if (value < -(2n ** 63n) || value >= 2n ** 64n) {
    throw new ArgumentError(`"${key}" is ${value}, which does not fit into the 64 bits of GGUF.`, { key });
  }
  if (value < 0) return value >= -(2 ** 31) ? "i32" : "i64";
  return value < 2 ** 32 ? "u32" : "u64";
}

/** Elements behind their type and their number. */
function writeArray(
  writer: ByteWriter,
  key: string,
  value: TypedArrayValue | readonly MetadataValue[] | Int32Array | Float32Array,
): void {
  if (isNested(value)) {
    writer.u32(TYPE_IDS.array);
    writer.u64(value.length);
    for (const inner of value) writeArray(writer, key, inner);
    return;
  }
  const { elements, values } = typedArray(key, value);
  writer.u32(TYPE_IDS[elements]);
  writer.u64(values.length);
  for (const element of Array.from(values)) WRITERS[elements](writer, element);
}

type Scalar = string | number | bigint | boolean;
type Nested = readonly (readonly MetadataValue[] | Int32Array | Float32Array)[];

function isNested(value: object): value is Nested {
  return Array.isArray(value) && value.length > 0 && value.every((inner) => typeof inner === "object");
}

function typedArray(
  key: string,
  value: TypedArrayValue | readonly MetadataValue[] | Int32Array | Float32Array,
): { readonly elements: GgufScalarType; readonly values: ArrayLike<unknown> } {
  if ("elements" in value) return value;
  if (value instanceof Int32Array) return { elements: "i32", values: value };
  if (value instanceof Float32Array) return { elements: "f32", values: value };
  const scalars = value.filter((element): element is Scalar => typeof element !== "object");
  const types = new Set(scalars.map((element) => scalarType(key, element)));
  const elements = scalars.length === value.length ? commonType(types) : undefined;
  if (elements) return { elements, values: value };
  throw new ArgumentError(`"${key}" is a list of values of different types, which GGUF does not have.`, { key });
}

/** The type that holds all of these; an empty list is one of strings, as vocabularies without merges have it. */
function commonType(types: ReadonlySet<GgufScalarType>): GgufScalarType | undefined {
  if (types.size === 0) return "string";
  const [first] = types;
  if (types.size === 1) return first;
  const all = [...types];
  if (all.every((type) => ["u32", "i32", "u64", "i64"].includes(type)))
    return types.has("u64") && !types.has("i32") && !types.has("i64") ? "u64" : "i64";
  return all.every((type) => type === "f32" || type === "u32" || type === "i32") ? "f32" : undefined;
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
