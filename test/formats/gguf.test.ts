/** What the GGUF reader gives for good files. */
import { describe, expect, test } from "vitest";
import { readGguf } from "../../src/formats/gguf.js";
import { dequantiseRow } from "../../src/quant/index.js";
import { MemoryFiles } from "../support/memory-files.js";
import { writeGguf } from "../support/write-gguf.js";
import { SAMPLE } from "./sample-gguf.js";

async function read(bytes: Uint8Array) {
  return readGguf(await new MemoryFiles({ file: bytes }).open("file"));
}

describe.each([2, 3])("GGUF version %i", (version) => {
  test("metadata of every type", async () => {
    const file = await read(writeGguf({ ...SAMPLE, version }));
    expect(file.version).toBe(version);
    expect(Object.fromEntries(file.metadata)).toEqual({
      "general.architecture": "llama",
      "a.u8": 200,
      "a.i8": -100,
      "a.u16": 60000,
      "a.i16": -30000,
      "a.u32": 4000000000,
      "a.i32": -2000000000,
      "a.f32": 0.5,
      "a.bool": true,
      "a.string": "grüße \u{1f600}",
      "a.u64": 2 ** 40,
      "a.u64.big": 2n ** 63n,
      "a.i64": -5,
      "a.i64.big": -(2n ** 62n),
      "a.f64": 0.1,
      "b.i32": Int32Array.of(1, -2, 3),
      "b.f32": Float32Array.of(0.25, -1),
      "b.u8": Int32Array.of(1, 255),
      "b.u32": [4000000000, 1],
      "b.u64": [7, 2n ** 60n + 1n],
      "b.bool": [true, false],
      "b.string": ["", "a", "\ufeffbom", "日本"],
      "b.empty": [],
    });
  });

  test.each([undefined, 1, 64, 4096])("tensors and their bytes, alignment %s", async (alignment) => {
    const bytes = writeGguf({ ...SAMPLE, version, ...(alignment && { alignment }) });
    const { tensors, dataOffset, unsupported } = await read(bytes);
    expect(unsupported.size).toBe(0);
    expect(dataOffset % (alignment ?? 32)).toBe(0);
    const shapes = [...tensors.values()].map(({ name, dtype, rows, cols, bytes: size }) => [
      name,
      dtype,
      rows,
      cols,
      size,
    ]);
    expect(shapes).toEqual([
      ["v", "f32", 1, 3, 12],
      ["m.weight", "q8_0", 2, 64, 136],
      ["h", "f16", 3, 5, 30],
    ]);
    const values = [...tensors.values()].map(({ dtype, cols, rows, offset, source, bytes: size }) => {
      expect(source.size).toBe(bytes.length);
      const out = new Float32Array(cols);
      // The last row.
      dequantiseRow(dtype, bytes, offset + ((rows - 1) * size) / rows, cols, out);
      return out[cols - 1];
    });
    expect(values[0]).toBe(3);
    expect(values[1]).toBeCloseTo(127 / 7, 1);
    expect(values[2]).toBe(-14);
  });
});

test("three and four dimensions are flattened into rows", async () => {
  const bytes = writeGguf({
    tensors: [{ name: "t", dtype: "f32", rows: 6, cols: 4, values: new Float32Array(24) }],
  });
  // name length 8 + "t" + rank: the two dimensions become [4, 2, 3] by hand.
  const at = 24;
  const view = new DataView(bytes.buffer);
  expect(view.getUint32(at + 9, true)).toBe(2);
  const wide = new Uint8Array(bytes.length + 8);
  wide.set(bytes.subarray(0, at + 13 + 16));
  const out = new DataView(wide.buffer);
  out.setUint32(at + 9, 3, true);
  out.setBigUint64(at + 13, 4n, true);
  out.setBigUint64(at + 21, 2n, true);
  out.setBigUint64(at + 29, 3n, true);
  const file = await read(
    new Uint8Array([...wide.subarray(0, at + 37), ...new Uint8Array(12), ...new Uint8Array(120)]),
  );
  expect(file.tensors.get("t")).toMatchObject({ rows: 6, cols: 4, bytes: 96 });
});

test("a vocabulary of 128k tokens is read once, in few reads, whatever the window's edges cut", async () => {
  const tokens = Array.from({ length: 128 * 1024 }, (_, i) => `token ${i} ${"é".repeat(i % 40)}`);
  const scores = Float32Array.from(tokens, (_, i) => -i);
  const types = Int32Array.from(tokens, (_, i) => i % 7);
  const bytes = writeGguf({
    metadata: { "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.scores": scores, "tokenizer.ggml.token_type": types },
  });
  const files = new MemoryFiles({ file: bytes });
  const file = await readGguf(await files.open("file"));
  expect(file.metadata.get("tokenizer.ggml.tokens")).toEqual(tokens);
  expect(file.metadata.get("tokenizer.ggml.scores")).toEqual(scores);
  expect(file.metadata.get("tokenizer.ggml.token_type")).toEqual(types);
  expect(files.bytesRead).toBeLessThan(bytes.length + 100);
});

test("reads no more of a large file than its header takes", async () => {
  const values = new Float32Array(4 * 1024 * 1024);
  const files = new MemoryFiles({
    file: writeGguf({ tensors: [{ name: "big", dtype: "f32", rows: 4096, cols: 1024, values }] }),
  });
  await readGguf(await files.open("file"));
  expect(files.bytesRead).toBeLessThan(128 * 1024);
});
