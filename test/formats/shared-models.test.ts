/** Real files: all golden models, vocabularies, and stories260K in both formats. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Checkpoint } from "../../src/formats/checkpoint.js";
import { readGguf } from "../../src/formats/gguf.js";
import { openCheckpoint } from "../../src/formats/open.js";
import { requireTensor } from "../../src/formats/require-tensor.js";
import { dequantiseRow } from "../../src/quant/index.js";
import { rowBytes } from "../../src/tensor/dtype.js";
import { hasShared, SHARED, SharedFiles } from "../support/shared-files.js";

const files = new SharedFiles();
const open = (path: string) => openCheckpoint(join(SHARED, path), files);
const ggufs = (folder: string) =>
  hasShared ? readdirSync(join(SHARED, folder)).filter((f) => f.endsWith(".gguf")) : [];

async function values(checkpoint: Checkpoint, name: string): Promise<Float32Array> {
  const entry = requireTensor(checkpoint, name);
  const { dtype, rows, cols, bytes } = entry;
  const stored = new Uint8Array(bytes);
  await entry.read(0, stored);
  const out = new Float32Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    dequantiseRow(dtype, stored, row * rowBytes(dtype, cols), cols, out.subarray(row * cols));
  }
  return out;
}

/** The tensors fill the file up to its alignment. */
async function expectTiling(path: string): Promise<void> {
  const source = await files.open(join(SHARED, path));
  const { tensors } = await readGguf(source);
  const entries = [...tensors.values()].sort((a, b) => a.offset - b.offset);
  const last = entries[entries.length - 1];
  expect(source.size - (last.offset + last.bytes)).toBeLessThan(32);
  for (let i = 1; i < entries.length; i++) {
    expect(entries[i].offset - entries[i - 1].offset - entries[i - 1].bytes).toBeLessThan(32);
  }
  await source.close();
}

/** Root of the mean square difference, relative to that of `b`. */
function distance(a: Float32Array, b: Float32Array): number {
  let difference = 0;
  let size = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    size += b[i] ** 2;
  }
  return Math.sqrt(difference / size);
}

describe.skipIf(!hasShared)("golden models", () => {
  test.each(ggufs("golden"))("%s opens, its tensors tile the file", async (name) => {
    const checkpoint = await open(`golden/${name}`);
    const stem = name.replace(".gguf", "");
    expect(stem.startsWith(checkpoint.architecture) || name.startsWith("llama")).toBe(true);
    expect(checkpoint.metadata.get("general.name")).toMatch(/^tiny-random/);
    expect(checkpoint.unsupportedTensors?.size ?? 0).toBe(0);
    expect(checkpoint.tensors.has("token_embd.weight")).toBe(true);
    await expectTiling(`golden/${name}`);
    await checkpoint.close();
  });

  // Each is drawn from the same seed and rounded to its type: the distance to the bf16 file is the type's own error.
  test.each<[string, number, number]>([
    ["f16", 0, 0.003],
    ["q8_0", 0.001, 0.008],
    ["q6_k", 0.01, 0.03],
    ["q5_0", 0.02, 0.05],
    ["q5_1", 0.02, 0.05],
    ["q5_k", 0.02, 0.05],
    ["q4_0", 0.05, 0.1],
    ["q4_1", 0.04, 0.09],
    ["q4_k", 0.04, 0.09],
    ["iq4_nl", 0.04, 0.09],
    ["q3_k", 0.1, 0.2],
    ["q2_k", 0.2, 0.4],
  ])("llama-%s holds the same weights as llama-bf16", async (type, least, most) => {
    const [rounded, close] = [await open(`golden/llama-${type}.gguf`), await open("golden/llama-bf16.gguf")];
    for (const name of ["token_embd.weight", "blk.0.attn_q.weight", "blk.0.ffn_down.weight"]) {
      const apart = distance(await values(rounded, name), await values(close, name));
      expect(apart, name).toBeGreaterThanOrEqual(least);
      expect(apart, name).toBeLessThan(most);
    }
  });
});

describe.skipIf(!hasShared)("vocabularies without tensors", () => {
  test.each(ggufs("vocab"))("%s", async (name) => {
    const checkpoint = await open(`vocab/${name}`);
    expect(checkpoint.tensors.size).toBe(0);
    expect(checkpoint.tokenizer?.kind).toBe("gguf");
    const tokens = checkpoint.metadata.get("tokenizer.ggml.tokens");
    expect(Array.isArray(tokens) && tokens.length).toBeGreaterThan(30000);
    await checkpoint.close();
  });
});

describe.skipIf(!hasShared)("stories260K", () => {
  test("both formats give the same metadata and weights", async () => {
    const [gguf, hf] = [await open("models/stories260K.gguf"), await open("models/stories260K-hf")];
    expect(hf.architecture).toBe("llama");
    expect([...hf.tensors.keys()].toSorted()).toEqual([...gguf.tensors.keys()].toSorted());
    const keys = [...hf.metadata.keys()].filter((key) => gguf.metadata.has(key));
    expect(keys.length).toBeGreaterThan(11);
    for (const key of keys) {
      const [a, b] = [hf.metadata.get(key), gguf.metadata.get(key)];
      expect(typeof a === "number" ? Math.fround(a) : a, key).toEqual(b);
    }
    for (const [name, { rows, cols }] of hf.tensors) {
      expect(gguf.tensors.get(name), name).toMatchObject({ rows, cols, dtype: "f32" });
      // Rows of q and k are permuted for the other layout of RoPE.
      if (/attn_[qk]/.test(name)) continue;
      expect(distance(await values(hf, name), await values(gguf, name)), name).toBe(0);
    }
    await Promise.all([gguf.close(), hf.close()]);
  });
});
