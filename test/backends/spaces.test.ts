/** A model over several Wasm memories: where its layers lie, that no bit changes, and that every memory comes back. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import * as abi from "../../kernels/abi.js";
import { CommandList } from "../../src/backends/wasm/command-list.js";
import { createWasmBackend, type WasmBackend, type WasmBackendOptions } from "../../src/backends/wasm/index.js";
import { compileKernels } from "../../src/backends/wasm/module.js";
import { placeWeights } from "../../src/backends/wasm/placement.js";
import { Pool } from "../../src/backends/wasm/pool.js";
import { Space } from "../../src/backends/wasm/space.js";
import { own, WasmInput } from "../../src/backends/wasm/tensors.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import { SequenceMemory } from "../../src/context/sequence-memory.js";
import { activationBytes } from "../../src/engine/step/memory-plan.js";
import { StepRunner } from "../../src/engine/step/step-runner.js";
import { weightUses } from "../../src/nn/weights.js";
import type { RopeScaling } from "../../src/position/rope-scaling.js";
import type { ScopeBody, WeightPlan, WeightRequest } from "../../src/tensor/backend.js";
import { type DType, type KvType, rowBytes } from "../../src/tensor/dtype.js";
import type { KvLayout } from "../../src/tensor/kv.js";
import type { Tensor, Weight } from "../../src/tensor/tensor.js";
import { InternalError, MemoryError } from "../../src/util/errors.js";
import { type Platform, platform, setPlatform, type Thread } from "../../src/util/platform.js";
import { Random } from "../../src/util/random.js";
import { bind, type RandomModel, type RandomModelShape, randomIds, randomModel } from "../support/random-model.js";
import { appended, attended, headsFrom } from "./cache-calls.js";
import { numbers } from "./devices.js";

const MIB = 2 ** 20;

const backends: WasmBackend[] = [];
async function wasm(options: WasmBackendOptions): Promise<WasmBackend> {
  const backend = await createWasmBackend({ parallelNs: 0, ...options });
  backends.push(backend);
  return backend;
}
afterEach(async () => {
  for (const backend of backends.splice(0)) await backend.dispose();
});

/** A weight of `bytes` bytes. */
function request(name: string, bytes: number, layer?: number): WeightRequest {
  return { name, dtype: "f32", rows: 1, cols: bytes / 4, layer };
}

function planOf(embedding: number, layers: readonly number[], head: number, cache = 0): WeightPlan {
  const weights = [
    request("embedding", embedding),
    ...layers.flatMap((bytes, layer) => [
      request(`${layer}.a`, bytes / 2, layer),
      request(`${layer}.b`, bytes / 2, layer),
    ]),
    request("head", head),
  ];
  return { weights, cacheBytes: layers.map(() => cache), activationBytes: 0 };
}

const size = fc.integer({ min: 1, max: 30 }).map((blocks) => blocks * 128);

