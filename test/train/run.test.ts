/** A run in its folder, from texts to a model that the engine loads. */
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer as Oracle } from "@huggingface/tokenizers";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { Backend } from "../../src/tensor/backend.js";
import { charOfByte } from "../../src/tokenizer/byte-level.js";
import { byteLevelJson } from "../../src/tokenizer/train/tokenizer-json.js";
import { parseConfig } from "../../src/train/config.js";
import { exportGguf, exportHuggingFace, saveFolder } from "../../src/train/export/index.js";
import { folderModel } from "../../src/train/folder-model.js";
import type { EvaluationLine, LogLine, StepLine } from "../../src/train/log.js";
import { prepareRun } from "../../src/train/prepare.js";
import { type RunHooks, TrainingRun } from "../../src/train/run.js";
import { RunFolder } from "../../src/train/run-folder.js";
import {
  ArgumentError,
  CancelledError,
  FormatError,
  MemoryError,
  NotFoundError,
  NumericError,
  UnsupportedError,
} from "../../src/util/errors.js";
import { Random } from "../../src/util/random.js";
import { logitsOf, temporaryFolder, writeStreamed } from "../support/trained.js";

const place = temporaryFolder();
const texts = join(place, "texts");
let backend: Backend;
beforeAll(async () => {
  mkdirSync(texts);
  for (const [index, name] of ["one.txt", "two.md", "held.txt"].entries())
    writeFileSync(join(texts, name), prose(index));
  backend = await createWasmBackend({ threads: 2, maxMemoryBytes: 2 ** 28 });
});
afterAll(async () => {
  await backend.dispose();
  rmSync(place, { recursive: true, force: true });
});

/** Words of two or three syllables of forty, in any order. */
function prose(seed: number): string {
  const random = new Random(seed);
  const syllable = () => `${"bdfghklmnprstvwz"[random.below(8) + (seed % 2)]}${"aeiou"[random.below(5)]}`;
  const word = () => Array.from({ length: 2 + random.below(2) }, syllable).join("");
  return Array.from({ length: 700 }, word).join(" ");
}

const CONFIG = {
  name: "small",
  model: {
    keys: {
      block_count: 2,
      embedding_length: 32,
      feed_forward_length: 48,
      "attention.head_count": 4,
      "attention.head_count_kv": 2,
      "attention.layer_norm_rms_epsilon": 1e-5,
    },
  },
  tokenizer: { vocabularySize: 300 },
  sinkToken: true,
  data: {
    heldOut: ["held"],
    mixture: [
      { source: "text", share: 3 },
      { source: "copy", share: 1 },
    ],
  },
  stages: [
    { name: "short", tokens: 4 * 128, contextLength: 32, batchTokens: 128, microBatchTokens: 64 },
    { name: "long", tokens: 3 * 128, contextLength: 64, batchTokens: 128, keys: { "rope.freq_base": 30000 } },
  ],
  optimizer: { warmupSteps: 2, rate: 0.02 },
  evaluation: { everySteps: 2, windows: 3 },
  checkpoints: { everySteps: 2, keep: 2 },
};

let runs = 0;
async function prepared(change: object = {}): Promise<RunFolder> {
  const folder = new RunFolder(join(place, `run-${++runs}`));
  await prepareRun(folder, parseConfig({ ...CONFIG, ...change }, "x"), { paths: [texts] });
  return folder;
}

async function trained(folder: RunFolder, hooks: RunHooks = {}): Promise<TrainingRun> {
  const run = await TrainingRun.open(folder, backend, hooks);
  try {
    await run.train();
  } finally {
    await run.close();
  }
  return run;
}

/** What does not depend on the clock. */
const timeless = (lines: readonly LogLine[]) =>
  lines.map((line) => (line.kind === "step" ? { ...line, tokensPerSecond: 0 } : line));
