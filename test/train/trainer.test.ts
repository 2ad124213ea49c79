/** Optimizer steps: how they add up, resume, stop and fail. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import type { Backend } from "../../src/tensor/backend.js";
import { restoreCheckpoint } from "../../src/train/checkpoint.js";
import type { TrainingConfig } from "../../src/train/config.js";
import { CopyTask } from "../../src/train/data/copy.js";
import type { StepReport, Trainer, TrainerParts } from "../../src/train/trainer.js";
import { CancelledError, NumericError } from "../../src/util/errors.js";
import {
  differing,
  numbersOf,
  SYMBOLS,
  saveTrainer,
  type TinyChange,
  tinyConfig,
  tinyTrainer,
} from "../support/tiny-training.js";
import { temporaryFolder } from "../support/trained.js";

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const MAMBA: TinyChange = {
  model: { architecture: "mamba" },
  keys: { "ssm.conv_kernel": 3, "ssm.inner_size": 32, "ssm.state_size": 4, "ssm.time_step_rank": 2 },
};
/** Four steps of 8 tokens a sample, then three of 16. */
const TWO_STAGES = [
  {},
  { name: "two", contextLength: 16, tokens: 96, keys: { "rope.freq_base": 40000 }, attention: "sinks:1,recent:6" },
];

async function run(trainer: Trainer, steps = Number.POSITIVE_INFINITY): Promise<StepReport[]> {
  const reports: StepReport[] = [];
  while (!trainer.finished && reports.length < steps) reports.push(await trainer.step());
  return reports;
}