describe("placement", () => {
  test("keeps layers whole and in order, within every memory, in as few memories as can be", () => {
    const arbitrary = fc.record({
      embedding: size,
      layers: fc.array(size, { minLength: 1, maxLength: 20 }),
      head: size,
      cache: fc.integer({ min: 0, max: 3000 }),
      room: fc.integer({ min: 30 * 128, max: 200 * 128 }),
    });
    fc.assert(
      fc.property(arbitrary, ({ embedding, layers, head, cache, room }) => {
        const plan = planOf(embedding, layers, head, cache);
        const { memories, placeOfWeight, placeOfLayer } = placeWeights(plan, () => room);
        const places = plan.weights.map(({ name }) => placeOfWeight.get(name) ?? -1);
        expect(places).toEqual([...places].sort((a, b) => a - b));
        expect(new Set(places).size).toBe(memories);
        expect(places.at(0)).toBe(0);
        expect(places.at(-1)).toBe(memories - 1);
        layers.forEach((_, layer) => {
          expect(placeOfWeight.get(`${layer}.a`)).toBe(placeOfLayer.get(layer));
          expect(placeOfWeight.get(`${layer}.b`)).toBe(placeOfLayer.get(layer));
        });
        const wish = (bytes: number) => Math.min(cache, room - bytes);
        const units = [embedding, ...layers.map((bytes) => bytes + wish(bytes)), head];
        const unitPlaces = [0, ...layers.map((_, layer) => placeOfLayer.get(layer) ?? 0), memories - 1];
        const loads = Array.from({ length: memories }, (_, place) =>
          units.reduce((sum, bytes, i) => sum + (unitPlaces[i] === place ? bytes : 0), 0),
        );
        expect(Math.max(...loads)).toBeLessThanOrEqual(room);
        // Filling one memory after the other is the least there can be.
        let least = 1;
        let taken = 0;
        for (const bytes of units) {
          if (taken + bytes > room) {
            least++;
            taken = 0;
          }
          taken += bytes;
        }
        expect(memories).toBe(least);
      }),
    );
  });

  test("memories are about equally full", () => {
    const { placeOfLayer } = placeWeights(planOf(64, new Array(12).fill(1280), 64), () => 11 * 1280 + 128);
    const first = [...placeOfLayer.values()].filter((place) => place === 0).length;
    expect(first).toBe(6);
  });

  test("caches make room for themselves, and shrink where memories are few", () => {
    const memories = (cache: number, most: number) => {
      const plan = planOf(64, new Array(8).fill(640), 64, cache);
      return placeWeights(plan, (place) => (place < most ? 10_000 : 0)).memories;
    };
    expect(memories(0, 99)).toBe(1);
    expect(memories(1000, 99)).toBe(2);
    expect(memories(9000, 99)).toBe(8);
    // A wish beyond any memory takes all of one, and keeps no layer out.
    expect(memories(1e12, 99)).toBe(10);
    expect(memories(1e12, 2)).toBe(2);
  });

  test("the last memory may be smaller", () => {
    const rooms = [10_000, 10_000, 2000];
    const plan = planOf(64, new Array(10).fill(1920), 1920);
    const { memories, placeOfWeight } = placeWeights(plan, (place) => rooms[place] ?? 0);
    expect(memories).toBe(3);
    expect(placeOfWeight.get("head")).toBe(2);
    expect(placeOfWeight.get("9.a")).toBe(1);
  });

  test("what cannot be cut is refused by name, the rest with the sum", () => {
    const room = (place: number) => (place < 2 ? 10_000 : 0);
    const refused = (plan: WeightPlan) => {
      try {
        placeWeights(plan, room);
      } catch (error) {
        if (error instanceof MemoryError) return error;
      }
      return undefined;
    };
    expect(refused(planOf(12_800, [64], 64))).toMatchObject({
      message: expect.stringMatching(
        /weight embedding needs 12800 bytes, but one WebAssembly memory has room for 10000/,
      ),
      details: { neededBytes: 12_800, availableBytes: 10_000 },
    });
    expect(refused(planOf(64, [64, 12_800], 64))).toMatchObject({
      message: expect.stringMatching(/weights of layer 1 need 12800 bytes/),
    });
    expect(refused(planOf(64, [6400, 6400, 6400], 64))).toMatchObject({
      message: expect.stringMatching(/need 19328 bytes, but 2 WebAssembly memories have room for 20000/),
      details: { neededBytes: 19_328, availableBytes: 20_000 },
    });
  });
});

/** Memories of 1.75 MiB with one thread hold three of these layers and steps of 40 rows. */
const LAYERED: RandomModelShape = { layers: 8, heads: 4, kvHeads: 2, headWidth: 16, vocabulary: 60, hidden: 96 };

function planFor({ spec }: RandomModel, type: DType = "f32", rows = 40): WeightPlan {
  const weights = weightUses(spec).map(({ name, ref: { rows, cols, exact }, layer }): WeightRequest => {
    return { name, dtype: exact ? "f32" : type, rows, cols, layer };
  });
  return { weights, cacheBytes: spec.layers.map(() => 10_000), activationBytes: activationBytes(spec, { rows }) };
}

interface RunOptions {
  readonly policy: string;
  readonly chunk: number;
  readonly kv?: KvType;
  /** Whose tokens count as written by the model, from this one on. */
  readonly written?: number;
  /** Of the matrices. */
  readonly dtype?: DType;
}

