/** A small valid GGUF file with every kind of value, and where its sections begin. */
import { type GgufSpec, writeGguf } from "../support/write-gguf.js";

export const SAMPLE: GgufSpec = {
  metadata: {
    "general.architecture": "llama",
    "a.u8": { type: "u8", value: 200 },
    "a.i8": { type: "i8", value: -100 },
    "a.u16": { type: "u16", value: 60000 },
    "a.i16": { type: "i16", value: -30000 },
    "a.u32": { type: "u32", value: 4000000000 },
    "a.i32": { type: "i32", value: -2000000000 },
    "a.f32": { type: "f32", value: 0.5 },
    "a.bool": { type: "bool", value: true },
    "a.string": "grüße \u{1f600}",
    "a.u64": { type: "u64", value: 2 ** 40 },
    "a.u64.big": { type: "u64", value: 2n ** 63n },
    "a.i64": { type: "i64", value: -5 },
    "a.i64.big": { type: "i64", value: -(2n ** 62n) },
    "a.f64": { type: "f64", value: 0.1 },
    "b.i32": Int32Array.of(1, -2, 3),
    "b.f32": Float32Array.of(0.25, -1),
    "b.u8": { elements: "u8", values: [1, 255] },
    "b.u32": { elements: "u32", values: [4000000000, 1] },
    "b.u64": { elements: "u64", values: [7, 2n ** 60n + 1n] },
    "b.bool": { elements: "bool", values: [true, false] },
    "b.string": ["", "a", "\ufeffbom", "日本"],
    "b.empty": { elements: "f64", values: [] },
  },
  tensors: [
    { name: "v", dtype: "f32", rows: 1, cols: 3, values: Float32Array.of(1, 2, 3) },
    { name: "m.weight", dtype: "q8_0", rows: 2, cols: 64, values: Float32Array.from({ length: 128 }, (_, i) => i / 7) },
    { name: "h", dtype: "f16", rows: 3, cols: 5, values: Float32Array.from({ length: 15 }, (_, i) => -i) },
  ],
};

export interface Sections {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly starts: ReadonlyMap<string, number>;
}

/** The file and the offset at which each section starts. */
export function withSections(spec: GgufSpec): Sections {
  const starts = new Map<string, number>();
  const bytes = writeGguf({ ...spec, onSection: (name, offset) => starts.set(name, offset) });
  return { bytes, starts };
}

/** A copy with other bytes from `offset` on. */
export function patched(bytes: Uint8Array, offset: number, patch: ArrayLike<number>): Uint8Array {
  const copy = bytes.slice();
  copy.set(patch, offset);
  return copy;
}

export function u64(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}
