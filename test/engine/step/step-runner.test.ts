/** A step of several sequences: each gets the numbers that it gets alone, and each fails alone. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createBackend } from "../../../src/backends/create.js";
import { ReferenceBackend } from "../../../src/backends/reference/reference.js";
import { parsePolicy } from "../../../src/context/policy-text.js";
import { SequenceMemory } from "../../../src/context/sequence-memory.js";
import { type Outcome, StepRunner } from "../../../src/engine/step/step-runner.js";
import type { Want, Wanted } from "../../../src/engine/step/want.js";
import { layOut } from "../../../src/engine/step/want.js";
import type { Backend, BackendName, RowSplit } from "../../../src/tensor/backend.js";
import { type DType, KV_TYPES, type KvType } from "../../../src/tensor/dtype.js";
import { CancelledError, ContextFullError, InternalError, NumericError } from "../../../src/util/errors.js";
import { bind, randomIds, randomModel, SMALL } from "../../support/random-model.js";

const runs: { readonly name: BackendName; readonly threads: number; readonly dtype: DType }[] = [
  { name: "reference", threads: 1, dtype: "f32" },
  { name: "reference", threads: 1, dtype: "q4_0" },
  { name: "wasm", threads: 1, dtype: "f32" },
  { name: "wasm", threads: 2, dtype: "f32" },
  { name: "wasm", threads: 1, dtype: "q4_0" },
  { name: "wasm", threads: 2, dtype: "q8_0" },
  { name: "wasm", threads: 2, dtype: "q4_k" },
];
const POLICIES = ["full", "recent:9", "sinks:2,recent:7", "sinks:3,recent:20,distance=text"];
const LIMIT = 64;
const { vocabulary } = SMALL;
/** Rows of whole blocks: of 32, and of 256. */
const BLOCKS = { ...SMALL, hidden: 32 };
const WIDE = { ...SMALL, headWidth: 64, hidden: 256 };

/** A sequence that has read some ids and reads some more. */
interface Case {
  readonly policy: string;
  readonly kv: KvType;
  readonly before: number;
  readonly rows: number;
  readonly wanted: Wanted;
  readonly fate: "reads" | "is too long" | "is cancelled";
}

const count = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 7 }), fc.integer({ min: 8, max: 24 }));
const oneCase: fc.Arbitrary<Case> = fc.record({
  policy: fc.constantFrom(...POLICIES),
  kv: fc.constantFrom(...KV_TYPES),
  before: fc.integer({ min: 0, max: 30 }),
  rows: count,
  wanted: fc.constantFrom("last", "all"),
  fate: fc.constantFrom("reads", "reads", "reads", "reads", "is too long", "is cancelled"),
});

const ABORTED = { aborted: true };
const copy = (logits: Float32Array) => logits.slice();

