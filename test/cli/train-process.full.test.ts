/** Training and exports by the built command: it learns, survives what stops it, and what it writes runs. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { folderModel, type LogLine, RunFolder } from "../../src/train/index.js";
import { Random } from "../../src/util/random.js";
import { sluiceProcess } from "./support/sluice-process.js";

const TINY = fileURLToPath(new URL("../../examples/tiny.json", import.meta.url));
const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/** Two stages of small steps, a checkpoint after each. */
const SMALL = {
  name: "small",
  model: {
    keys: {
      embedding_length: 64,
      block_count: 1,
      feed_forward_length: 64,
      "attention.head_count": 2,
      "attention.layer_norm_rms_epsilon": 1e-5,
    },
  },
  tokenizer: { vocabularySize: 258 },
  data: { mixture: [{ source: "copy", share: 1 }] },
  stages: [
    { name: "short", tokens: 15 * 256, contextLength: 32, batchTokens: 256, microBatchTokens: 128 },
    { name: "long", tokens: 15 * 256, contextLength: 64, batchTokens: 256, keys: { "rope.freq_base": 20000 } },
  ],
  optimizer: { warmupSteps: 5 },
  evaluation: { everySteps: 4, windows: 4 },
  checkpoints: { everySteps: 1, keep: 2 },
};
const STEPS = 30;

function randomString(seed: number, length: number): string {
  const random = new Random(seed);
  return Array.from({ length }, () => LETTERS[random.below(LETTERS.length)]).join("");
}

/** The log without what depends on the machine's speed. */
async function losses(folder: string): Promise<unknown[]> {
  const lines = (await readFile(join(folder, "log.jsonl"), "utf8")).trimEnd().split("\n");
  return lines.map((line) => ({ ...JSON.parse(line), tokensPerSecond: 0 }));
}

/** Reads all weights of the newest checkpoint; undefined where none is there yet. */
async function newestStep(location: string): Promise<number | undefined> {
  const folder = new RunFolder(location);
  if (!existsSync(join(location, "config.json")) || (await folder.checkpoints()).length === 0) return undefined;
  return folderModel(folder, async ({ model, step }) => {
    for (const { read } of model.tensors) expect((await read()).every(Number.isFinite)).toBe(true);
    return step;
  });
}

describe("a folder that cannot be made", () => {
  test.skipIf(process.platform !== "linux")(
    "is told, and the process ends: in /proc, and in names without end",
    async () => {
      const folder = await mkdtemp(join(tmpdir(), "sluice-train-"));
      for (const [out, message] of [
        ["/proc/x", /^error: '\/proc\/x' cannot be made: its folder takes no new files/],
        ["/proc/x/y", /^error: '\/proc\/x\/y' cannot be made: its folder takes no new files/],
        [join(folder, "a", "b".repeat(300)), /its name is too long/],
        [join(TINY, "x"), /a part of the path is a file/],
      ] as const) {
        const outcome = await sluiceProcess(["train", TINY, "--out", out]);
        expect(outcome).toMatchObject({ code: 1, out: "", err: expect.stringMatching(message) });
        expect(outcome.err).not.toContain("hint:");
      }
      expect(await readdir(folder)).toEqual([]);
    },
  );

  test("a run that cannot begin leaves no folder behind", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sluice-train-"));
    const config = join(folder, "c.json");
    // Less text than one sample takes: that shows when it has been packed.
    const text = join(folder, "t.txt");
    await writeFile(text, "short");
    await writeFile(config, JSON.stringify({ ...SMALL, data: { mixture: [{ source: "text", share: 1 }] } }));
    const args = ["train", config, "--data", text, "--out", join(folder, "a", "b")];
    const outcome = await sluiceProcess(args);
    expect(outcome).toMatchObject({ code: 2, out: "" });
    expect((await readdir(folder)).sort()).toEqual(["c.json", "t.txt"]);
    await mkdir(join(folder, "a"));
    await sluiceProcess(args);
    // What was there before stays.
    expect((await readdir(folder)).sort()).toEqual(["a", "c.json", "t.txt"]);
    expect(await readdir(join(folder, "a"))).toEqual([]);
  });
});

test("examples/tiny.json learns to copy, from nothing to a GGUF that copies", async () => {
  const folder = join(await mkdtemp(join(tmpdir(), "sluice-train-")), "tiny");
  const { code, out, err } = await sluiceProcess(["train", TINY, "--out", folder]);
  expect({ code, out }).toEqual({ code: 0, out: `${folder}/tiny.gguf\n` });
  expect(err).not.toContain("\x1b");
  expect(err).toMatch(/^done: 195 steps, 798,720 tokens, /m);
  const log: LogLine[] = (await readFile(join(folder, "log.jsonl"), "utf8"))
    .trimEnd()
    .split("\n")
    .map((l) => JSON.parse(l));
  const last = log.findLast((line) => line.kind === "evaluation");
  expect(last?.results.copy.accuracy).toBeGreaterThanOrEqual(0.99);
  expect(await readFile(join(folder, "loss.svg"), "utf8")).toMatch(/^<svg /);
  for (const seed of [1, 2]) {
    const text = randomString(seed, 32);
    const flags = ["--prompt", `${text}=`, "--temperature", "0", "--max-tokens", "32", "--quiet"];
    const copy = (await sluiceProcess(["run", `${folder}/tiny.gguf`, ...flags])).out.trimEnd();
    const right = [...copy].filter((letter, at) => letter === text[at]).length;
    expect(right, `${text} -> ${copy}`).toBeGreaterThanOrEqual(31);
  }
});