/** Logits after every id. */
async function logitsOf(ops: WasmBackend, model: RandomModel, ids: Int32Array, options: RunOptions) {
  const decoder = bind(model, ops, options.dtype);
  const before = ops.memoryBytes;
  const kv = options.kv ?? "f32";
  const settings = { policy: parsePolicy(options.policy), keyType: kv, valueType: kv, limit: 4096 };
  const memory = new SequenceMemory(ops, decoder.shapes, settings);
  const runner = new StepRunner(ops, decoder);
  const all: number[] = [];
  for (let at = 0; at < ids.length; ) {
    const { written = ids.length } = options;
    const count = at < written ? memory.stepLimit(Math.min(options.chunk, written - at)) : 1;
    const use = (logits: Float32Array) => all.push(...logits);
    await runner.run(memory, ids.subarray(at, at + count), "all", use, at < written ? "given" : "written");
    at += count;
  }
  memory.dispose();
  return { logits: Float32Array.from(all), memory, before };
}

describe.each([1, 2])("a model in several memories, %i threads", (threads) => {
  const memoryBytes = threads * 0.25 * MIB + 1.5 * MIB;

  test.each<[string, RunOptions]>([
    ["full", { policy: "full", chunk: 40 }],
    ["full, token by token, f16", { policy: "full", chunk: 1, kv: "f16" }],
    ["streaming", { policy: "sinks:3,recent:20", chunk: 7 }],
    ["streaming, token by token, q8", { policy: "sinks:3,recent:20", chunk: 1, kv: "q8" }],
    ["in steps of eviction", { policy: "sinks:3,recent:20,evict=5", chunk: 13 }],
    ["reading a choice", { policy: "full,read=quest:32,dense=1", chunk: 13, written: 40 }],
    ["streaming and reading a choice", { policy: "sinks:4,recent:70,read=quest:48,dense=0", chunk: 9, written: 10 }],
  ])("gives the same bits: %s", async (_, options) => {
    const model = randomModel(LAYERED, 1);
    const ids = randomIds(90, LAYERED.vocabulary, 2);
    const one = await logitsOf(await wasm({ threads }), model, ids, options);
    const ops = await wasm({ threads, memoryBytes });
    await ops.planWeights(planFor(model));
    expect(ops.spaces.length).toBeGreaterThanOrEqual(3);
    const several = await logitsOf(ops, model, ids, options);
    expect(several.logits).toEqual(one.logits);
    expect(one.memory.cache.groups.length).toBe(1);
    expect(several.memory.cache.groups.length).toBe(new Set(model.spec.layers.map((_, i) => ops.placeOf(i))).size);
  });

  const dynamic: RopeScaling = { kind: "dynamic", factor: 2, originalContext: 24 };
  test.each<[string, Partial<RandomModelShape>]>([
    ["a window of the model's own", { window: 10 }],
    ["a base that changes with length", { rope: { scaling: dynamic } }],
  ])("gives the same bits with %s", async (_, shape) => {
    const model = randomModel({ ...LAYERED, ...shape }, 3);
    const ids = randomIds(50, LAYERED.vocabulary, 4);
    const options = { policy: "sinks:2,recent:30", chunk: 9 };
    const one = await logitsOf(await wasm({ threads }), model, ids, options);
    const ops = await wasm({ threads, memoryBytes });
    await ops.planWeights(planFor(model));
    expect((await logitsOf(ops, model, ids, options)).logits).toEqual(one.logits);
  });

  test.each([1, 12])(
    "gives the same bits with weights in bundles, embedding and head one of them, %i at once",
    async (chunk) => {
      // Rows of 2,080 columns lie in bundles of four groups of eight.
      const apart = randomModel({ ...LAYERED, vocabulary: 64, hidden: 2080 }, 5);
      const { embedding, head } = apart.spec;
      const values = new Map(apart.values).set(
        head.weight.tensor,
        apart.values.get(embedding.tensor) ?? new Float32Array(),
      );
      const shared: RandomModel = { values, spec: { ...apart.spec, head: { weight: embedding } } };
      const ids = randomIds(24, 64, 6);
      const options = { policy: "sinks:3,recent:15", chunk, dtype: "q4_0" } as const;
      const { logits } = await logitsOf(await wasm({ threads }), { ...apart, values }, ids, options);
      for (const model of [shared, { ...apart, values }]) {
        const ops = await wasm({ threads, memoryBytes: memoryBytes + 1.25 * MIB });
        await ops.planWeights(planFor(model, "q4_0", 12));
        expect(ops.spaces.length).toBeGreaterThanOrEqual(2);
        expect((await logitsOf(ops, model, ids, options)).logits).toEqual(logits);
      }
    },
  );

  test("a steady state takes no memory, and a cache gives all of its memory back", async () => {
    const model = randomModel(LAYERED, 1);
    const ops = await wasm({ threads, memoryBytes });
    await ops.planWeights(planFor(model));
    const decoder = bind(model, ops);
    const runner = new StepRunner(ops, decoder);
    const settings = { policy: parsePolicy("sinks:4,recent:28"), keyType: "f16", valueType: "f16", limit: 64 } as const;
    const weights = ops.memoryBytes;
    let memory = new SequenceMemory(ops, decoder.shapes, settings);
    const read = (count: number) => runner.run(memory, randomIds(count, 60, 5), "last", () => undefined);
    const readMany = async () => {
      for (let i = 0; i < 60; i++) await read(i % 7 === 0 ? 16 : 1);
    };
    await readMany();
    const taken = ops.memoryBytes;
    const sizes = ops.spaces.map(({ memory }) => memory.buffer.byteLength);
    await readMany();
    await readMany();
    expect(ops.memoryBytes).toBe(taken);
    expect(ops.spaces.map(({ memory }) => memory.buffer.byteLength)).toEqual(sizes);
    const reserved = memory.cache.groups.reduce((sum, { store }) => sum + store.reservedBytes, 0);
    expect(reserved).toBeGreaterThan(0);
    memory.dispose();
    // What stays are the arenas and the tables of a new cache take the old one's place.
    expect(taken - ops.memoryBytes).toBeGreaterThanOrEqual(reserved);
    expect(ops.memoryBytes).toBeGreaterThan(weights);
    memory = new SequenceMemory(ops, decoder.shapes, settings);
    await readMany();
    expect(ops.memoryBytes).toBe(taken);
    memory.dispose();
    await ops.dispose();
    expect(ops.memoryBytes).toBe(0);
    expect(ops.spaces).toEqual([]);
  });

  test("as many threads as were asked for, whatever the number of memories", async () => {
    const before = platform();
    let started = 0;
    const counting: Platform = {
      ...before,
      spawnScript: (source, name) => {
        started++;
        return before.spawnScript(source, name);
      },
    };
    setPlatform(counting);
    const ops = await wasm({ threads, memoryBytes }).finally(() => setPlatform(before));
    await ops.planWeights(planFor(randomModel(LAYERED, 1)));
    expect(ops.spaces.length).toBeGreaterThanOrEqual(3);
    expect(started).toBe(threads - 1);
  });
});

