/** Models larger than one Wasm memory: loaded, run, planned and refused through the engine. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { SCRATCH_BYTES } from "../../kernels/abi.js";
import { WasmBackend } from "../../src/backends/wasm/index.js";
import type { LoadOptions, MemoryPlan, Part, Session, SessionOptions } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import type { DType } from "../../src/tensor/dtype.js";
import { MemoryError } from "../../src/util/errors.js";
import { formatCount } from "../../src/util/figures.js";
import { familyNamed } from "../support/families.js";
import { randomGguf } from "../support/random-gguf.js";
import { randomIds } from "../support/random-model.js";
import { SHARED } from "../support/shared-files.js";
import { TINY_TOKENS, tinyFile } from "../support/tiny-gguf.js";

const MIB = 2 ** 20;

/** Layers of 2 MB as f32, 0.5 MB as q8_0, 1.1 MB as q4_k, for there rows lie in bundles; a cache of the trained length takes 0.4 MB of each. */
const files = new Map<DType, string>();
function fileOf(dtype: DType): string {
  const known = files.get(dtype);
  if (known !== undefined) return known;
  const metadata = { "llama.context_length": 800 };
  const hidden = dtype === "q4_k" ? 2304 : 416;
  const file = tinyFile({ size: { width: 256, hidden, layers: dtype === "q4_k" ? 3 : 6, dtype }, metadata });
  files.set(dtype, file);
  return file;
}

const models: LocalModel[] = [];
async function load(file: string, options: LoadOptions): Promise<LocalModel> {
  const model = await loadLocal(file, options);
  models.push(model);
  return model;
}
afterEach(async () => {
  for (const model of models.splice(0)) await model.dispose();
});

function memoriesOf({ runner }: LocalModel): number {
  return runner.backend instanceof WasmBackend ? runner.backend.spaces.length : 0;
}

const IDS = randomIds(150, TINY_TOKENS.length, 1);

/** Log-probabilities of a text in steps of 8, and the greedy ids that follow it, one by one. */
async function readAndWrite(model: LocalModel, options: SessionOptions) {
  const session = model.session({ chunk: 8, contextLength: 192, ...options });
  const logprobs: number[] = [];
  for await (const part of session.score(IDS, { batch: 8 })) logprobs.push(...part.logprobs);
  const ids: (number | undefined)[] = [];
  const greedy = { temperature: 0, maxTokens: 30, ignoreEnd: true, logprobs: 1 };
  for await (const part of session.generate(IDS.subarray(0, 5), greedy)) ids.push(part.id, part.logprob);
  const { cacheBytes } = session.usage;
  await session.dispose();
  return { logprobs, ids, cacheBytes };
}

const SESSIONS: readonly SessionOptions[] = [
  { context: "full", kv: "f32" },
  { context: "full", kv: "q8/f16" },
  { context: "sinks:4,recent:60" },
  { context: "recent:60", kv: "q8" },
];

describe.each<[DType, number, number]>([
  ["f32", 3.5 * MIB, 1],
  ["f32", 3.75 * MIB, 2],
  ["q8_0", 2.5 * MIB, 1],
  ["q8_0", 2.75 * MIB, 2],
  ["q4_k", 3.25 * MIB, 2],
])("a model of %s in memories of %i bytes, %i threads", (dtype, wasmMemoryBytes, threads) => {
  it("saves a session that goes on where layers lie alike, and is refused where they do not", async () => {
    const [one, several] = [
      await load(fileOf(dtype), { threads }),
      await load(fileOf(dtype), { threads, wasmMemoryBytes }),
    ];
    const session = several.session({ context: "sinks:4,recent:60", chunk: 8 });
    const write = async (other: Session) => {
      const ids: (number | undefined)[] = [];
      const greedy = { temperature: 0, maxTokens: 9, ignoreEnd: true, logprobs: 1 };
      for await (const part of other.generate(IDS, greedy)) ids.push(part.id, part.logprob);
      return ids;
    };
    await write(session);
    const saved = await session.save();
    const restored = await several.restore(saved);
    expect(await write(restored)).toEqual(await write(session));
    await expect(one.restore(saved)).rejects.toThrow(/lie otherwise in memory/);
  });

  it("gives the same bits as in one", async () => {
    const one = await load(fileOf(dtype), { threads });
    const several = await load(fileOf(dtype), { threads, wasmMemoryBytes });
    expect(memoriesOf(one)).toBe(1);
    expect(memoriesOf(several)).toBeGreaterThanOrEqual(3);
    for (const options of SESSIONS) {
      expect(await readAndWrite(several, options)).toEqual(await readAndWrite(one, options));
    }
  });
});