describe("a small run", () => {
  let root = "";
  let config = "";
  let whole = "";

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "sluice-train-"));
    config = join(root, "small.json");
    whole = join(root, "whole");
    await writeFile(config, JSON.stringify(SMALL));
    const { code, out } = await sluiceProcess(["train", config, "--out", whole, "--threads", "2", "--json", "--quiet"]);
    expect(code).toBe(0);
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.filter(({ kind }) => kind === "step")).toHaveLength(STEPS);
    expect(lines.at(-1)).toMatchObject({ kind: "model", path: `${whole}/small.gguf`, step: STEPS });
  });

  test("stopped by SIGTERM it has a checkpoint of its last step, and goes on as if nothing had been", async () => {
    const folder = join(root, "a stop");
    const args = ["--threads", "2", "--json"];
    const stopped = await sluiceProcess(["train", config, "--out", folder, ...args], (child, lines) => {
      if (lines === 9) child.kill("SIGTERM");
    });
    expect(stopped.code).toBe(130);
    const step = await newestStep(folder);
    expect(step).toBeGreaterThanOrEqual(7);
    expect(step).toBeLessThan(STEPS);
    expect(stopped.err).toContain(`stopped: step ${step} is in a checkpoint. Go on with: `);
    expect(stopped.err).toContain(`sluice train --resume '${folder}' --threads 2\n`);
    const resumed = await sluiceProcess(["train", "--resume", folder, ...args]);
    expect(resumed.code).toBe(0);
    expect(resumed.err).toContain(`going on after step ${step}\n`);
    expect(await losses(folder)).toEqual(await losses(whole));
    expect(await readFile(`${folder}/small.gguf`)).toEqual(await readFile(`${whole}/small.gguf`));
  });

  test("killed at any moment it has a checkpoint, and goes on as if nothing had been", async () => {
    const folder = join(root, "kills");
    const random = new Random(5);
    let args = ["train", config, "--out", folder];
    let reached = 0;
    for (let kills = 0; ; kills++) {
      // The first four die soon after some lines, within a step, an evaluation or the writing of a checkpoint.
      const after = kills < 4 ? 2 + random.below(4) : Number.POSITIVE_INFINITY;
      const delayMs = random.below(12);
      const outcome = await sluiceProcess([...args, "--threads", "2", "--json", "--quiet"], (child, lines) => {
        if (lines === after) setTimeout(() => child.kill("SIGKILL"), delayMs);
      });
      const step = await newestStep(folder);
      expect(step).toBeGreaterThanOrEqual(reached);
      reached = step ?? 0;
      args = ["train", "--resume", folder];
      if (outcome.signal === "SIGKILL") continue;
      expect(outcome).toMatchObject({ code: 0, err: "" });
      expect(kills).toBeGreaterThanOrEqual(1);
      break;
    }
    expect(reached).toBe(STEPS);
    expect(await losses(folder)).toEqual(await losses(whole));
    expect(await readFile(`${folder}/small.gguf`)).toEqual(await readFile(`${whole}/small.gguf`));
  });

  test("a finished run that is resumed writes plot and model again", async () => {
    const before = await losses(whole);
    const { code, err } = await sluiceProcess(["train", "--resume", whole]);
    expect(code).toBe(0);
    expect(err).toContain("all steps are done: writing the plot and the model again\n");
    expect(await losses(whole)).toEqual(before);
  });

  test("exports load and run; f16 says the same as the run's own GGUF", async () => {
    const say = async (model: string) => {
      const flags = ["--prompt", "abcdefgh=", "--temperature", "0", "--max-tokens", "16", "--quiet"];
      const { code, out, err } = await sluiceProcess(["run", model, ...flags]);
      expect({ code, err }).toEqual({ code: 0, err: "" });
      return out;
    };
    const own = await say(`${whole}/small.gguf`);
    for (const quant of ["f16", "q8_0", "q4_0"]) {
      const { code, out } = await sluiceProcess(["export", whole, "--quant", quant]);
      expect({ code, out }).toEqual({ code: 0, out: `${whole}/small-${quant}.gguf\n` });
      const text = await say(out.trim());
      if (quant === "f16") expect(text).toBe(own);
    }
    const hf = join(root, "hf");
    expect(await sluiceProcess(["export", whole, "--to", "safetensors", "--out", hf])).toMatchObject({ code: 0 });
    await say(hf);
    for (const [model, layers] of [
      [`${whole}/small-q4_0.gguf`, 1],
      [hf, 1],
    ] as const) {
      const { code, out } = await sluiceProcess(["inspect", model, "--json"]);
      expect(code).toBe(0);
      expect(JSON.parse(out)).toMatchObject({ architecture: "llama", supported: true, model: { layers, width: 64 } });
    }
  });
});
