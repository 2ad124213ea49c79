/**
 * Writes a GGUF v3 file as a stream: header, metadata, tensor table, then each tensor's bytes in chunks from a generator,
 * so that a file of any size takes a few megabytes. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { closeSync, openSync, renameSync, writeSync } from "node:fs";

const ALIGNMENT = 32;
/** Ids of the metadata types that a model needs. */
const TYPE_IDS = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 };

/** Little-endian bytes of a header that grows as it is written. */
class HeaderBytes {
  #parts = [];
  length = 0;

  bytes(part) {
    this.#parts.push(part);
    this.length += part.length;
  }

  u32(value) {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    this.bytes(part);
  }

  u64(value) {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(BigInt(value));
    this.bytes(part);
  }

  f32(value) {
    const part = Buffer.alloc(4);
    part.writeFloatLE(value);
    this.bytes(part);
  }

  string(text) {
    const part = Buffer.from(text, "utf8");
    this.u64(part.length);
    this.bytes(part);
  }

  value(type, value) {
    if (type === "string") return this.string(value);
    if (type === "f32") return this.f32(value);
    if (type === "bool") return this.bytes(Buffer.from([value ? 1 : 0]));
    if (type === "u32" || type === "i32") return this.u32(value);
    throw new Error(`unknown GGUF metadata type '${type}'`);
  }

  pad(to) {
    this.bytes(Buffer.alloc(padding(this.length, to)));
  }

  whole() {
    return Buffer.concat(this.#parts);
  }
}

function padding(length, to) {
  return (to - (length % to)) % to;
}

/**
 * @param {string} path written under a temporary name first, so that the file is whole when it is there
 * @param {[key: string, type: string, value: unknown][]} metadata type `x[]` is an array of x
 * @param {{name: string, shape: number[], ggmlType: number, byteLength: number, chunks: () => Iterable<Uint8Array>}[]}
 *   tensors shape in GGUF's order: columns first
 */
export function writeGguf(path, metadata, tensors) {
  const header = new HeaderBytes();
  header.bytes(Buffer.from("GGUF"));
  header.u32(3);
  header.u64(tensors.length);
  header.u64(metadata.length);
  for (const [key, type, value] of metadata) {
    header.string(key);
    const element = type.endsWith("[]") ? type.slice(0, -2) : undefined;
    header.u32(TYPE_IDS[element ? "array" : type]);
    if (!element) {
      header.value(type, value);
      continue;
    }
    header.u32(TYPE_IDS[element]);
    header.u64(value.length);
    for (const one of value) header.value(element, one);
  }
  let offset = 0;
  for (const { name, shape, ggmlType, byteLength } of tensors) {
    header.string(name);
    header.u32(shape.length);
    for (const size of shape) header.u64(size);
    header.u32(ggmlType);
    header.u64(offset);
    offset += byteLength + padding(byteLength, ALIGNMENT);
  }
  header.pad(ALIGNMENT);
  writeWhole(path, header.whole(), tensors);
}

function writeWhole(path, header, tensors) {
  const partial = `${path}.partial`;
  const file = openSync(partial, "w");
  try {
    writeSync(file, header);
    for (const { name, byteLength, chunks } of tensors) {
      let written = 0;
      for (const chunk of chunks()) written += writeSync(file, chunk);
      if (written !== byteLength) throw new Error(`${name}: wrote ${written} bytes of ${byteLength}`);
      writeSync(file, Buffer.alloc(padding(byteLength, ALIGNMENT)));
    }
  } finally {
    closeSync(file);
  }
  renameSync(partial, path);
}
