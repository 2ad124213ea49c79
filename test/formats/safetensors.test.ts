/** Safetensors headers: what is read, and every kind of bad one refused with a typed error. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { FormatError, SluiceError } from "../../src/util/errors.js";
import { MemoryFiles } from "../support/memory-files.js";
import { writeSafetensors, writeSafetensorsRaw } from "../support/write-safetensors.js";
import { patched, u64 } from "./sample-gguf.js";
import { TENSORS } from "./sample-hf.js";

async function read(bytes: Uint8Array) {
  return readSafetensors(await new MemoryFiles({ "m.safetensors": bytes }).open("m.safetensors"));
}

const good = writeSafetensors(TENSORS, { format: "pt" });
const headerEnd = 8 + Number(new DataView(good.buffer).getBigUint64(0, true));

test("names, types, shapes and places", async () => {
  const { tensors, unsupported } = await read(good);
  expect(unsupported.size).toBe(0);
  expect([...tensors.keys()]).toEqual(TENSORS.map(({ name }) => name));
  expect(tensors.get("model.layers.0.self_attn.k_proj.weight")).toMatchObject({
    dtype: "bf16",
    rows: 4,
    cols: 8,
    bytes: 64,
  });
  expect(tensors.get("model.norm.weight")).toMatchObject({ dtype: "f32", rows: 1, cols: 8, bytes: 32 });
  const last = tensors.get("lm_head.weight");
  expect(last && last.offset + last.bytes).toBe(good.length);
});

test("scalars, empty tensors, high ranks, blanks after the JSON", async () => {
  const header = {
    scalar: { dtype: "F32", shape: [], data_offsets: [0, 4] },
    empty: { dtype: "F32", shape: [0, 3], data_offsets: [4, 4] },
    wide: { dtype: "F16", shape: [2, 3, 4], data_offsets: [4, 52] },
  };
  const { tensors } = await read(writeSafetensorsRaw(`${JSON.stringify(header)}   `, [new Uint8Array(52)]));
  expect(tensors.get("scalar")).toMatchObject({ rows: 1, cols: 1, bytes: 4 });
  expect(tensors.get("empty")).toMatchObject({ rows: 0, cols: 3, bytes: 0 });
  expect(tensors.get("wide")).toMatchObject({ rows: 6, cols: 4, bytes: 48 });
});

test("types that Sluice does not read are listed apart", async () => {
  const header = {
    ids: { dtype: "I64", shape: [2], data_offsets: [0, 16] },
    new: { dtype: "F4", shape: [3, 3], data_offsets: [16, 21] },
  };
  const { tensors, unsupported } = await read(writeSafetensorsRaw(JSON.stringify(header), [new Uint8Array(21)]));
  expect(tensors.size).toBe(0);
  expect(unsupported.get("ids")).toMatchObject({ name: "ids", type: "I64", rows: 1, cols: 2 });
  expect(unsupported.get("new")?.type).toBe("F4");
});

describe("bad files", () => {
  const one = (entry: unknown, data = 8) => writeSafetensorsRaw(JSON.stringify({ t: entry }), [new Uint8Array(data)]);
  const ok = { dtype: "F32", shape: [2], data_offsets: [0, 8] };
  const two = (start: number, end: number) =>
    writeSafetensorsRaw(
      JSON.stringify({ t: ok, u: { dtype: "F32", shape: [(end - start) / 4], data_offsets: [start, end] } }),
      [new Uint8Array(16)],
    );
  test.each<[string, Uint8Array, string]>([
    ["empty", new Uint8Array(0), "needs 8 bytes"],
    ["shorter than the length", good.slice(0, 5), "needs 8 bytes"],
    ["cut in the header", good.slice(0, headerEnd - 10), "truncated"],
    ["cut in the data", good.slice(0, good.length - 1), "truncated"],
    ["longer than its tensors", new Uint8Array([...good, 0]), "tensors end at byte"],
    ["an absurd length", patched(good, 0, u64(2n ** 63n)), "room for at most"],
    ["a length beyond the file", patched(good, 0, u64(good.length)), "room for at most"],
    ["GGUF", new TextEncoder().encode("GGUF\x03\0\0\0\0\0\0\0"), "a GGUF file"],
    ["HTML", new TextEncoder().encode("<html><body></body></html>"), "web page"],
    ["not JSON", writeSafetensorsRaw("{nonsense", []), "not valid JSON"],
    ["not UTF-8", patched(good, 20, [0xff]), "not valid UTF-8"],
    ["nested without end", writeSafetensorsRaw(`{"a":${"[".repeat(100000)}`, []), "not valid JSON"],
    ["an entry that is no object", one(3), "must be an object"],
    ["no dtype", one({ ...ok, dtype: 7 }), "no dtype"],
    ["no shape", one({ ...ok, shape: "2" }), "shape"],
    ["a negative size", one({ ...ok, shape: [-2] }), "shape"],
    ["a fraction", one({ ...ok, shape: [0.5] }), "shape"],
    ["no offsets", one({ ...ok, data_offsets: undefined }), "data_offsets"],
    ["three offsets", one({ ...ok, data_offsets: [0, 4, 8] }), "data_offsets"],
    ["offsets backwards", one({ ...ok, data_offsets: [8, 0] }), "data_offsets"],
    ["a size that is not the shape's", one({ ...ok, shape: [3] }), "needs 12 bytes"],
    ["a product beyond numbers", one({ ...ok, shape: [2 ** 52, 2 ** 52, 2 ** 52] }), "needs"],
    ["out of bounds", one({ ...ok, shape: [2 ** 30], data_offsets: [0, 2 ** 32] }), "truncated"],
    ["an overlap", two(4, 16), "an overlap"],
    ["a gap", two(12, 16), "a gap"],
  ])("%s", async (_, bytes, message) => {
    const reading = read(bytes);
    await expect(reading).rejects.toThrow(FormatError);
    await expect(reading).rejects.toThrow(message);
  });

  test("a change of any byte, or a cut anywhere, is read or refused with a typed error", async () => {
    const edit = fc.record({
      at: fc.integer({ min: 0, max: headerEnd - 1 }),
      byte: fc.integer({ min: 0, max: 255 }),
      length: fc.oneof(fc.constant(good.length), fc.integer({ min: 0, max: good.length })),
    });
    await fc.assert(
      fc.asyncProperty(edit, async ({ at, byte, length }) => {
        const error = await read(patched(good, at, [byte]).slice(0, length)).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        expect(error === undefined || error instanceof SluiceError).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
