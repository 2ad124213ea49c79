/**
 * Every architecture from a Hugging Face folder: metadata and tensors are those of the same model as GGUF, bit for bit, in
 * whatever chunks they are read, and so is the model that is made of them. The golden files too, where they are.
 */
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { specOf } from "../../../src/engine/loading/load-local.js";
import type { Checkpoint, TensorEntry } from "../../../src/formats/checkpoint.js";
import { openCheckpoint } from "../../../src/formats/open.js";
import { requireTensor } from "../../../src/formats/require-tensor.js";
import { dequantiseRow } from "../../../src/quant/index.js";
import { MemoryFiles } from "../../support/memory-files.js";
import { SHARED, SharedFiles } from "../../support/shared-files.js";
import { stored } from "../../support/stored.js";
import { ggufOf, hfFolderOf, type Keys, type Matrix, type Twin } from "./twin.js";
import { longRope, TWINS, tinyModel } from "./twins.js";

async function bytesOf(entry: TensorEntry, chunk = entry.bytes): Promise<Uint8Array> {
  const bytes = new Uint8Array(entry.bytes);
  for (let at = 0; at < bytes.length; at += chunk) await entry.read(at, bytes.subarray(at, at + chunk));
  return bytes;
}

/** Where two arrays differ first; -1 where they do not. (Comparing them whole takes the test library seconds.) */
function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) if (a[i] !== b[i]) return i;
  return -1;
}

const floats = async (entry: TensorEntry) => new Float32Array((await bytesOf(entry)).buffer);

/** Half a unit in the last place of numbers below 1: what the sum of 1 and the rounded difference to 1 may miss. */
const ROUNDING_OF_ONE = 2 ** -24;

/** The same bits, but for what two roundings leave: logarithm and exponential, 1 less and 1 more. */
async function expectSame(twin: Twin, name: string, hf: TensorEntry, values: Float32Array): Promise<void> {
  const found = await floats(hf);
  const plusOne = twin.architecture.startsWith("gemma") && name.includes("norm");
  if (!plusOne && !name.endsWith("ssm_a")) return expect(difference(found, values), name).toBe(-1);
  for (const [i, value] of values.entries()) {
    const most = plusOne ? ROUNDING_OF_ONE : 1e-6 * Math.abs(value);
    if (!(Math.abs(found[i] - value) <= most)) expect.fail(`${name}[${i}] is ${found[i]}, expected ${value}`);
  }
}

/** The same numbers in parts of 4 to some thousand bytes, in order and in parallel. */
async function expectChunks(entry: TensorEntry): Promise<void> {
  const whole = await bytesOf(entry);
  for (const chunk of [4, 52, 1000]) {
    if (entry.bytes / chunk > 300) continue;
    expect(difference(await bytesOf(entry, chunk), whole)).toBe(-1);
    const parallel = new Uint8Array(entry.bytes);
    const starts = Array.from({ length: Math.ceil(entry.bytes / chunk) }, (_, i) => i * chunk);
    await Promise.all(starts.map((at) => entry.read(at, parallel.subarray(at, at + chunk))));
    expect(difference(parallel, whole)).toBe(-1);
  }
}

/** RoPE by halves keeps the order of rows of queries and keys that `transformers` has. */
const keptInHalves = ({ architecture }: Twin, name: string) => architecture === "llama" && /attn_[qk]\./.test(name);

async function open(files: Record<string, Uint8Array | string>): Promise<Checkpoint> {
  const named = Object.entries(files).map(([name, content]) => [`hf/${name}`, content]);
  return openCheckpoint("hf", new MemoryFiles(Object.fromEntries(named)));
}

async function expectTwin(twin: Twin, hf: Checkpoint, keys: Keys, tensors: ReadonlyMap<string, Matrix>): Promise<void> {
  expect(hf.architecture).toBe(twin.architecture);
  for (const [key, value] of Object.entries(keys)) {
    const found = hf.metadata.get(`${twin.architecture}.${key}`);
    if (typeof value === "number") expect(found, key).toBeCloseTo(value, 7);
    else expect(found, key).toEqual(value);
  }
  expect([...(hf.unsupportedTensors ?? [])]).toEqual([]);
  expect([...hf.tensors.keys()].sort()).toEqual([...tensors.keys()].sort());
  for (const [name, { rows, cols, values }] of tensors) {
    const entry = requireTensor(hf, name);
    expect(entry, name).toMatchObject({ name, dtype: "f32", rows, cols, bytes: 4 * rows * cols });
    if (!keptInHalves(twin, name)) await expectSame(twin, name, entry, values);
  }
}

