/**
 * Every architecture from a Hugging Face folder: metadata and tensors are those of the same model as GGUF, bit for bit, in
 * whatever chunks they are read, and so is the model that is made of them. The golden files too, where they are.
 */
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { specOf } from "../../../src/engine/load-local.js";
import type { Checkpoint, TensorEntry } from "../../../src/formats/checkpoint.js";
import { openCheckpoint } from "../../../src/formats/open.js";
import { requireTensor } from "../../../src/formats/require-tensor.js";
import { MemoryFiles } from "../../support/memory-files.js";
import { SHARED, SharedFiles } from "../../support/shared-files.js";
import { writeGguf } from "../../support/write-gguf.js";
import { hfFolderOf, type Keys, type Matrix, randomTensors, type Twin } from "./twin.js";
import { GPT_TWINS } from "./twins-gpt.js";
import { LLAMA_TWINS } from "./twins-llama.js";
import { STATE_TWINS } from "./twins-state.js";

const TWINS: [string, Twin][] = Object.entries({ ...GPT_TWINS, ...LLAMA_TWINS, ...STATE_TWINS });

/** What the folder has beside its twin: the long RoPE's factors are numbers of config.json. */
const FACTORS = { short: [1, 1.1, 1.2], long: [2, 3.5, 4.25] };
const longRope = (short: readonly number[], long: readonly number[], factor?: number) => ({
  original_max_position_embeddings: 20,
  rope_scaling: {
    type: "longrope",
    short_factor: short,
    long_factor: long,
    ...(factor && { attention_factor: factor }),
  },
});

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
  const factors: [string, readonly number[]][] =
    name === "phi3-longrope"
      ? [
          ["rope_factors_long.weight", FACTORS.long],
          ["rope_factors_short.weight", FACTORS.short],
        ]
      : [];
  const more = factors.length > 0 ? longRope(FACTORS.short, FACTORS.long) : {};
  const tensors = randomTensors(twin, 7);
  const all = new Map(tensors);
  for (const [factor, values] of factors) {
    all.set(factor, { rows: 1, cols: values.length, values: Float32Array.from(values) });
  }

  test("metadata and tensors are GGUF's", async () => {
    const hf = await open(hfFolderOf(twin, twin.keys, tensors, more));
    await expectTwin(twin, hf, twin.keys, all);
    for (const entry of hf.tensors.values()) await expectChunks(entry);
  });

  test("makes the same model as the GGUF file", async () => {
    const hf = await open(hfFolderOf(twin, twin.keys, tensors, more));
    const prefixed = Object.entries(twin.keys).map(([key, value]) => [`${twin.architecture}.${key}`, value]);
    const act = hf.metadata.get(`${twin.architecture}.hidden_act`);
    const metadata = {
      "general.architecture": twin.architecture,
      ...Object.fromEntries(prefixed),
      ...(typeof act === "string" && { [`${twin.architecture}.hidden_act`]: act }),
    };
    const stored = [...all].map(([tensor, matrix]) => ({ name: tensor, dtype: "f32" as const, ...matrix }));
    const gguf = await openCheckpoint(
      "m.gguf",
      new MemoryFiles({ "m.gguf": writeGguf({ metadata, tensors: stored }) }),
    );
    const layout = (spec: unknown) => JSON.parse(JSON.stringify(spec).replaceAll("interleaved", "halves"));
    const rounded = (spec: unknown) =>
      JSON.parse(JSON.stringify(spec), (_, v) => (typeof v === "number" ? Math.fround(v) : v));
    expect(rounded(layout(await specOf(hf)))).toEqual(rounded(layout(await specOf(gguf))));
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