describe("memory of a large model", () => {
  const options = { threads: 1, wasmMemoryBytes: 3.5 * MIB };

  it("sessions give all back, and so does the model", async () => {
    const model = await load(fileOf("f32"), options);
    const { backend } = model.runner;
    await readAndWrite(model, { context: "sinks:4,recent:60" });
    const between = backend.memoryBytes;
    expect(between).toBeGreaterThan(model.info.weightBytes);
    await readAndWrite(model, { context: "sinks:4,recent:60" });
    expect(backend.memoryBytes).toBe(between);
    await model.dispose();
    expect(backend.memoryBytes).toBe(0);
  });

  it("the plan counts the activations of every memory, and what all memories hold", async () => {
    const one = await load(fileOf("f32"), { threads: 1 });
    const several = await load(fileOf("f32"), options);
    const memories = memoriesOf(several);
    const [single, plan] = [await one.plan(), await several.plan()];
    expect(plan).toMatchObject({ weightBytes: single.weightBytes, cacheBytes: single.cacheBytes });
    // The last memory, beside the layers, or the first may have no layer.
    expect(plan.activationBytes / single.activationBytes).toBeGreaterThanOrEqual(memories - 2);
    expect(plan.availableBytes).toBe(memories * 3.5 * MIB);
  });

  it("a cache that does not fit beside its layers is refused with the figures of that memory", async () => {
    const model = await load(fileOf("f32"), options);
    const { backend } = model.runner;
    if (!(backend instanceof WasmBackend)) return expect.unreachable();
    const place = backend.placeOf(3);
    const taken = backend.placeBytesLeft(place) - 100_000;
    const filler = backend.spaces[place].allocate(taken, "filler");
    const before = backend.memoryBytes;
    const first = model.session({ contextLength: 192, chunk: 8 }).generate([1]).next();
    const error = await first.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MemoryError);
    expect(error).toMatchObject({
      message: expect.stringMatching(
        /192 tokens \(.*\) and steps of up to 8 tokens \(.*\) need, beside \d of 6 layers in one memory, [\d.,]+ [kM]?B, but only [\d.,]+ [kM]?B /,
      ),
      details: { neededBytes: expect.any(Number), availableBytes: backend.placeBytesLeft(place) },
    });
    expect(backend.memoryBytes).toBe(before);
    backend.spaces[place].release(filler, taken);
    expect((await readAndWrite(model, {})).ids.length).toBe(60);
  });

  it("caches that are planned for take more memories", async () => {
    // Room for all weights in one memory, but not for the caches of the trained length beside them.
    const metadata = (length: number) => ({ "llama.context_length": length });
    const size = { width: 128, hidden: 32, layers: 4, dtype: "f32" } as const;
    const wasmMemoryBytes = 20 * MIB;
    const short = await load(tinyFile({ size, metadata: metadata(256) }), { threads: 1, wasmMemoryBytes });
    expect(memoriesOf(short)).toBe(1);
    const file = tinyFile({ size, metadata: metadata(20_000) });
    const long = await load(file, { threads: 1, wasmMemoryBytes });
    expect(memoriesOf(long)).toBeGreaterThan(1);
    const plans: MemoryPlan[] = [];
    // Not where the machine has no memory for them.
    const tight = await load(file, {
      threads: 1,
      wasmMemoryBytes,
      memoryLimitBytes: 9 * MIB,
      onProgress: ({ plan }) => plan && plans.push(plan),
    });
    expect(memoriesOf(tight)).toBe(1);
    expect(plans.at(0)?.availableBytes).toBe(9 * MIB);
  });
});