const stepsOf = (lines: readonly LogLine[]): StepLine[] => lines.filter((line) => line.kind === "step");
const written = (folder: RunFolder): LogLine[] =>
  readFileSync(folder.path("log.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("from the beginning to the end", () => {
  let folder: RunFolder;
  let run: TrainingRun;
  const seen = { steps: 0, evaluations: 0, checkpoints: [] as number[] };
  beforeAll(async () => {
    folder = await prepared();
    run = await trained(folder, {
      onStep: () => seen.steps++,
      onEvaluation: () => seen.evaluations++,
      onCheckpoint: (step) => seen.checkpoints.push(step),
    });
  });

  it("everything that was prepared lies in the folder", async () => {
    const names = readdirSync(folder.location).sort();
    expect(names).toEqual([
      "checkpoints",
      "config.json",
      "data",
      "log.jsonl",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    expect(readdirSync(folder.path("data")).sort()).toEqual(["held-out.tokens", "train.tokens"]);
    expect(await folder.config()).toEqual(parseConfig(CONFIG, "x"));
    const { tokenizer } = await folder.tokenizer();
    expect(tokenizer.vocabSize).toBe(300);
    const [train, heldOut] = [await folder.tokens("train"), await folder.tokens("held-out")];
    const held = await heldOut?.read(0, heldOut.count);
    expect(tokenizer.decode([...(held ?? [])].slice(0, -1))).toBe(prose(2));
    expect(held?.at(-1)).toBe(tokenizer.eosId);
    expect(train?.count).toBeGreaterThan(1.5 * (held?.length ?? 0));
    await train?.close();
    await heldOut?.close();
  });

  it("a line of the log for each step and evaluation, in their order", () => {
    const lines = written(folder);
    expect(lines).toEqual(run.log);
    expect(lines.map(({ kind, step, stage }) => `${kind} ${step} ${stage}`)).toEqual([
      "step 1 short",
      "step 2 short",
      "evaluation 2 short",
      "step 3 short",
      "step 4 short",
      "evaluation 4 short",
      "step 5 long",
      "step 6 long",
      "evaluation 6 long",
      "step 7 long",
      "evaluation 7 long",
    ]);
    expect(stepsOf(lines).map(({ tokens }) => tokens)).toEqual([128, 256, 384, 512, 640, 768, 896]);
    for (const { tokensPerSecond, gradientNorm, lossBySource } of stepsOf(lines)) {
      expect(tokensPerSecond).toBeGreaterThan(0);
      expect(gradientNorm).toBeGreaterThan(0);
      for (const name of Object.keys(lossBySource)) expect(["text", "copy"]).toContain(name);
    }
    expect(seen).toMatchObject({ steps: 7, evaluations: 4 });
  });

  it("evaluations measure the held-out text and the tasks", () => {
    const lines = run.log.filter((line): line is EvaluationLine => line.kind === "evaluation");
    for (const { results } of lines) {
      expect(Object.keys(results)).toEqual(["held-out", "copy"]);
      expect(results["held-out"].accuracy).toBeNull();
      expect(results.copy.accuracy).toBeGreaterThanOrEqual(0);
      expect(results.copy.accuracy).toBeLessThanOrEqual(1);
    }
    const text = lines.map(({ results }) => results["held-out"].loss);
    expect(text[0]).toBeLessThan(1.2 * Math.log(300));
    expect(text.at(-1)).toBeLessThan(text[0] - 0.5);
    // Three windows, of which the sink's prediction counts too.
    expect(lines.map(({ results }) => results["held-out"].tokens)).toEqual([96, 96, 192, 192]);
  });

  it("the newest checkpoints are kept", async () => {
    expect(seen.checkpoints).toEqual([2, 4, 6, 7]);
    expect(await folder.checkpoints()).toEqual([6, 7]);
    expect(readdirSync(folder.path("checkpoints"))).toEqual(["step-0000006.safetensors", "step-0000007.safetensors"]);
  });

  it("the model that is written loads in the engine and predicts as the trainer's own pass", async () => {
    const again = await TrainingRun.open(folder, backend);
    const { path } = await again.writeModel();
    expect(path).toBe(folder.path("small.gguf"));
    const heldOut = await folder.tokens("held-out");
    const { tokenizer } = await folder.tokenizer();
    const [sink] = tokenizer.encode("<|sink|>", { addSpecial: false, parseSpecial: true });
    const ids = Int32Array.of(sink, ...((await heldOut?.read(0, 64)) ?? []));
    const [losses] = await again.trainer.passOf(1).evaluate([{ ids, weights: new Float32Array(64).fill(1) }]);
    await heldOut?.close();
    await again.close();

    const exact = await folderModel(folder, async ({ model, tokenizerKeys, step }) => {
      expect(step).toBe(7);
      return writeStreamed(folder.path("exact.gguf"), await exportGguf({ model, tokenizerKeys, quant: "f32" }));
    });
    /** Of f32 by another order of sums; of f16 its rounding, 2^-11 of each weight, averaged over a few dozen. */
    for (const [file, tolerance] of [
      [exact, 2e-5],
      [path, 5e-3],
    ] as const) {
      const logits = await logitsOf(file, ids.subarray(0, 64));
      const errors = logits.map((row, t) => Math.abs(negativeLog(row, ids[t + 1]) - losses[t]));
      expect(Math.max(...errors)).toBeLessThan(tolerance);
    }
    const model = await loadLocal(path, { backend: "wasm", threads: 1 });
    const text = "the river sings under a stone";
    const encoded = await model.encode(text);
    expect([...encoded]).toEqual([sink, ...tokenizer.encode(text, { addSpecial: false, parseSpecial: false })]);
    expect(model.info).toMatchObject({ architecture: "llama", name: "small", trainedContext: 64, vocabulary: 300 });
    await model.dispose();
  });

  it("an ended run trains no further", async () => {
    const again = await trained(folder);
    expect(again.trainer.finished).toBe(true);
    expect(again.log).toEqual(run.log);
  });

  it("stopped between two steps it has a checkpoint, and resumed it is the run that never stopped", async () => {
    const stopping = await prepared();
    const controller = new AbortController();
    const hooks: RunHooks = { signal: controller.signal, onStep: ({ step }) => step === 3 && controller.abort() };
    await expect(trained(stopping, hooks)).rejects.toThrow(CancelledError);
    expect(await stopping.checkpoints()).toEqual([2, 3]);
    expect(timeless(written(stopping))).toEqual(timeless(run.log).slice(0, 4));
    // What a crash leaves: steps behind the checkpoint, and half a line.
    const later = { ...stepsOf(run.log)[3], loss: 99 };
    appendFileSync(stopping.path("log.jsonl"), `${JSON.stringify(later)}\n{"kind":"step","st`);
    const resumed = await trained(stopping);
    expect(timeless(resumed.log)).toEqual(timeless(run.log));
    expect(timeless(written(stopping))).toEqual(timeless(run.log));
    const [one, two] = [folder, stopping].map((each) => readFileSync(each.checkpointPath(7)));
    expect(one.equals(two)).toBe(true);
  });
});

function negativeLog(logits: Float32Array, id: number): number {
  const most = logits.reduce((a, b) => Math.max(a, b));
  return most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0)) - logits[id];
}