describe.each(TWINS)("%s", (name, twin) => {
  const { tensors, all, more } = tinyModel(name, twin, twin.keys);

  test("metadata and tensors are GGUF's", async () => {
    const hf = await open(hfFolderOf(twin, twin.keys, tensors, more));
    await expectTwin(twin, hf, twin.keys, all);
    for (const entry of hf.tensors.values()) await expectChunks(entry);
  });

  test.each(["BF16", "F16"] as const)("the same from %s, which matrices keep", async (type) => {
    const hf = await open(hfFolderOf(twin, twin.keys, tensors, more, type));
    const dtype = type === "BF16" ? "bf16" : "f16";
    for (const [tensor, { rows, cols, values }] of tensors) {
      const entry = requireTensor(hf, tensor);
      if (/attn_qkv\.weight|exps\.weight|ffn_\w+\.weight/.test(tensor) && rows > 1) expect(entry.dtype).toBe(dtype);
      if (keptInHalves(twin, tensor) || /ssm_a$/.test(tensor) || /^gemma.*norm/.test(twin.architecture + tensor))
        continue;
      const found = new Float32Array(rows * cols);
      dequantiseRow(entry.dtype, await bytesOf(entry), 0, found.length, found);
      expect(difference(found, stored(dtype, values)), tensor).toBe(-1);
      await expectChunks(entry);
    }
  });

  test("makes the same model as the GGUF file", async () => {
    const hf = await open(hfFolderOf(twin, twin.keys, tensors, more));
    const bytes = ggufOf(twin, twin.keys, all, hf.metadata.get(`${twin.architecture}.hidden_act`));
    const gguf = await openCheckpoint("m.gguf", new MemoryFiles({ "m.gguf": bytes }));
    const layout = (spec: unknown) => JSON.parse(JSON.stringify(spec).replaceAll("interleaved", "halves"));
    const inF32 = (spec: unknown) =>
      JSON.parse(JSON.stringify(spec), (_, v) => (typeof v === "number" ? Math.fround(v) : v));
    expect(inF32(layout(await specOf(hf)))).toEqual(inF32(layout(await specOf(gguf))));
  });
});

const golden = (name: string) => `${SHARED}/golden/${name}.gguf`;
const GOLDENS = TWINS.filter(([name]) => existsSync(golden(name)));

/** The keys of the architecture, with the vocabulary; without what a state-space model's config.json does not have. */
function keysOf(gguf: Checkpoint): Keys {
  const prefix = `${gguf.architecture}.`;
  const keys: Record<string, Keys[string]> = { vocab_size: requireTensor(gguf, "token_embd.weight").rows };
  for (const [key, value] of gguf.metadata) {
    if (!key.startsWith(prefix) || /^mamba2?\.context_length$/.test(key)) continue;
    if (typeof value === "number" || typeof value === "string" || typeof value === "boolean") {
      keys[key.slice(prefix.length)] = value;
    } else if (Array.isArray(value)) keys[key.slice(prefix.length)] = Int32Array.from(value, Number);
  }
  return keys;
}

test.each(GOLDENS)("golden %s", async (name, twin) => {
  const gguf = await openCheckpoint(golden(name), new SharedFiles());
  const tensors = new Map<string, Matrix>();
  for (const [tensor, entry] of gguf.tensors) {
    tensors.set(tensor, { rows: entry.rows, cols: entry.cols, values: await floats(entry) });
  }
  const factors = ["short", "long"].map((kind) => [...(tensors.get(`rope_factors_${kind}.weight`)?.values ?? [])]);
  const keys = keysOf(gguf);
  const attention = keys["rope.scaling.attn_factor"];
  const more =
    factors[0].length > 0
      ? {
          ...longRope(factors[0], factors[1], Number(attention)),
          original_max_position_embeddings: keys["rope.scaling.original_context_length"],
        }
      : {};
  const hf = await open(hfFolderOf(twin, keys, tensors, more));
  await expectTwin(twin, hf, keys, tensors);
});