describe("memories", () => {
  test("a further one is made only when needed, and all start small", async () => {
    const small = await wasm({ threads: 1 });
    expect(small.memoryLimitBytes).toBe(Number.POSITIVE_INFINITY);
    await small.planWeights(planFor(randomModel(LAYERED, 1)));
    expect(small.spaces.length).toBe(1);
    expect(small.memoryLimitBytes).toBe(2 ** 32 - 2 ** 16);
    const large = await wasm({ threads: 1 });
    await large.planWeights({ ...planOf(2 ** 30, [2 ** 31, 2 ** 31], 2 ** 30), activationBytes: 2 ** 20 });
    expect(large.spaces.length).toBe(2);
    expect(large.memoryLimitBytes).toBe(2 * (2 ** 32 - 2 ** 16));
    for (const { memory } of large.spaces) expect(memory.buffer.byteLength).toBeLessThan(MIB);
  });

  test("the limit is that of all together", async () => {
    const ops = await wasm({ threads: 1, memoryBytes: MIB, maxMemoryBytes: 3.5 * MIB });
    expect(ops.memoryLimitBytes).toBe(3 * MIB);
    const error = await ops.planWeights(planFor(randomModel({ ...LAYERED, layers: 20 }, 1))).catch((reason) => reason);
    expect(error).toBeInstanceOf(MemoryError);
    expect(error.message).toMatch(/need \d+ bytes, but 3 WebAssembly memories have room for \d+/);
    expect(error.details.neededBytes).toBeGreaterThan(error.details.availableBytes);
    expect(ops.spaces.length).toBe(1);
  });

  test("a weight larger than one memory is refused by name", async () => {
    const ops = await wasm({ threads: 1, memoryBytes: MIB });
    await expect(ops.planWeights(planOf(2 * MIB, [64], 64))).rejects.toThrow(
      /The weight embedding needs 2097152 bytes, but one WebAssembly memory/,
    );
  });

  test("what is left is told by place, and a cache that finds no room there changes nothing", async () => {
    const model = randomModel(LAYERED, 1);
    const ops = await wasm({ threads: 1, memoryBytes: MIB });
    await ops.planWeights(planFor(model));
    const decoder = bind(model, ops);
    const [, second] = ops.spaces;
    expect(ops.placeBytesLeft(1)).toBe(second.leftBytes);
    second.allocate(ops.placeBytesLeft(1) - 1000, "filler");
    const left = ops.spaces.map((_, place) => ops.placeBytesLeft(place));
    const settings = { policy: parsePolicy("full"), keyType: "f32", valueType: "f32", limit: 64 } as const;
    const memory = new SequenceMemory(ops, decoder.shapes, settings);
    expect(() => memory.begin(16)).toThrow(MemoryError);
    expect(memory.usedBytes).toBe(0);
    memory.dispose();
    expect(ops.spaces.map((_, place) => ops.placeBytesLeft(place))).toEqual(left);
  });

  test.each([1, 2])("a disposed backend holds none, even while someone still holds it: %i threads", async (threads) => {
    setFlagsFromString("--expose-gc");
    const collect: unknown = runInNewContext("gc");
    const loaded = async () => {
      const ops = await createWasmBackend({ threads, memoryBytes: (1.5 + threads / 4) * MIB });
      const model = randomModel(LAYERED, 1);
      await ops.planWeights(planFor(model));
      await logitsOf(ops, model, randomIds(20, LAYERED.vocabulary, 2), { policy: "full", chunk: 20 });
      const memories = ops.spaces.map(({ memory }) => new WeakRef(memory));
      await ops.dispose();
      return { ops, memories };
    };
    const { ops, memories } = await loaded();
    expect(memories.length).toBeGreaterThanOrEqual(3);
    const held = () => memories.filter((memory) => memory.deref() !== undefined).length;
    for (let turn = 0; turn < 50 && held() > 0; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (typeof collect === "function") collect();
    }
    expect(held()).toBe(0);
    expect(ops.memoryBytes).toBe(0);
  });

  test("weights are planned once, before any is taken", async () => {
    const ops = await wasm({ threads: 1 });
    const plan = planFor(randomModel(LAYERED, 1));
    await ops.planWeights(plan);
    await expect(ops.planWeights(plan)).rejects.toThrow(InternalError);
    const late = await wasm({ threads: 1 });
    late.allocWeight(plan.weights[0]);
    await expect(late.planWeights(plan)).rejects.toThrow(InternalError);
  });
});