it("a configuration that asks for more numbers than its checkpoint has is refused before memory is taken", async () => {
  const folder = await prepared();
  const run = await TrainingRun.open(folder, backend);
  await run.checkpoint();
  await run.close();
  const config = JSON.parse(readFileSync(folder.path("config.json"), "utf8"));
  config.model.keys.embedding_length = 1e9;
  writeFileSync(folder.path("config.json"), JSON.stringify(config));
  const reading = folderModel(folder, async ({ model }) => model.tensors[0].read());
  await expect(reading).rejects.toThrow(FormatError);
  await expect(reading).rejects.toThrow(/has no f32 weight "token_embd.weight" of \d+ numbers/);
});

it("a Hugging Face folder begins texts with the same token as the GGUF file", async () => {
  const folder = await prepared();
  const run = await TrainingRun.open(folder, backend);
  await run.checkpoint();
  const { path } = await run.writeModel();
  await run.close();
  const hf = folder.path("hf");
  await folderModel(folder, async ({ model, tokenizerKeys }) =>
    saveFolder(hf, await exportHuggingFace({ model, tokenizerKeys, dtype: "f32" })),
  );
  const text = "the river sings";
  const found: number[][] = [];
  for (const location of [path, hf]) {
    const model = await loadLocal(location, { backend: "wasm", threads: 1 });
    found.push([...(await model.encode(text))]);
    await model.dispose();
  }
  expect(found[0]).toEqual(found[1]);
  const json = JSON.parse(readFileSync(join(hf, "tokenizer.json"), "utf8"));
  expect(new Oracle(json, {}).encode(text).ids).toEqual(found[0]);
  expect(found[0][0]).toBe(1);
});

