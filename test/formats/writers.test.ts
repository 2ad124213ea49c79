/** What the writers make is what the readers read: values with their types, tensors, alignment, sizes. */
import { describe, expect, test } from "vitest";
import { readGguf } from "../../src/formats/gguf.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { type GgufToWrite, ggufFile, type StreamedFile } from "../../src/formats/write/gguf-writer.js";
import { safetensorsFile } from "../../src/formats/write/safetensors-writer.js";
import type { TensorToWrite } from "../../src/formats/write/stored-rows.js";
import { dequantiseRow } from "../../src/quant/index.js";
import { DTYPES, type DType } from "../../src/tensor/dtype.js";
import { ArgumentError } from "../../src/util/errors.js";
import { MemoryFiles } from "../support/memory-files.js";
import { stored } from "../support/stored.js";

/** The whole file. Each chunk is spoilt after it was taken, as it may be used anew. */
async function whole(file: StreamedFile): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of file.chunks()) parts.push(chunk.slice());
  return Buffer.concat(parts);
}

function tensor(name: string, dtype: DType, rows: number, cols: number): TensorToWrite & { values: Float32Array } {
  const values = Float32Array.from({ length: rows * cols }, (_, i) => Math.sin(i + name.length));
  return { name, dtype, rows, cols, values, read: () => values };
}

async function gguf(file: GgufToWrite) {
  const streamed = ggufFile(file);
  const bytes = await whole(streamed);
  expect(bytes.length).toBe(streamed.bytes);
  return { bytes, file: await readGguf(await new MemoryFiles({ file: bytes }).open("file")) };
}

/** The id of the type that stands behind a key in the file. */
function typeIdOf(bytes: Uint8Array, key: string): number {
  const at = Buffer.from(bytes).indexOf(key);
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + key.length, true);
}

describe("GGUF", () => {
  test("keys come back in order", async () => {
    const metadata = new Map<string, GgufToWrite["metadata"] extends Iterable<readonly [string, infer V]> ? V : never>([
      ["general.architecture", "llama"],
      ["z.first", "grüße \u{1f600}"],
      ["a.u32", 2 ** 32 - 1],
      ["a.u64", 2 ** 40],
      ["a.i32", -5],
      ["a.i64", -(2 ** 40)],
      ["a.big", 2n ** 63n],
      ["a.f32", 0.5],
      ["a.bool", true],
      ["b.i32", Int32Array.of(1, -2)],
      ["b.f32", Float32Array.of(0.25, -1)],
      ["b.u32", [1, 2 ** 32 - 1]],
      ["b.i64", [-(2 ** 40), 1]],
      ["b.reals", [1, 0.5]],
      ["b.texts", ["", "日本"]],
      ["b.flags", [true, false]],
      ["b.empty", []],
      ["b.nested", [Int32Array.of(1), ["x"]]],
      ["c.typed", { type: "u8", value: 200 }],
      ["c.list", { elements: "i16", values: [-3, 4] }],
    ]);
    const { file } = await gguf({ metadata, tensors: [] });
    const plain = new Map<string, unknown>(metadata);
    plain.set("c.typed", 200).set("c.list", Int32Array.of(-3, 4)).set("b.reals", Float32Array.of(1, 0.5));
    expect([...file.metadata]).toEqual([...plain]);
  });

  test("keys of real numbers are f32 even where the number is whole", async () => {
    const keys: [string, number, number][] = [
      ["llama.rope.freq_base", 10000, 6],
      ["llama.rope.scaling.factor", 4, 6],
      ["llama.attention.layer_norm_rms_epsilon", 1e-5, 6],
      ["mpt.attention.max_alibi_bias", 8, 6],
      ["gemma2.attn_logit_softcapping", 50, 6],
      ["llama.rope.dimension_count", 64, 4],
      ["llama.context_length", 2048, 4],
      ["llama.rope.scaling.original_context_length", 2048, 4],
    ];
    const { bytes } = await gguf({ metadata: keys.map(([key, value]) => [key, value] as const), tensors: [] });
    expect(keys.map(([key]) => typeIdOf(bytes, key))).toEqual(keys.map(([, , type]) => type));
  });

  test.each(Object.keys(DTYPES) as DType[])("tensors of %s, at multiples of 32", async (dtype) => {
    // The usual ones also in several chunks.
    const rows = dtype === "f16" || dtype === "q4_0" ? 1000 : 3;
    const tensors = [tensor("odd", "f32", 1, 3), tensor("large", dtype, rows, 512), tensor("last", "f16", 3, 5)];
    const { file, bytes } = await gguf({ metadata: [["general.architecture", "x"]], tensors });
    expect([...file.tensors.keys()]).toEqual(["odd", "large", "last"]);
    expect(file.dataOffset % 32).toBe(0);
    for (const { name, rows, cols, values, dtype: type } of tensors) {
      const found = file.tensors.get(name);
      if (!found) throw new Error(`${name} is missing`);
      expect(found).toMatchObject({ dtype: type, rows, cols });
      expect((found.offset - file.dataOffset) % 32).toBe(0);
      for (const row of [0, rows - 1]) {
        const out = new Float32Array(cols);
        dequantiseRow(type, bytes, found.offset + (row * found.bytes) / rows, cols, out);
        expect(out).toEqual(stored(type, values.subarray(row * cols, (row + 1) * cols)));
      }
    }
  });

  test("tensors are read one at a time, when their turn comes", async () => {
    const log: string[] = [];
    const tensors = ["a", "b"].map((name) => ({
      ...tensor(name, "f32", 2, 16),
      read: async () => {
        log.push(name);
        return new Float32Array(32);
      },
    }));
    for await (const chunk of ggufFile({ metadata: [], tensors }).chunks()) log.push(String(chunk.length));
    expect(log).toEqual([String(ggufFile({ metadata: [], tensors }).bytes - 256), "a", "128", "b", "128"]);
  });

  test.each<[string, GgufToWrite]>([
    [
      "a key twice",
      {
        metadata: [
          ["a", 1],
          ["a", 2],
        ],
        tensors: [],
      },
    ],
    ["a tensor twice", { metadata: [], tensors: [tensor("a", "f32", 1, 1), tensor("a", "f32", 1, 1)] }],
    ["mixed lists", { metadata: [["a", [1, "x"]]], tensors: [] }],
    ["numbers beyond 64 bits", { metadata: [["a", 2n ** 64n]], tensors: [] }],
    ["an alignment", { metadata: [["general.alignment", 64]], tensors: [] }],
    ["rows of parts of blocks", { metadata: [], tensors: [tensor("a", "q8_0", 2, 48)] }],
    ["a shape of another size", { metadata: [], tensors: [{ ...tensor("a", "f32", 2, 4), shape: [3, 3] }] }],
    ["a name that is too long", { metadata: [], tensors: [tensor("a".repeat(64), "f32", 1, 1)] }],
  ])("refuses %s", (_, file) => {
    expect(() => ggufFile(file)).toThrow(ArgumentError);
  });

  test("refuses a tensor that gives another number of elements", async () => {
    const short = { ...tensor("a", "f32", 2, 4), read: () => new Float32Array(7) };
    await expect(whole(ggufFile({ metadata: [], tensors: [short] }))).rejects.toThrow(/7 elements, expected 2 x 4/);
  });
});