describe.each(runs)("a step on $name with $threads threads and weights of $dtype", ({ name, threads, dtype }) => {
  let backend: Backend;
  let runner: StepRunner;
  beforeAll(async () => {
    backend = await createBackend(name, { threads });
    runner = new StepRunner(backend, bind(randomModel(dtype === "q4_k" ? WIDE : BLOCKS, 5), backend, dtype));
  });
  afterAll(() => backend.dispose());

  const idsOf = (index: number, length: number) => randomIds(length, vocabulary, 31 * index + 7);

  async function memoryOf({ policy, kv, before }: Case, index: number): Promise<SequenceMemory> {
    const settings = { policy: parsePolicy(policy), keyType: kv, valueType: kv, limit: LIMIT };
    const memory = new SequenceMemory(backend, runner.decoder.shapes, settings);
    if (before > 0) await runner.run(memory, idsOf(index, before), "last", () => undefined);
    return memory;
  }

  function wantOf(one: Case, index: number, state: SequenceMemory): Want<Float32Array> {
    const { rows, wanted, fate } = one;
    const tooLong = fate === "is too long" && one.policy === "full";
    const ids = randomIds(tooLong ? LIMIT + 1 : rows, vocabulary, 1000 + index);
    const cancel = fate === "is cancelled" ? ABORTED : undefined;
    return { state, ids, wanted, use: copy, cancel };
  }

  /** What it comes to alone, and which token it then takes for the most likely. */
  async function alone(
    one: Case,
    index: number,
  ): Promise<{ readonly step: Outcome<Float32Array>; readonly next: Float32Array }> {
    const memory = await memoryOf(one, index);
    const [step] = await runner.step([wantOf(one, index, memory)]);
    const next = await runner.run(memory, Int32Array.of(3), "last", copy);
    memory.dispose();
    return { step, next };
  }

  it("gives n sequences of mixed policies, cache types and rows the bits of each alone", {
    timeout: 120_000,
  }, async () => {
    const batches = fc.oneof(
      { arbitrary: fc.array(oneCase, { minLength: 2, maxLength: 8 }), weight: 3 },
      { arbitrary: fc.array(oneCase, { minLength: 32, maxLength: 32 }), weight: 1 },
    );
    await fc.assert(
      fc.asyncProperty(batches, async (cases) => {
        const memories: SequenceMemory[] = [];
        for (const [index, one] of cases.entries()) memories.push(await memoryOf(one, index));
        const wants = cases.map((one, index) => wantOf(one, index, memories[index]));
        const outcomes = await runner.step(wants);
        for (const [index, one] of cases.entries()) {
          const { step, next } = await alone(one, index);
          const rejected = one.fate === "is cancelled" || (one.fate === "is too long" && one.policy === "full");
          expect(outcomes[index].status).toBe(rejected ? "rejected" : "fulfilled");
          expect(outcomes[index]).toEqual(step);
          expect(memories[index].seen).toBe(one.before + (rejected ? 0 : one.rows));
          // What it reads next is as if it had been alone, also where it failed.
          expect(await runner.run(memories[index], Int32Array.of(3), "last", copy)).toEqual(next);
        }
        for (const memory of memories) memory.dispose();
      }),
      { numRuns: name === "reference" ? 4 : 10, seed: 20, endOnFailure: true },
    );
  });

  const READS: Case = { policy: "full", kv: "f32", before: 4, rows: 1, wanted: "last", fate: "reads" };

  it("says for each why it took no part", async () => {
    const cases: Case[] = [READS, { ...READS, fate: "is cancelled" }, { ...READS, fate: "is too long" }, READS];
    const memories = await Promise.all(cases.map(memoryOf));
    const outcomes = await runner.step(cases.map((one, index) => wantOf(one, index, memories[index])));
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected", "fulfilled"]);
    expect(outcomes[1]).toMatchObject({ reason: expect.any(CancelledError) });
    expect(outcomes[2]).toMatchObject({ reason: expect.any(ContextFullError) });
    for (const memory of memories) memory.dispose();
  });

  it("keeps what was collected when someone's own reader throws, and goes on for the others", async () => {
    const memories = await Promise.all([READS, READS].map(memoryOf));
    const [mine, other] = [READS, READS].map((one, index) => wantOf(one, index, memories[index]));
    const use = () => {
      throw new RangeError("mine");
    };
    const outcomes = await runner.step([{ ...mine, use }, other]);
    expect(outcomes).toMatchObject([{ reason: { message: "mine" } }, { status: "fulfilled" }]);
    expect(memories.map(({ seen }) => seen)).toEqual([5, 5]);
    for (const memory of memories) memory.dispose();
  });

  it("reads nothing twice: a sequence takes part once", async () => {
    const memory = await memoryOf(READS, 0);
    const want = wantOf(READS, 0, memory);
    await expect(runner.step([want, { ...want }])).rejects.toThrow(InternalError);
    memory.dispose();
  });

  it("finds the one whose numbers overflow, alone, and leaves it as it was", async () => {
    // One token's embedding is too large for the cache of f16, and finite in one of f32.
    const { spec, values } = randomModel(SMALL, 5);
    const loud = new Map([...values].map(([tensor, numbers]) => [tensor, loudKeys(tensor, numbers)] as const));
    const own = new StepRunner(backend, bind({ spec, values: loud }, backend));
    const open = (kv: KvType) =>
      new SequenceMemory(backend, own.decoder.shapes, {
        policy: parsePolicy("full"),
        keyType: kv,
        valueType: kv,
        limit: 9,
      });
    const memories = [open("f16"), open("f32"), open("f16"), open("f32")];
    const wants = memories.map((state) => ({ state, ids: Int32Array.of(1, 2), wanted: "last" as const, use: copy }));
    const outcomes = await own.step(wants);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "rejected", "fulfilled"]);
    expect(outcomes[0]).toMatchObject({ reason: expect.any(NumericError) });
    expect(memories.map(({ seen }) => seen)).toEqual([0, 2, 0, 2]);
    for (const memory of memories) memory.dispose();
  });

  it("tells the one whose logits are not finite", async () => {
    const { spec, values } = randomModel(SMALL, 5);
    const damaged = new Map(
      [...values].map(([tensor, numbers]) => [tensor, brokenEmbedding(tensor, numbers)] as const),
    );
    const own = new StepRunner(backend, bind({ spec, values: damaged }, backend));
    const settings = { policy: parsePolicy("full"), keyType: "f32", valueType: "f32", limit: 9 } as const;
    const memories = [0, 1, 2].map(() => new SequenceMemory(backend, own.decoder.shapes, settings));
    const wants = memories.map((state, index) => ({
      state,
      ids: Int32Array.of(index === 1 ? BROKEN : 2),
      wanted: "last" as const,
      use: copy,
    }));
    const outcomes = await own.step(wants);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(outcomes[1]).toMatchObject({ reason: expect.any(NumericError) });
    expect(memories.map(({ seen }) => seen)).toEqual([1, 0, 1]);
    for (const memory of memories) memory.dispose();
  });

  it("tells the backend which rows, and which outputs, are of sequences that read few", async () => {
    const splits: (readonly RowSplit[] | undefined)[] = [];
    const begin = backend.beginStep.bind(backend);
    backend.beginStep = (given) => {
      splits.push(given);
      begin(given);
    };
    const cases: Case[] = [
      { ...READS, rows: 12, wanted: "all" },
      { ...READS, rows: 20 },
      READS,
      { ...READS, rows: 3, wanted: "all" },
    ];
    const memories = await Promise.all(cases.map(memoryOf));
    splits.length = 0;
    await runner.step(cases.map((one, index) => wantOf(one, index, memories[index])));
    Reflect.deleteProperty(backend, "beginStep");
    expect(splits).toEqual([
      [
        { rows: 36, few: 4 },
        { rows: 17, few: 5 },
      ],
    ]);
    for (const memory of memories) memory.dispose();
  });
});