/** A backend with three memories: the weights "table0" to "table2" and "matrix0" to "matrix2" lie in one of them each. */
async function apart(threads: number) {
  const ops = await wasm({ threads, memoryBytes: 1.5 * MIB });
  const rows = 400;
  const shapes = [0, 1, 2].flatMap((layer): WeightRequest[] => [
    { name: `table${layer}`, dtype: "f32", rows, cols: 64, layer },
    { name: `matrix${layer}`, dtype: "q8_0", rows: 64, cols: 64, layer },
    { name: `gain${layer}`, dtype: "f32", rows: 1, cols: 64, layer },
    { name: `filler${layer}`, dtype: "f32", rows: 1, cols: 100_000, layer },
  ]);
  await ops.planWeights({ weights: shapes, cacheBytes: [0, 0, 0], activationBytes: 150_000 });
  const weights = new Map<string, Weight>();
  const random = new Random(7);
  for (const shape of shapes) {
    const slot = ops.allocWeight(shape);
    const bytes = new Uint8Array(shape.rows * rowBytes(shape.dtype, shape.cols));
    const values = numbers(random, shape.rows * shape.cols);
    if (shape.dtype === "f32") bytes.set(new Uint8Array(values.buffer));
    else for (let i = 0; i < bytes.length; i++) bytes[i] = i % 34 === 1 ? 0x2c : i % 34 === 0 ? 0 : random.below(256);
    slot.write(0, bytes);
    weights.set(shape.name, slot.weight);
  }
  const weight = (name: string): Weight => weights.get(name) ?? expect.unreachable(name);
  ops.beginStep();
  const indices = ops.input(Int32Array.from({ length: 20 }, (_, i) => i * 20));
  const rowsOf = (place: number): Tensor => ops.embed(weight(`table${place}`), indices);
  return { ops, weight, rowsOf };
}