describe.each([
  { name: "reference", create: () => createBackend("reference", { threads: 1 }) },
  {
    name: "wasm, 2 threads",
    create: () => createWasmBackend({ threads: 2, parallelNs: 0, maxMemoryBytes: 2 ** 28 }),
  },
])("on $name", ({ name, create }) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await create();
  });
  afterAll(() => backend.dispose());

  it("gradients that are gathered over passes are those of one pass, but for the order of sums", async () => {
    // An epsilon of 1 makes the step nearly proportional to the gradient; a usual one would enlarge the rounding of small ones.
    const sizes = (microBatchTokens: number) =>
      tinyTrainer(
        backend,
        tinyConfig({ stages: [{ microBatchTokens }], optimizer: { epsilon: 1, decay: 0, rate: 0.5 } }),
      );
    const [whole, parts] = [sizes(32), sizes(8)];
    const [one, four] = [await whole.step(), await parts.step()];
    expect(Math.abs(four.loss - one.loss) / one.loss).toBeLessThan(1e-6);
    expect(Math.abs(four.gradientNorm - one.gradientNorm) / one.gradientNorm).toBeLessThan(1e-6);
    const start = tinyTrainer(backend, tinyConfig());
    for (const [i, { values, use }] of whole.weights.list.entries()) {
      const begun = start.weights.list[i].values;
      const other = parts.weights.list[i].values;
      const moved = Math.hypot(...values.map((value, j) => value - begun[j]));
      const error = Math.hypot(...values.map((value, j) => value - other[j]));
      expect(moved, use.name).toBeGreaterThan(0);
      // Roundings of sums of 32 rows, and of the weights themselves.
      expect(error, use.name).toBeLessThan(1e-5 * moved + 2 ** -24 * Math.hypot(...values));
    }
  });

  it("counts steps, stages and tokens, and reports what it learns from", async () => {
    const trainer = tinyTrainer(backend, tinyConfig({ stages: TWO_STAGES, optimizer: { warmupSteps: 2, rate: 0.01 } }));
    expect([trainer.totalSteps, trainer.totalTokens]).toEqual([7, 7 * 32]);
    const reports = await run(trainer);
    expect(
      reports.map(({ step, stage, stageStep, tokens, stageName }) => [step, stage, stageStep, tokens, stageName]),
    ).toEqual([
      [1, 0, 1, 32, "one"],
      [2, 0, 2, 64, "one"],
      [3, 0, 3, 96, "one"],
      [4, 1, 0, 128, "one"],
      [5, 1, 1, 160, "two"],
      [6, 1, 2, 192, "two"],
      [7, 2, 0, 224, "two"],
    ]);
    for (const { loss, lossBySource } of reports) {
      expect(Object.keys(lossBySource)).toEqual(["copy"]);
      // Weights of the copy task are all 1.
      expect(lossBySource.copy).toBeCloseTo(loss, 12);
      expect(loss).toBeGreaterThan(0.8 * Math.log(SYMBOLS));
      expect(loss).toBeLessThan(1.3 * Math.log(SYMBOLS + 1));
    }
    expect(reports.map(({ rate }) => rate)[0]).toBeCloseTo(0.005, 12);
    expect(reports.at(-1)?.rate).toBeCloseTo(0.001, 12);
  });

  it.each<[string, TinyChange]>([
    ["across a stage's border", { stages: TWO_STAGES }],
    ["with layers computed anew", { stages: TWO_STAGES, activationCheckpointing: true }],
    ["with decays and states", { ...MAMBA, stages: [{}] }],
  ])("resumed at any step it gives the losses of a run never stopped, bit for bit, %s", async (_, change) => {
    const config = tinyConfig(change);
    const whole = tinyTrainer(backend, config);
    const files: string[] = [];
    const reports: StepReport[] = [];
    while (!whole.finished) {
      files.push(await saveTrainer(whole, join(folder, `${name}-${files.length}.safetensors`)));
      reports.push(await whole.step());
    }
    const last = await numbersOf(whole);
    for (const [at, file] of files.entries()) {
      const resumed = tinyTrainer(backend, { ...config, seed: 99 });
      resumed.state = await restoreCheckpoint(file, resumed.weights);
      expect(await run(resumed), `from step ${at}`).toEqual(reports.slice(at));
      expect(differing(await numbersOf(resumed), last)).toEqual([]);
      resumed.dispose();
    }
  });

  it.each([0, 1])("a step that is stopped before pass %d changes nothing, and is then as any other", async (stopAt) => {
    let pass = 0;
    let stopping = false;
    const onPass = () => {
      if (stopping && pass++ === stopAt) throw new CancelledError("stop");
    };
    const config = tinyConfig();
    const [trainer, other] = [tinyTrainer(backend, config, { onPass }), tinyTrainer(backend, config)];
    expect(await trainer.step()).toEqual(await other.step());
    const [before, state] = [await numbersOf(trainer), trainer.state];
    stopping = true;
    await expect(trainer.step()).rejects.toThrow(CancelledError);
    stopping = false;
    expect(differing(await numbersOf(trainer), before)).toEqual([]);
    expect(trainer.state).toEqual(state);
    expect(await trainer.step()).toEqual(await other.step());
  });

  it("a sample that cannot be drawn changes nothing either", async () => {
    const config = tinyConfig();
    let broken = true;
    const task = new CopyTask({ seed: 1, symbols: [0, 1, 2], separator: 10 });
    const sources = () => ({
      sample: async (n: number, length: number) => {
        if (broken && n === 2) throw new Error("unread");
        return { source: "copy", sample: await task.sample(n, length) };
      },
    });
    const trainer = tinyTrainer(backend, config, { sources });
    const before = await numbersOf(trainer);
    await expect(trainer.step()).rejects.toThrow("unread");
    expect(differing(await numbersOf(trainer), before)).toEqual([]);
    broken = false;
    expect((await trainer.step()).step).toBe(1);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])("a weight of %d is refused, with nothing changed", async (poison) => {
    const trainer = tinyTrainer(backend, tinyConfig());
    await trainer.step();
    const { values } = trainer.weights.byName("blk.1.ffn_up.weight");
    await trainer.weights.settle();
    const good = values[3];
    values[3] = poison;
    const [before, state] = [await numbersOf(trainer), trainer.state];
    const error = await trainer.step().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(NumericError);
    expect(error).toMatchObject({ details: { step: 2 } });
    expect(String(error)).toMatch(/step 2 is NaN.*Lower optimizer.rate/);
    expect(differing(await numbersOf(trainer), before)).toEqual([]);
    expect(trainer.state).toEqual(state);
    values[3] = good;
    const untouched = tinyTrainer(backend, tinyConfig());
    await untouched.step();
    expect(await trainer.step()).toEqual(await untouched.step());
  });

  it("gradients that are no numbers are refused, though the loss is one, and are gone", async () => {
    const trainer = tinyTrainer(backend, tinyConfig());
    const before = await numbersOf(trainer);
    const { gradient } = trainer.weights.byName("blk.0.attn_q.weight");
    const poisoned = (await gradient.read()).slice().fill(Number.POSITIVE_INFINITY, 0, 1);
    gradient.write(poisoned);
    const error = await trainer.step().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(NumericError);
    expect(String(error)).toMatch(/step 1 is \d.*gradients Infinity/);
    expect(differing(await numbersOf(trainer), before)).toEqual([]);
  });

  it("every stage reads its own samples from the first on, each once", async () => {
    const asked: number[][] = [[], []];
    const sample = { ids: new Int32Array(17), weights: new Float32Array(16).fill(1) };
    const sources: TrainerParts["sources"] = (_, index) => ({
      sample: async (n, length) => {
        asked[index].push(n);
        return {
          source: "a",
          sample: { ids: sample.ids.subarray(0, length + 1), weights: sample.weights.subarray(0, length) },
        };
      },
    });
    await run(tinyTrainer(backend, tinyConfig({ stages: TWO_STAGES }), { sources }));
    const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);
    expect(asked).toEqual([upTo(4 * 4), upTo(3 * 2)]);
  });

  it("samples that ask for nothing teach nothing, and are no error", async () => {
    const silent = { ids: Int32Array.from({ length: 9 }, (_, i) => i), weights: new Float32Array(8) };
    const sources = () => ({ sample: async () => ({ source: "silence", sample: silent }) });
    const trainer = tinyTrainer(backend, tinyConfig({ optimizer: { decay: 0 } }), { sources });
    const before = await numbersOf(trainer);
    expect(await trainer.step()).toMatchObject({ loss: 0, gradientNorm: 0, lossBySource: { silence: 0 } });
    expect(differing(await numbersOf(trainer), before)).toEqual([]);
  });

  it("zero sinks stay zero, learned ones and all else move", async () => {
    for (const sinks of ["zero", "learned"]) {
      const trainer = tinyTrainer(backend, tinyConfig({ model: { architecture: "sluice", sinks } }));
      const before = await numbersOf(trainer);
      await run(trainer, 3);
      const moved = differing(await numbersOf(trainer), before).filter((each) => !/ of /.test(each));
      const expected = trainer.weights.list.map(({ use }) => use.name);
      expect(moved).toEqual(expected.filter((each) => sinks === "learned" || !/attn_sinks/.test(each)));
      if (sinks === "learned") continue;
      for (const block of [0, 1]) {
        expect(new Set(trainer.weights.byName(`blk.${block}.attn_sinks.weight`).values)).toEqual(new Set([0]));
      }
    }
  });

  it("decays of state spaces stay negative at any rate", async () => {
    const config = tinyConfig({ ...MAMBA, optimizer: { rate: 3, warmupSteps: 0, decay: 0.1 } });
    const trainer = tinyTrainer(backend, config);
    const before = await numbersOf(trainer);
    await run(trainer, 2);
    const after = await numbersOf(trainer);
    for (const block of [0, 1]) {
      const key = `blk.${block}.ssm_a`;
      expect(differing(after, before)).toContain(key);
      for (const value of after.get(key) ?? []) expect(value).toBeLessThan(0);
    }
  });
});