describe("what is refused", () => {
  it("a layer that is larger than a memory, by number and figures, and nothing stays", async () => {
    await expect(loadLocal(fileOf("f32"), { threads: 2, wasmMemoryBytes: 2 * MIB })).rejects.toMatchObject({
      code: "out_of_memory",
      message: expect.stringMatching(/weights of layer 0 need \d+ bytes, but one WebAssembly memory has room for \d+/),
    });
  });

  it("a weight that is larger than a memory, by name", async () => {
    const file = tinyFile({ size: { width: 1024, hidden: 32, layers: 1, dtype: "f32" } });
    await expect(loadLocal(file, { threads: 1, wasmMemoryBytes: 1.5 * MIB })).rejects.toMatchObject({
      code: "out_of_memory",
      message: expect.stringMatching(/weight token_embd.weight needs \d+ bytes, but one WebAssembly memory/),
    });
  });

  it.each([0, 1000, Number.NaN])("memories of %d bytes", async (wasmMemoryBytes) => {
    await expect(loadLocal(fileOf("q8_0"), { wasmMemoryBytes })).rejects.toMatchObject({
      code: "bad_argument",
      details: { option: "wasmMemoryBytes" },
    });
  });

  it("memories that the scratch memory of the threads would fill, before anything is opened", async () => {
    const leastBytes = MIB + 3 * SCRATCH_BYTES;
    const few = { threads: 4, wasmMemoryBytes: leastBytes - 1 };
    await expect(loadLocal("no-such-model.gguf", few)).rejects.toMatchObject({
      code: "bad_argument",
      message: expect.stringMatching(
        new RegExp(`wasmMemoryBytes must be a number from ${formatCount(leastBytes)} with 4 threads`),
      ),
      details: { option: "wasmMemoryBytes", threads: 4, leastBytes },
    });
    const enough = { ...few, wasmMemoryBytes: leastBytes };
    for (const options of [enough, { ...few, backend: "reference" } as const]) {
      await expect(loadLocal("no-such-model.gguf", options)).rejects.toMatchObject({ code: "not_found" });
    }
  });
});

const stories = join(SHARED, "models/stories260K.gguf");
describe.skipIf(!existsSync(stories))("stories260K in memories of 1 MiB", () => {
  it("writes its expected text", async () => {
    const model = await load(stories, { threads: 1, wasmMemoryBytes: MIB });
    expect(memoriesOf(model)).toBeGreaterThanOrEqual(3);
    let text = "";
    const session = model.session({ chunk: 8, contextLength: 256 });
    for await (const part of session.generate([1], { temperature: 0, maxTokens: 200, ignoreEnd: true }))
      text += part.text;
    const expected = readFileSync(join(SHARED, "models/stories260K.expected.txt"), "utf8");
    expect(expected.startsWith(text.trimStart())).toBe(true);
    expect(text.length).toBeGreaterThan(400);
  });
});

it("a bias may lie in another memory than its matrix or norm, where they belong to no layer", async () => {
  const { keys, ...gpt2 } = familyNamed("gpt2");
  const sizes = { embedding_length: 192, feed_forward_length: 260, "attention.head_count": 6 };
  const { path } = randomGguf({ ...gpt2, keys: { ...keys, ...sizes } });
  const ids = [3, 9, 20, 31, 7, 12, 5];
  const all: Part[][] = [];
  for (const wasmMemoryBytes of [64 * MIB, 2 * MIB]) {
    const model = await load(path, { threads: 1, wasmMemoryBytes });
    const parts: Part[] = [];
    const options = { temperature: 0, ignoreEnd: true, maxTokens: 4, logprobs: 3 };
    for await (const part of model.session({ contextLength: 16, chunk: 4 }).generate(ids, options)) parts.push(part);
    all.push(parts);
  }
  expect(models.map(memoriesOf)).toEqual([1, 2]);
  expect(all[1]).toEqual(all[0]);
});

it("what an encoder needs for the longest source is planned for", async () => {
  const { keys, ...t5 } = familyNamed("t5");
  const { path } = randomGguf({ ...t5, keys: { ...keys, context_length: 1200 } });
  const model = await load(path, { threads: 1, backend: "wasm" });
  const { runner } = model;
  const before = runner.backend.memoryBytes;
  const session = model.session({ chunk: 16 });
  const { cacheBytes, activationBytes } = await model.plan({ chunk: 16 });
  const source = Array.from({ length: 1200 }, (_, i) => 3 + ((i * 7) % 30));
  for await (const _ of session.generate(source, { maxTokens: 1 }));
  expect(runner.backend.memoryBytes - before).toBeGreaterThan(2 ** 20);
  expect(runner.backend.memoryBytes - before).toBeLessThan(cacheBytes + activationBytes);
  await session.dispose();
  const small = await load(path, { threads: 1, wasmMemoryBytes: 2 * MIB });
  const write = small.session({ chunk: 16, contextLength: 16 }).generate(source, { maxTokens: 1 });
  await expect(write.next()).rejects.toThrow(MemoryError);
});
