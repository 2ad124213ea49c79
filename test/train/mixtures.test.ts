/**
 * Mixtures of experts through the trainer: the same bits on any threads, the same model in the engine once exported, and
 * experts that come to share the work.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import { WasmRouting } from "../../src/backends/wasm/ops/experts.js";
import { own } from "../../src/backends/wasm/tensors.js";
import type { Routing } from "../../src/tensor/backend.js";
import { checkpointFile } from "../../src/train/checkpoint.js";
import { parseConfig } from "../../src/train/config.js";
import type { Sample } from "../../src/train/data/sample.js";
import { exportGguf } from "../../src/train/export/index.js";
import { stageDefinition } from "../../src/train/model-definition.js";
import { checkpointModel } from "../../src/train/model-files.js";
import { Trainer } from "../../src/train/trainer.js";
import { Random } from "../../src/util/random.js";
import { MemoryFiles } from "../support/memory-files.js";
import { FAMILY_TOKENS, familyTokenizer } from "../support/random-gguf.js";
import { difference, logitsOf, temporaryFolder, writeStreamed } from "../support/trained.js";
import { TRAINING_MODELS } from "../support/training-models.js";

const LENGTH = 24;
const VOCABULARY = FAMILY_TOKENS.length;
const STEPS = 3;

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function modelNamed(name: string) {
  const found = TRAINING_MODELS.find((each) => each.name === name);
  if (!found) throw new Error(`There is no model ${name}.`);
  return found.model;
}

function sampleOf(n: number) {
  const random = new Random(n);
  const ids = Int32Array.from({ length: LENGTH + 1 }, () => random.below(VOCABULARY));
  return { ids, weights: new Float32Array(LENGTH).fill(1) };
}

interface Made {
  readonly model: object;
  readonly threads?: number;
  readonly activationCheckpointing?: boolean;
  readonly rate?: number;
  readonly steps?: number;
  /** Of the four samples of a step. */
  readonly passSamples?: number;
  readonly sampleAt?: (n: number) => Sample;
}

async function trainerOf(made: Made) {
  const { model, threads = 1, activationCheckpointing = false, rate = 0.01, steps = STEPS } = made;
  const { passSamples = 2, sampleAt = sampleOf } = made;
  const sizes = { contextLength: LENGTH, batchTokens: 4 * LENGTH, microBatchTokens: passSamples * LENGTH };
  const stages = [{ name: "one", tokens: steps * sizes.batchTokens, ...sizes }];
  const given = { name: "mixture", model, tokenizer: { vocabularySize: 258 }, stages, activationCheckpointing };
  const optimizer = { rate, warmupSteps: 0, schedule: "cosine", decay: 0 };
  const config = parseConfig({ ...given, optimizer }, "test");
  const backend = await createWasmBackend({ threads, parallelNs: 0, maxMemoryBytes: 2 ** 28 });
  const sources = () => ({ sample: async (n: number) => ({ source: "text", sample: sampleAt(n) }) });
  const trainer = new Trainer({ backend, config, vocabulary: VOCABULARY, sources });
  const dispose = async () => {
    trainer.dispose();
    await backend.dispose();
  };
  return { trainer, backend, config, dispose };
}

async function trained(made: Made) {
  const { trainer, config, dispose } = await trainerOf(made);
  for (let step = 0; step < (made.steps ?? STEPS); step++) await trainer.step();
  await trainer.weights.settle();
  return { trainer, config, dispose, values: trainer.weights.list.map(({ values }) => values.slice()) };
}

/** The trainer's model as a file that the engine loads. */
async function exported({ trainer, config }: Awaited<ReturnType<typeof trained>>, name: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of checkpointFile(trainer.weights, trainer.state).chunks()) chunks.push(chunk.slice());
  const source = await new MemoryFiles({ checkpoint: Buffer.concat(chunks) }).open("checkpoint");
  const model = await checkpointModel(source, stageDefinition(config, VOCABULARY, 0), {});
  const tokenizerKeys = new Map(Object.entries(familyTokenizer()));
  return writeStreamed(join(folder, `${name}.gguf`), await exportGguf({ model, quant: "f32", tokenizerKeys }));
}