describe.each([1, 2])("operations over memories, %i threads", (threads) => {
  test("the weights lie apart", async () => {
    const { ops } = await apart(threads);
    expect([0, 1, 2].map((layer) => ops.placeOf(layer))).toEqual([0, 1, 2]);
  });

  test("what is read is brought to where the operation runs", async () => {
    const { ops, weight, rowsOf } = await apart(threads);
    const [a, b] = [(await ops.read(rowsOf(0))).slice(), (await ops.read(rowsOf(1))).slice()];
    const sum = a.map((value, i) => value + b[i]);
    expect(await ops.read(ops.add(rowsOf(0), rowsOf(1)))).toEqual(sum);
    expect(await ops.read(ops.add(rowsOf(1), rowsOf(0)))).toEqual(sum);
    // All waits: the first addition, in memory 0, is run when its result is wanted in memory 2.
    const moved = ops.linear(ops.add(rowsOf(0), rowsOf(1)), weight("matrix2"));
    const inPlace = (await ops.read(ops.linear(ops.add(rowsOf(2), rowsOf(1)), weight("matrix2")))).slice();
    const other = (await ops.read(ops.linear(ops.add(rowsOf(1), rowsOf(2)), weight("matrix2")))).slice();
    expect(other).toEqual(inPlace);
    expect((await ops.read(moved)).length).toBe(inPlace.length);
    const normed = (await ops.read(ops.rmsNorm(rowsOf(2), weight("gain2"), 1e-5))).slice();
    const rotations = ops.input(Float32Array.from({ length: 20 * 64 }, (_, i) => (i % 2 ? 0 : 1)));
    const still = { layout: "halves", dims: 64, values: rotations } as const;
    expect(await ops.read(ops.rotate(ops.rmsNorm(rowsOf(2), weight("gain2"), 1e-5), 64, still))).toEqual(normed);
    const gates = ops.gated(rowsOf(0), rowsOf(1), "relu");
    expect(await ops.read(gates)).toEqual(a.map((value, i) => Math.max(0, value) * b[i]));
    const picked = ops.gather(ops.rows(rowsOf(1), 5, 10), ops.input(Int32Array.of(3, 3)));
    expect(await ops.read(picked)).toEqual(
      Float32Array.of(...b.subarray(8 * 64, 9 * 64), ...b.subarray(8 * 64, 9 * 64)),
    );
  });

  test("scopes run in the memory of their layer, also within each other", async () => {
    const { ops, rowsOf } = await apart(threads);
    const a = (await ops.read(rowsOf(0))).slice();
    const double = (layer: number | undefined): ScopeBody<undefined> => ({
      ...(layer === undefined ? {} : { layer }),
      forward: (inner, x) => {
        const made = inner.empty(1, 1);
        const out = inner.add(x, x);
        expect(place(made)).toBe(place(out));
        if (layer !== undefined) expect(place(out)).toBe(layer);
        return out;
      },
    });
    const place = (x: Tensor) => ("place" in x ? x.place : expect.unreachable());
    let x = rowsOf(0);
    for (const layer of [1, 2, undefined, 0, 1, 1, 2, undefined, undefined]) x = ops.scope(double(layer), x, undefined);
    expect(place(x)).toBe(2);
    expect(await ops.read(x)).toEqual(a.map((value) => value * 512));
    const nested: ScopeBody<undefined> = {
      layer: 1,
      forward: (inner, y) => inner.add(y, inner.scope(double(2), y, undefined)),
    };
    expect(await ops.read(ops.scope(nested, rowsOf(0), undefined))).toEqual(a.map((value) => value * 3));
    expect(place(ops.empty(1, 1))).toBe(0);
  });

  test("an input is copied to another memory once in a step, and anew in the next", async () => {
    const { ops, weight } = await apart(threads);
    const expected: Float32Array[] = [];
    for (let step = 0; step < 5; step++) {
      ops.beginStep();
      const filler = ops.input(new Int32Array(step * 10));
      const ids = ops.input(Int32Array.of(step, 2 * step));
      expect(filler.length).toBe(step * 10);
      const first = ops.embed(weight("table2"), ids);
      const [, , copy] = own(WasmInput, ids).copies;
      expect(copy?.place).toBe(2);
      const left = ops.placeBytesLeft(2);
      for (let i = 0; i < 100; i++) ops.embed(weight("table2"), ids);
      expect(own(WasmInput, ids).copies[2]).toBe(copy);
      expect(left - ops.placeBytesLeft(2)).toBeLessThanOrEqual(65536);
      expected.push((await ops.read(first)).slice());
    }
    const table = (
      await ops.read(ops.embed(weight("table2"), ops.input(Int32Array.from({ length: 9 }, (_, i) => i))))
    ).slice();
    expected.forEach((rows, step) => {
      expect(rows).toEqual(
        Float32Array.of(...table.subarray(step * 64, step * 64 + 64), ...table.subarray(step * 128, step * 128 + 64)),
      );
    });
  });

  test("a cache lies with its layer; keys, values, queries and spans come to it", async () => {
    const { ops, rowsOf } = await apart(threads);
    const layout: KvLayout = { members: 2, keyWidth: 32, valueWidth: 32, keyType: "f32", valueType: "f32" };
    const mixed: Float32Array[] = [];
    for (const [layer, source] of [
      [0, 0],
      [2, 0],
    ]) {
      const store = ops.kvStore(layout, layer);
      const table = store.table();
      for (let i = 0; i < 2; i++) table.push(store.alloc());
      const slice = { store, table, member: 0, heads: headsFrom(0, 2) };
      const x = rowsOf(source);
      const rotations = ops.input(Float32Array.from({ length: 20 * 32 }, (_, i) => Math.cos(i)));
      ops.append(
        appended({
          keys: x,
          values: x,
          slice,
          slot: 0,
          angles: { layout: "interleaved", dims: 32, values: rotations },
        }),
      );
      const spans = ops.input(Int32Array.from({ length: 40 }, (_, i) => (i % 2 ? (i >> 1) + 1 : 0)));
      const body: ScopeBody<undefined> = {
        layer,
        forward: (inner) => {
          const out = inner.empty(20, 64);
          inner.attention(attended({ out, queries: [x], spans, slice, group: 1, scale: 0.3 }));
          return out;
        },
      };
      mixed.push((await ops.read(ops.scope(body, x, undefined))).slice());
    }
    expect(mixed[1]).toEqual(mixed[0]);
  });

  test("what would be written in another memory is an error", async () => {
    const { ops, rowsOf } = await apart(threads);
    const layout: KvLayout = { members: 2, keyWidth: 32, valueWidth: 32, keyType: "f32", valueType: "f32" };
    const slices = [0, 1].map((layer) => {
      const store = ops.kvStore(layout, layer);
      const table = store.table();
      table.push(store.alloc());
      return { store, table, member: 0, heads: headsFrom(0, 2) };
    });
    const x = ops.rows(rowsOf(0), 0, 1);
    const spans = ops.input(Int32Array.of(0, 1));
    const call = { out: ops.empty(1, 64), queries: [x], spans, slice: slices[1], group: 1, scale: 1 };
    expect(() => ops.attention(attended(call))).toThrow(/output in another memory/);
    const angles = { layout: "halves", dims: 32, values: ops.input(new Float32Array(32)) } as const;
    expect(() => ops.rotatePages(slices[0], slices[1], 1, angles)).toThrow(/pages of two memories/);
  });
});

