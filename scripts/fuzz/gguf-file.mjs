// Writes GGUF as it is told, right or wrong: types, counts, lengths, dimensions and offsets may lie.

export const TYPES = {
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
};
const NAMES = Object.keys(TYPES);

/** @typedef {{ name: string, type: string, value: unknown, item?: string, count?: number | bigint }} Key `item`: of arrays */
/** @typedef {{ name: string, type: number, dims: (number | bigint)[], data: Uint8Array, offset?: number | bigint }} Tensor */

/** A value of JavaScript as a key with the type that writers use. */
export function keyOf(name, value) {
  if (typeof value === "string") return { name, type: "string", value };
  if (typeof value === "boolean") return { name, type: "bool", value };
  if (typeof value === "number") return { name, type: Number.isInteger(value) ? "u32" : "f32", value };
  const item = value instanceof Float32Array ? "f32" : typeof value[0] === "string" ? "string" : "i32";
  return { name, type: "array", item, value: [...value] };
}

/** The bytes of a file. @param {{ version: number, keys: Key[], tensors: Tensor[], alignment: number }} file */
export function ggufBytes({ version = 3, magic = 0x46554747, keys, tensors, alignment = 32, keyCount, tensorCount }) {
  const out = new Out();
  out.u32(magic);
  out.u32(version);
  out.u64(tensorCount ?? tensors.length);
  out.u64(keyCount ?? keys.length);
  for (const key of keys) {
    out.text(key.name);
    out.u32(TYPES[key.type] ?? Number(key.type));
    writeValue(out, key);
  }
  let next = 0;
  for (const { name, dims, type, offset, data } of tensors) {
    out.text(name);
    out.u32(dims.length);
    for (const dim of dims) out.u64(dim);
    out.u32(type);
    out.u64(offset ?? next);
    next += Math.ceil(data.length / alignment) * alignment;
  }
  for (const { data } of tensors) {
    out.align(alignment);
    out.bytes(data);
  }
  return out.finish();
}

function writeValue(out, { type, value, item, count }) {
  if (type !== "array") return writeScalar(out, type, value, count);
  const items = Array.isArray(value) ? value : [value];
  out.u32(TYPES[item] ?? Number(item ?? 0));
  out.u64(count ?? items.length);
  for (const each of items) {
    if (item === "array") writeValue(out, { type: "array", item: "u32", value: each });
    else writeScalar(out, item, each);
  }
}

function writeScalar(out, type, value, length) {
  switch (type) {
    case "string":
      return out.text(value instanceof Uint8Array ? value : String(value), length);
    case "bool":
    case "u8":
    case "i8":
      return out.u8(Number(value));
    case "u16":
    case "i16":
      return out.bytes(new Uint8Array(Uint16Array.of(Number(value)).buffer));
    case "f32":
      return out.bytes(new Uint8Array(Float32Array.of(Number(value)).buffer));
    case "f64":
      return out.bytes(new Uint8Array(Float64Array.of(Number(value)).buffer));
    case "u64":
    case "i64":
      return out.u64(value);
    default:
      return out.u32(Number(value));
  }
}

export function typeName(id) {
  return NAMES[id] ?? String(id);
}

class Out {
  parts = [];
  length = 0;

  bytes(bytes) {
    this.parts.push(bytes);
    this.length += bytes.length;
  }
  u8(value) {
    this.bytes(Uint8Array.of(value));
  }
  u32(value) {
    this.bytes(new Uint8Array(Uint32Array.of(value).buffer));
  }
  u64(value) {
    const whole =
      typeof value === "bigint" ? value : BigInt(Number.isFinite(Number(value)) ? Math.trunc(Number(value)) : 0);
    this.bytes(new Uint8Array(BigInt64Array.of(BigInt.asIntN(64, whole)).buffer));
  }
  text(text, length) {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    this.u64(length ?? bytes.length);
    this.bytes(bytes);
  }
  align(alignment) {
    this.bytes(new Uint8Array((alignment - (this.length % alignment)) % alignment));
  }
  finish() {
    return Uint8Array.from(Buffer.concat(this.parts));
  }
}