function lossesOf(logits: readonly Float32Array[], ids: Int32Array): number[] {
  return logits.map((row, t) => {
    const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
    return Math.log(total) - row[ids[t + 1]];
  });
}

describe.each(["mixtral", "jamba", "gpt-oss"])("%s", (name) => {
  const model = { ...modelNamed(name), balance: 0.5 };

  it("learns the same bits on one thread and two, and when layers are computed anew", async () => {
    const one = await trained({ model });
    for (const other of [
      await trained({ model, threads: 2 }),
      await trained({ model, activationCheckpointing: true }),
    ]) {
      const wrong = one.values.flatMap((values, i) => {
        return difference(values, other.values[i]) < 0 ? [] : [one.trainer.weights.list[i].use.name];
      });
      expect(wrong).toEqual([]);
      await other.dispose();
    }
    await one.dispose();
  });

  it("says the same in the engine", async () => {
    const made = await trained({ model });
    const sample = sampleOf(99);
    const [losses] = await made.trainer.passOf(0).evaluate([sample]);
    const logits = await logitsOf(await exported(made, name), sample.ids.subarray(0, LENGTH));
    const found = lossesOf(logits, sample.ids);
    const off = found.map((loss, t) => Math.abs(loss - losses[t]));
    // Rounding to f32 of what two layers add up: some 1e-6.
    expect(Math.max(...off)).toBeLessThan(2e-5);
    await made.dispose();
  });
});

it("the matrices of experts and the router decay, their biases do not", async () => {
  const { trainer, dispose } = await trainerOf({ model: modelNamed("gpt-oss") });
  const ofExperts = trainer.weights.list.filter(({ use }) => /ffn_/.test(use.name) && !/norm/.test(use.name));
  expect(ofExperts.length).toBe(2 * (2 + 3 * 2));
  for (const { use, decays } of ofExperts) expect(decays, use.name).toBe(/weight/.test(use.name));
  await dispose();
});

describe("balance", () => {
  /** The largest part of the last choices in the first layer that one expert has, begun with a preference for one. */
  async function largestShare(balance: number): Promise<number> {
    const [steps, last] = [40, 10];
    const model = { ...modelNamed("mixtral"), tensors: String.raw`ffn_gate_inp\.bias`, balance };
    const { trainer, backend, dispose } = await trainerOf({ model, steps, rate: 0.003 });
    trainer.weights.byName("blk.0.ffn_gate_inp.bias").values.set([3, 0, 0]);
    for (let step = 0; step < steps - last; step++) await trainer.step();
    const routings: Routing[] = [];
    const route = backend.route.bind(backend);
    backend.route = (...call) => {
      const routing = route(...call);
      routings.push(routing);
      return routing;
    };
    for (let step = 0; step < last; step++) await trainer.step();
    await dispose();
    // Two passes of two layers.
    expect(routings.length).toBe(4 * last);
    const experts = routings
      .filter((_, call) => call % 2 === 0)
      .flatMap((routing) => Array.from(own(WasmRouting, routing).experts));
    return (
      Math.max(...[0, 1, 2].map((expert) => experts.filter((chosen) => chosen === expert).length)) / experts.length
    );
  }

  it("lets experts come to share the work", async () => {
    expect(await largestShare(0)).toBeGreaterThan(0.48);
    // Of two choices among three experts.
    expect(await largestShare(0.1)).toBeLessThan(0.45);
  });

  it("weighs the same in one pass and in two", async () => {
    const model = { ...modelNamed("gpt-oss"), balance: 3 };
    const norms: number[] = [];
    for (const passSamples of [4, 2]) {
      const { trainer, dispose } = await trainerOf({ model, passSamples, sampleAt: () => sampleOf(5) });
      norms.push((await trainer.step()).gradientNorm);
      await dispose();
    }
    expect(Math.abs(norms[1] / norms[0] - 1)).toBeLessThan(1e-5);
  });
});