describe.each([1, 2, 3])("a pool of %i threads in three memories", (threads) => {
  async function pooled() {
    platform().enableWasmFeatures();
    const { module } = await compileKernels(undefined);
    const spaces = [0, 1, 2].map((place) => new Space(2 ** 24, place));
    const pool = await Pool.start(module, spaces[0], threads);
    await pool.join(spaces[1]);
    await pool.join(spaces[2]);
    const lists = spaces.map((space) => new CommandList(pool, space, 0));
    return { spaces, pool, lists };
  }

  test("runs thousands of short lists, in any memory", async () => {
    const { spaces, pool, lists } = await pooled();
    const cells = spaces.map((space, place) => {
      const at = space.allocate(128, "cells");
      space.f32.fill(place + 1, at >>> 2, (at >>> 2) + 16);
      space.f32.fill(0, (at >>> 2) + 16, (at >>> 2) + 32);
      return at;
    });
    const random = new Random(1);
    const expected = [0, 0, 0];
    for (let i = 0; i < 3000; i++) {
      const place = random.below(3);
      const [x, sum] = [cells[place], cells[place] + 64];
      // Every third on the calling thread alone.
      lists[place]
        .begin(abi.ADD, i % 3 ? 1 : -1)
        .reads(x, 64)
        .reads(sum, 64)
        .writes(sum, 64)
        .word(16)
        .end();
      lists[place].flush();
      expected[place] += place + 1;
    }
    spaces.forEach(({ f32 }, place) => {
      const sum = (cells[place] + 64) >>> 2;
      expect(Array.from(f32.subarray(sum, sum + 16))).toEqual(Array(16).fill(expected[place]));
    });
    await pool.dispose();
  });

  test("a trap in the last memory surfaces, and so does every later call in any", async () => {
    const { spaces, pool, lists } = await pooled();
    const out = spaces[2].limitBytes - 2 ** 10;
    const add = (list: CommandList, to: number) =>
      list
        .begin(abi.ADD, 1)
        .reads(0, 2 ** 12)
        .reads(0, 2 ** 12)
        .writes(to, 2 ** 12)
        .word(2 ** 10)
        .end();
    expect(() => {
      add(lists[2], out);
      lists[2].flush();
    }).toThrow(InternalError);
    expect(() => {
      add(lists[0], 2 ** 12);
      lists[0].flush();
    }).toThrow(InternalError);
    await expect(pool.join(new Space(2 ** 24, 3))).rejects.toThrow(InternalError);
    await pool.dispose();
  });

  test("a list that comes while threads are told of a memory runs on the calling thread", async () => {
    const before = platform();
    let late = false;
    // Threads hear of the further memory only when this thread comes back to its event loop.
    const slow = (thread: Thread): Thread => ({
      post: (message) => void (late ? setTimeout(() => thread.post(message), 20) : thread.post(message)),
      onMessage: (listener) => thread.onMessage(listener),
      onFailure: (listener) => thread.onFailure(listener),
      keepAlive: (alive) => thread.keepAlive(alive),
      terminate: () => thread.terminate(),
    });
    setPlatform({ ...before, spawnScript: (source, name) => slow(before.spawnScript(source, name)) });
    const { spaces, pool, lists } = await pooled().finally(() => setPlatform(before));
    late = true;
    const at = spaces[0].allocate(64, "cells");
    spaces[0].f32.fill(1, at >>> 2, (at >>> 2) + 16);
    const double = () => {
      lists[0].begin(abi.ADD, 1).reads(at, 64).reads(at, 64).writes(at, 64).word(16).end();
      lists[0].flush();
      return spaces[0].f32[at >>> 2];
    };
    let joined = false;
    const joining = pool.join(new Space(2 ** 24, 3)).then(() => {
      joined = true;
    });
    for (let turn = 1; turn <= 5; turn++) {
      expect(double()).toBe(2 ** turn);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(joined).toBe(threads === 1);
    await joining;
    expect(double()).toBe(64);
    await pool.dispose();
  });

  test("memories come in turn", async () => {
    const { pool } = await pooled();
    await expect(pool.join(new Space(2 ** 24, 5))).rejects.toThrow(/out of turn/);
    await pool.dispose();
  });
});
