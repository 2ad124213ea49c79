/** Writes safetensors files for tests. */

import { ByteWriter } from "../../src/formats/write/byte-writer.js";
import { BLOCK_FORMATS } from "../../src/quant/index.js";
import { rowBytes } from "../../src/tensor/dtype.js";

const TYPES = { F32: "f32", F16: "f16", BF16: "bf16" } as const;

export interface SafetensorsTensorSpec {
  readonly name: string;
  /** U8: the values are bytes. */
  readonly dtype: keyof typeof TYPES | "U8";
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** The bytes of a whole file. */
export function writeSafetensors(
  tensors: readonly SafetensorsTensorSpec[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  const parts: Uint8Array[] = [];
  let start = 0;
  for (const { name, dtype, shape, values } of tensors) {
    const bytes = stored(dtype, values);
    header[name] = { dtype, shape, data_offsets: [start, start + bytes.length] };
    start += bytes.length;
    parts.push(bytes);
  }
  return writeSafetensorsRaw(JSON.stringify(header), parts);
}

function stored(dtype: SafetensorsTensorSpec["dtype"], values: Float32Array): Uint8Array {
  if (dtype === "U8") return Uint8Array.from(values);
  const bytes = new Uint8Array(rowBytes(TYPES[dtype], values.length));
  BLOCK_FORMATS[TYPES[dtype]].quantise(values, bytes, 0, values.length);
  return bytes;
}

/** A file with this header text, true or not, and these data bytes. */
export function writeSafetensorsRaw(header: string, data: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  const text = new TextEncoder().encode(header);
  writer.u64(text.length);
  writer.raw(text);
  for (const bytes of data) writer.raw(bytes);
  return writer.finish();
}