/** The token whose embedding is no number. */
const BROKEN = 9;
const { heads, headWidth } = SMALL;

function brokenEmbedding(tensor: string, numbers: Float32Array): Float32Array {
  if (!tensor.startsWith("embedding")) return numbers;
  return numbers.map((value, i) => (Math.floor(i / (heads * headWidth)) === BROKEN ? Number.NaN : value));
}

function loudKeys(tensor: string, numbers: Float32Array): Float32Array {
  return tensor.endsWith(".v") ? numbers.map((value) => value * 1e6) : numbers;
}

describe("the rows of a step", () => {
  it("are those of decoding sequences first, in the order given", () => {
    const rows = [20, 1, 3, 9, 1];
    const wants = rows.map((length, index) => fakeWant(Int32Array.from({ length }, () => index)));
    const { placed, ids } = layOut(wants);
    expect(placed.map(({ want }) => want.ids[0])).toEqual([1, 2, 4, 0, 3]);
    expect(placed.map(({ start }) => start)).toEqual([0, 1, 4, 5, 25]);
    expect([...ids.subarray(0, 6)]).toEqual([1, 2, 2, 2, 4, 0]);
  });
});

/** A layout asks no state. */
function fakeWant(ids: Int32Array): Want<void> {
  const shapes = { attention: [], recurrent: [], cross: [], encoder: [] };
  const options = { policy: parsePolicy("full"), keyType: "f32", valueType: "f32", limit: 1 } as const;
  return { state: new SequenceMemory(new ReferenceBackend(), shapes, options), ids, wanted: "last", use: () => {} };
}
