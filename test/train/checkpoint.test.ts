/** Checkpoints of runs: every bit comes back, and what is no checkpoint of the run is refused. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { safetensorsFile } from "../../src/formats/write/safetensors-writer.js";
import type { Backend } from "../../src/tensor/backend.js";
import { restoreCheckpoint } from "../../src/train/checkpoint.js";
import type { Trainer } from "../../src/train/trainer.js";
import { FormatError, NotFoundError } from "../../src/util/errors.js";
import { Random } from "../../src/util/random.js";
import {
  differing,
  numbersOf,
  saveTrainer,
  type TinyChange,
  tinyConfig,
  tinyTrainer,
  writeBytes,
} from "../support/tiny-training.js";
import { temporaryFolder, writeStreamed } from "../support/trained.js";

const folder = temporaryFolder();
const path = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const STATE = { step: 41, stage: 1, stageStep: 7, tokens: 123456789 };
const ZERO_SINKS: TinyChange = { model: { architecture: "sluice", sinks: "zero" } };

/** Any bits but those of NaN, whose payloads engines may change; zeros of both signs and subnormals among them. */
function fillAtRandom(trainer: Trainer, seed: number): void {
  const random = new Random(seed);
  const numbers = (count: number) => {
    const bits = Uint32Array.from({ length: count }, () => random.uint32());
    const values = new Float32Array(bits.buffer);
    return values.map((value, i) => (Number.isNaN(value) ? -0 : i % 17 === 0 ? 1e-42 : value));
  };
  for (const { values, first, second } of trainer.weights.list) {
    values.set(numbers(values.length));
    for (const kept of [first, second]) kept.write(numbers(values.length));
  }
}

describe.each(["reference", "wasm"] as const)("on %s", (name) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend(name, { threads: 1 });
  });
  afterAll(() => backend.dispose());

  const trainer = (change: TinyChange = {}) => tinyTrainer(backend, tinyConfig(change));

  it("all weights, moments and counters come back bit for bit", async () => {
    const [from, to] = [trainer(), trainer()];
    fillAtRandom(from, 1);
    from.state = STATE;
    const file = await saveTrainer(from, path(`${name}.safetensors`));
    expect(differing(await numbersOf(to), await numbersOf(from))).not.toEqual([]);
    expect(await restoreCheckpoint(file, to.weights)).toEqual(STATE);
    expect(differing(await numbersOf(to), await numbersOf(from))).toEqual([]);
  });

  it("frozen weights have no moments", async () => {
    const [from, to] = [trainer(ZERO_SINKS), trainer(ZERO_SINKS)];
    const file = await saveTrainer(from, path(`${name}-frozen.safetensors`));
    await restoreCheckpoint(file, to.weights);
    expect(readFileSync(file, "latin1")).toContain("weight:blk.0.attn_sinks.weight");
    expect(readFileSync(file, "latin1")).not.toContain("first:blk.0.attn_sinks.weight");
  });
});

describe("refused with the reason", () => {
  let trainer: Trainer;
  let backend: Backend;
  let whole: Buffer;
  beforeAll(async () => {
    backend = await createBackend("reference", { threads: 1 });
    trainer = tinyTrainer(backend, tinyConfig());
    whole = readFileSync(await saveTrainer(trainer, path("whole.safetensors")));
  });
  afterAll(() => backend.dispose());

  const restored = async (file: string): Promise<unknown> =>
    restoreCheckpoint(file, trainer.weights).catch((error: unknown) => error);
  async function expectRefused(file: string, message: string): Promise<void> {
    const error = await restored(file);
    expect(error).toBeInstanceOf(FormatError);
    expect(String(error)).toContain(message);
  }

  it("a file that was cut short, wherever", async () => {
    const before = await numbersOf(trainer);
    for (const length of [0, 5, 8, 9, 400, Math.floor(whole.length / 2), whole.length - 1]) {
      expect(await restored(writeBytes(path("cut"), whole.subarray(0, length))), `${length} bytes`).toBeInstanceOf(
        FormatError,
      );
    }
    // The header tells, before anything is brought back.
    expect(differing(await numbersOf(trainer), before)).toEqual([]);
  });

  it("a file of another kind, or of another version", async () => {
    await expectRefused(writeBytes(path("gguf"), Buffer.from("GGUF\x03\0\0\0 and so on")), "not a safetensors file");
    const tensors = [{ name: "weight:a", dtype: "f32", rows: 1, cols: 1, read: () => new Float32Array(1) }] as const;
    const foreign = [{}, { kind: "pt" }, { kind: "sluice-training" }, { kind: "sluice-training", version: "99" }];
    for (const metadata of foreign) {
      const file = await writeStreamed(path("foreign"), safetensorsFile({ tensors, metadata }));
      await expectRefused(file, "no training checkpoint of this version");
    }
  });

  it.each([
    [{ keys: { embedding_length: 32 } }, '"weight:token_embd.weight" as f32 [11, 16]; it is f32 [11,32]'],
    [{ keys: { block_count: 1 } }, '"weight:blk.1.attn_norm.weight" as f32 [1, 16]; it is missing'],
  ])("the checkpoint of another model: %j", async (change, message) => {
    const other = tinyTrainer(backend, tinyConfig(change));
    await expectRefused(await saveTrainer(other, path("other.safetensors")), message);
  });

  it("the checkpoint of a model whose weights were frozen", async () => {
    const other = tinyTrainer(backend, tinyConfig(ZERO_SINKS));
    const file = await saveTrainer(other, path("zero.safetensors"));
    const learned = tinyTrainer(backend, tinyConfig({ model: { architecture: "sluice", sinks: "learned" } }));
    const error = await restoreCheckpoint(file, learned.weights).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(FormatError);
    expect(String(error)).toContain('"first:blk.0.attn_sinks.weight"');
  });

  it.each(["", "x", "-1", "1.5", "1e300"])("a counter of %j", async (step) => {
    const tensors = [] as const;
    const metadata = { kind: "sluice-training", version: "1", step, stage: "0", stageStep: "0", tokens: "0" };
    await expectRefused(await writeStreamed(path("counter"), safetensorsFile({ tensors, metadata })), '"step" is');
  });

  it("nothing", async () => {
    expect(await restored(path("nothing"))).toBeInstanceOf(NotFoundError);
  });
});