describe("safetensors", () => {
  test("tensors come back, wide ones first, each aligned to its elements", async () => {
    const shaped = { ...tensor("conv", "f32", 4, 3), shape: [4, 1, 3] };
    const tensors = [tensor("halves", "f16", 3, 5), tensor("7", "f32", 1, 3), shaped, tensor("b", "bf16", 2, 2)];
    const streamed = safetensorsFile({ tensors, metadata: { format: "pt", note: '"ü"' } });
    const bytes = await whole(streamed);
    expect(bytes.length).toBe(streamed.bytes);
    const file = await readSafetensors(await new MemoryFiles({ file: bytes }).open("file"));
    expect([...file.tensors.keys()].sort()).toEqual(["7", "b", "conv", "halves"]);
    expect(file.tensors.get("conv")?.shape).toEqual([4, 1, 3]);
    for (const { name, dtype, rows, cols, values } of tensors) {
      const found = file.tensors.get(name);
      if (!found) throw new Error(`${name} is missing`);
      expect(found).toMatchObject({ dtype, rows, cols });
      expect(found.offset % DTYPES[dtype].blockBytes).toBe(0);
      const out = new Float32Array(rows * cols);
      dequantiseRow(dtype, bytes, found.offset, out.length, out);
      expect(out).toEqual(stored(dtype, values));
    }
    const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    expect(length % 8).toBe(0);
    const header = JSON.parse(Buffer.from(bytes.subarray(8, 8 + length)).toString());
    expect(header.__metadata__).toEqual({ format: "pt", note: '"ü"' });
  });

  test("refuses quantised types and names that appear twice", () => {
    expect(() => safetensorsFile({ tensors: [tensor("a", "q8_0", 1, 32)] })).toThrow(ArgumentError);
    const twice = [tensor("a", "f32", 1, 1), tensor("a", "f16", 1, 1)];
    expect(() => safetensorsFile({ tensors: twice })).toThrow(ArgumentError);
    expect(() => safetensorsFile({ tensors: [tensor("__metadata__", "f32", 1, 1)] })).toThrow(ArgumentError);
  });
});