describe("a tokenizer that is taken over", () => {
  const special = (id: number, content: string) => ({ id, content, special: true });
  const given = async (specials: readonly string[], beside?: object, endToken?: string): Promise<RunFolder> => {
    const home = join(place, `tokenizer-${++runs}`);
    mkdirSync(home);
    const file = join(home, "tokenizer.json");
    const tokens = [...specials, ...Array.from({ length: 256 }, (_, byte) => charOfByte(byte))];
    const json = {
      ...byteLevelJson(tokens, [], specials.length),
      added_tokens: specials.map((text, id) => special(id, text)),
    };
    writeFileSync(file, JSON.stringify(json));
    if (beside) writeFileSync(join(home, "tokenizer_config.json"), JSON.stringify(beside));
    return prepared({ tokenizer: { file, ...(endToken && { endToken }) }, sinkToken: false });
  };
  const endOf = async (folder: RunFolder) => (await folder.tokenizer()).tokenizer.eosId;

  it("has the end token that is named, here or beside it, or the only one", async () => {
    const beside = { eos_token: { content: "</s>" }, bos_token: "<s>", add_bos_token: true };
    const folder = await given(["<s>", "</s>"], beside);
    expect(await endOf(folder)).toBe(1);
    // Samples have no token in front, so texts have none.
    const { tokenizer } = await folder.tokenizer();
    expect([tokenizer.bosId, tokenizer.addsBos, [...tokenizer.encode("")]]).toEqual([0, false, []]);
    expect(await endOf(await given(["<|sink|>", "</s>"]))).toBe(1);
    expect(await endOf(await given(["<s>", "</s>", "<x>"], { eos_token: "</s>" }, "<x>"))).toBe(2);
    expect(await endOf(await given(["</s>"]))).toBe(0);
  });

  it("is refused where nothing says which ends a text", async () => {
    await expect(given(["<s>", "</s>"])).rejects.toThrow(/tokenizer\.endToken; there are: <s>, <\/s>/);
    await expect(given([])).rejects.toThrow(ArgumentError);
  });
});