test("one and two threads learn the same, bit for bit", async () => {
  const results = await Promise.all(
    [1, 2].map(async (threads) => {
      const backend = await createWasmBackend({ threads, parallelNs: 0, maxMemoryBytes: 2 ** 28 });
      const trainer = tinyTrainer(backend, tinyConfig({ stages: TWO_STAGES, activationCheckpointing: threads === 2 }));
      const result = { reports: await run(trainer), numbers: await numbersOf(trainer) };
      await backend.dispose();
      return result;
    }),
  );
  expect(results[1].reports).toEqual(results[0].reports);
  expect(differing(results[1].numbers, results[0].numbers)).toEqual([]);
});

test("it learns to copy", async () => {
  const config: TrainingConfig = tinyConfig({
    keys: { embedding_length: 32, feed_forward_length: 64 },
    stages: [{ contextLength: 16, batchTokens: 256, microBatchTokens: 256, tokens: 250 * 256 }],
    optimizer: { rate: 0.01, warmupSteps: 20, decay: 0.01 },
  });
  const backend = await createWasmBackend({ threads: 2, maxMemoryBytes: 2 ** 28 });
  const trainer = tinyTrainer(backend, config);
  await run(trainer);
  const task = new CopyTask({ seed: 1000, symbols: Array.from({ length: SYMBOLS }, (_, i) => i), separator: SYMBOLS });
  const samples = await Promise.all(Array.from({ length: 64 }, (_, n) => task.sample(n, 16)));
  const asked = samples.map(({ weights }) => [...weights.keys()].filter((row) => weights[row] > 0));
  const { predicted } = await trainer.passOf(0).predict(samples, asked);
  const right = asked.map((rows, s) => rows.filter((row, i) => predicted[s][i] === samples[s].ids[row + 1]).length);
  const share = right.reduce((a, b) => a + b, 0) / asked.flat().length;
  expect(share).toBeGreaterThan(0.99);
  await backend.dispose();
});