describe("refused", () => {
  it("a folder that has the checkpoints of a run without its configuration", async () => {
    const folder = await prepared();
    await trained(folder);
    rmSync(folder.path("config.json"));
    const again = prepareRun(folder, parseConfig(CONFIG, "x"), { paths: [texts] });
    await expect(again).rejects.toThrow(/checkpoints or the log of another run/);
    expect(await folder.checkpoints()).toEqual([6, 7]);
  });

  it("a configuration that was changed to what cannot be carried out", async () => {
    const folder = await prepared();
    const [short, long] = CONFIG.stages;
    const changed = { ...CONFIG, stages: [short, { ...long, keys: { "rope.freq_bass": 3 } }] };
    writeFileSync(folder.path("config.json"), JSON.stringify(changed));
    await expect(TrainingRun.open(folder, backend)).rejects.toThrow(/rope\.freq_bass/);
    const dynamic = { ...CONFIG.model.keys, "rope.scaling.type": "dynamic", "rope.scaling.factor": 2 };
    writeFileSync(folder.path("config.json"), JSON.stringify({ ...CONFIG, model: { keys: dynamic } }));
    await expect(TrainingRun.open(folder, backend)).rejects.toThrow(UnsupportedError);
  });

  it("an evaluation that is no number, before it is logged", async () => {
    const run = await TrainingRun.open(await prepared(), backend);
    for (const { values } of run.trainer.weights.list) values.fill(Number.NaN);
    await expect(run.evaluate(0)).rejects.toThrow(NumericError);
    expect(run.log).toEqual([]);
    await run.close();
  });

  it("texts that are asked for and not there", async () => {
    const config = parseConfig({ ...CONFIG, data: { mixture: CONFIG.data.mixture } }, "x");
    const folder = new RunFolder(join(place, "none"));
    await expect(prepareRun(folder, config, { paths: [] })).rejects.toThrow(/--data/);
    await expect(prepareRun(folder, config, { paths: [join(place, "nowhere")] })).rejects.toThrow(NotFoundError);
    expect(readdirSync(place)).not.toContain("none");
  });

  it("held-out texts that no file is", async () => {
    const config = { data: { ...CONFIG.data, heldOut: ["helt"] } };
    await expect(prepared(config)).rejects.toThrow(ArgumentError);
    await expect(prepared(config)).rejects.toThrow('"helt"');
  });

  it("a folder without a run, and tokens of another tokenizer", async () => {
    await expect(TrainingRun.open(new RunFolder(join(place, "absent")), backend)).rejects.toThrow(NotFoundError);
    const [folder, other] = [await prepared(), await prepared({ tokenizer: { vocabularySize: 310 } })];
    writeFileSync(folder.path("data", "train.tokens"), readFileSync(other.path("data", "train.tokens")));
    await expect(TrainingRun.open(folder, backend)).rejects.toThrow(FormatError);
    await expect(TrainingRun.open(folder, backend)).rejects.toThrow("another tokenizer");
  });

  it("a log with a broken line in its middle", async () => {
    const folder = await prepared();
    writeFileSync(
      folder.path("log.jsonl"),
      '{"kind":"step","step":1,"stage":"short","loss":1}\n{"ki\n{"kind":"step","step":2}\n',
    );
    await expect(TrainingRun.open(folder, backend)).rejects.toThrow(/line 2 is no JSON/);
  });

  it.each(["null", "[]", "3", '{"kind":"step"}', '{"kind":"evaluation","step":1,"stage":"short"}'])(
    "a log with the line %s",
    async (line) => {
      const folder = await prepared();
      writeFileSync(folder.path("log.jsonl"), `${line}\n`);
      const opening = TrainingRun.open(folder, backend);
      await expect(opening).rejects.toThrow(FormatError);
      await expect(opening).rejects.toThrow("line 1 is neither a step nor an evaluation");
    },
  );

  it("a model that no memory holds, by its size", async () => {
    const folder = await prepared();
    const config = JSON.parse(readFileSync(folder.path("config.json"), "utf8"));
    config.model.keys.embedding_length = 1e9;
    writeFileSync(folder.path("config.json"), JSON.stringify(config));
    for (const name of ["reference", "wasm"] as const) {
      const own = await createBackend(name, { threads: 1 });
      await expect(TrainingRun.open(folder, own)).rejects.toThrow(MemoryError);
      await own.dispose();
    }
  });
});

test("preparing stops where it is told to, and leaves no run", async () => {
  const folder = new RunFolder(join(place, "stopped"));
  const controller = new AbortController();
  const phases: string[] = [];
  const onProgress = ({ phase }: { readonly phase: string }) => {
    phases.push(phase);
    if (phase === "pack") controller.abort(new CancelledError("stop"));
  };
  const options = { paths: [texts], signal: controller.signal, onProgress };
  await expect(prepareRun(folder, parseConfig(CONFIG, "x"), options)).rejects.toThrow(CancelledError);
  expect(new Set(phases)).toEqual(new Set(["count", "merge", "pack"]));
  expect(readdirSync(folder.location)).not.toContain("config.json");
  await expect(TrainingRun.open(folder, backend)).rejects.toThrow();
});
