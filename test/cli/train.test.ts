/** `sluice train` and `sluice export` as users meet them: on a disk, with tiny models, without a process. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { runCli } from "../../src/cli/program.js";
import { stepText } from "../../src/cli/train/step-text.js";
import { cli, FakeIo, type FakeSetup } from "./support/fake-io.js";

const KEYS = {
  embedding_length: 8,
  block_count: 1,
  feed_forward_length: 8,
  "attention.head_count": 2,
  "attention.layer_norm_rms_epsilon": 1e-5,
};
const STAGE = { name: "copy", tokens: 96, contextLength: 8, batchTokens: 16 };
const SMALL = {
  name: "small",
  model: { keys: KEYS },
  tokenizer: { vocabularySize: 258 },
  data: { mixture: [{ source: "copy", share: 1 }] },
  stages: [STAGE],
  evaluation: { everySteps: 3, windows: 2 },
  checkpoints: { everySteps: 2 },
};
const TEXT = { ...SMALL, data: { mixture: [{ source: "text", share: 1 }] } };
const FLAGS = ["--backend", "reference"];

let root = "";
let out = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "sluice-train-"));
  out = join(root, "run");
  return () => rm(root, { recursive: true });
});

/** Begins a run of `config` in `out`. */
const begin = (config: unknown, argv: readonly string[] = [], setup: FakeSetup = {}) => {
  const text = typeof config === "string" ? config : JSON.stringify(config);
  return cli(["train", "c.json", "--out", out, ...FLAGS, ...argv], {
    ...setup,
    files: { "c.json": text, ...setup.files },
  });
};

describe("sluice train", () => {
  test("trains, tells how it went, and writes a model whose path goes to standard output", async () => {
    const { code, out: written, err } = await begin(SMALL);
    expect({ code, written }).toEqual({ code: 0, written: `${out}/small.gguf\n` });
    const lines = err.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^small: 2,\d{3} parameters, llama; 6 steps, 96 tokens; in /);
    expect(lines[1]).toMatch(/^copy: step 1 of 6, loss 5\.\d{4}, rate 0\.0000300, [\d,]+ tok\/s, .* left$/);
    expect(lines.slice(2, 4).join("\n")).toMatch(/^after step 3: copy \d+\.\d% right\nafter step 6: copy /);
    expect(lines[4]).toMatch(/^done: 6 steps, 96 tokens, .*; loss of the last step 5\.\d{4}$/);
    // A sample of the task with draws of its own: 4 letters, and = before the copy.
    const [, letters = ""] = /--prompt '?([a-z]{4})='? --temperature 0 --max-tokens 4$/.exec(lines[6]) ?? [];
    expect(lines[6]).toContain(`try: sluice run ${out}/small.gguf --prompt `);
    expect(lines[7]).toBe(`it should write: ${letters}`);
    expect((await readdir(out)).sort()).toEqual(
      ["checkpoints", "config.json", "data", "log.jsonl", "loss.svg", "small.gguf", "tokenizer.json"].concat(
        "tokenizer_config.json",
      ),
    );
    // 2 at most are kept.
    expect(await readdir(join(out, "checkpoints"))).toEqual(["step-0000004.safetensors", "step-0000006.safetensors"]);
  });

  test("hints are as the command is started here", async () => {
    const { err } = await begin(SMALL, [], { command: "npx sluice" });
    expect(err).toContain(`try: npx sluice run ${out}/small.gguf`);
    const help = await cli(["train", "--help"], { command: "npx sluice" });
    expect(help.out).toContain("Usage: sluice train");
    expect(help.out).toContain("  npx sluice train --resume runs/model\n");
    const wrong = await cli(["train", "--nonsense"], { command: "npx sluice" });
    expect(wrong.err).toContain("hint: see npx sluice train --help");
    const absent = await cli(["demo"], { command: "npx sluice" });
    expect(absent.err).toContain("`npx sluice demo MODEL`");
  });

  test("a configuration of the package's examples is found where none lies at the path", async () => {
    const files = { "package/examples/small.json": JSON.stringify(SMALL) };
    for (const path of ["examples/small.json", "./examples/small.json", "small.json"]) {
      const { code, err } = await cli(["train", path, "--out", join(root, path.replaceAll(/\W/g, "-")), ...FLAGS], {
        files,
      });
      expect(code).toBe(0);
      expect(err.split("\n")[0]).toBe(`${path} is not here: taken from the package, package/examples/small.json`);
    }
    const own = { ...files, "small.json": JSON.stringify({ ...SMALL, name: "own" }) };
    const { err } = await cli(["train", "small.json", "--out", join(root, "own"), ...FLAGS], { files: own });
    expect(err).toMatch(/^own: /);
    for (const path of ["../small.json", "examples/../small.json", "books/small/small.json", "other.json"]) {
      expect(await cli(["train", path, "--out", out], { files })).toMatchObject({ code: 1 });
    }
  });

  test("--json writes the log's lines and the model, --quiet nothing else", async () => {
    const { code, out: written, err } = await begin(SMALL, ["--json", "--quiet"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const log = await readFile(join(out, "log.jsonl"), "utf8");
    expect(written.slice(0, log.length)).toBe(log);
    expect(JSON.parse(written.slice(log.length))).toMatchObject({ kind: "model", path: `${out}/small.gguf`, step: 6 });
  });

  test("Ctrl-C keeps the last whole step and says how to go on; resumed, the losses are the same", async () => {
    const whole = join(root, "whole");
    await cli(["train", "c.json", "--out", whole, ...FLAGS], { files: { "c.json": JSON.stringify(SMALL) } });
    const io = new FakeIo({ files: { "c.json": JSON.stringify(SMALL) } });
    const write = io.stdout.write.bind(io.stdout);
    let lines = 0;
    io.stdout.write = async (text) => {
      if (++lines === 2) io.interrupt();
      await write(text);
    };
    expect(await runCli(["train", "c.json", "--out", out, ...FLAGS, "--json"], io)).toBe(130);
    expect(io.stderr.text).toMatch(
      /^stopped: step \d is in a checkpoint\. Go on with: sluice train --resume \S+ --backend reference$/m,
    );
    expect(io.listening).toBe(0);
    const resumed = await cli(["train", "--resume", out, ...FLAGS]);
    expect(resumed.code).toBe(0);
    expect(resumed.err).toMatch(/^going on after step \d$/m);
    expect(await losses(out)).toEqual(await losses(whole));
  });

  test("an evaluation in which a run was stopped is made up for", async () => {
    const whole = join(root, "whole");
    await cli(["train", "c.json", "--out", whole, ...FLAGS], { files: { "c.json": JSON.stringify(SMALL) } });
    const { training } = await measuredUntil(3);
    expect((await losses(out)).at(-1)).toMatchObject({ kind: "step", step: 3 });
    expect((await training).code).toBe(0);
    expect(await losses(out)).toEqual(await losses(whole));
  });

  test("a finished run that is resumed says so and writes plot and model again", async () => {
    await begin(SMALL);
    for (const name of ["loss.svg", "small.gguf"]) await rm(join(out, name));
    const { code, err } = await cli(["train", "--resume", out, ...FLAGS]);
    expect(code).toBe(0);
    expect(err).toContain("all steps are done: writing the plot and the model again\n");
    expect(err).not.toMatch(/^done: /m);
    for (const name of ["loss.svg", "small.gguf"]) expect(existsSync(join(out, name))).toBe(true);
  });

  test.each([
    ["nothing", [], "Give a configuration to begin a run"],
    ["both", ["c.json", "--resume", "x"], "not both"],
    ["data for a run that has some", ["--resume", "x", "--data", "y"], "--resume goes on with the run's own data"],
    ["a wrong backend", ["c.json", "--backend", "gpu"], "Allowed choices are wasm, reference"],
  ])("wrong usage: %s", async (_, argv, message) => {
    const { code, out: written, err } = await cli(["train", ...argv]);
    expect({ code, written }).toEqual({ code: 2, written: "" });
    expect(err).toContain(message);
  });

  test.each([
    ["no JSON", "{", 2, /^error: c\.json is no JSON: /],
    [
      "wrong keys, each named",
      { name: "a/b", stages: [{ ...STAGE, atention: "full" }], model: { keys: KEYS }, speed: 1 },
      2,
      /no training configuration:\n {2}name: expected letters.*\n {2}tokenizer: expected .*\n {2}stages\[0\]: unknown: atention\n {2}unknown: speed\n$/,
    ],
    ["a batch that is no multiple", { ...SMALL, stages: [{ ...STAGE, batchTokens: 12 }] }, 2, /found 12, 12 and 8\.\n/],
    [
      "an architecture that nobody trains",
      { ...SMALL, model: { architecture: "t5", keys: KEYS } },
      1,
      /those that can are llama, /,
    ],
    [
      "a key that the model does not read",
      { ...SMALL, model: { keys: { ...KEYS, blok: 1 } } },
      2,
      /keys "blok" mean nothing to a llama/,
    ],
    ["a key that is missing", { ...SMALL, model: { keys: {} } }, 2, /Stage "copy": .*"llama\.[\w.]+" must be /],
    [
      "a pattern of a later stage",
      { ...SMALL, stages: [STAGE, { ...STAGE, name: "next", attention: "recent:" }] },
      2,
      /Stage "next": Cannot read the attention pattern "recent:"\. Expected one of:\n(.*\n)*.*shifted:N/,
    ],
    [
      "a stage that changes the model's shape",
      { ...SMALL, stages: [STAGE, { ...STAGE, name: "next", keys: { feed_forward_length: 16 } }] },
      2,
      /Stage "next" changes the shape of "blk\.0\.ffn_\w+\.weight"/,
    ],
    ["no texts", TEXT, 2, /name files or folders with --data PATH/],
    [
      "texts that are not there",
      { ...TEXT, data: { ...TEXT.data, paths: ["nowhere"] } },
      1,
      /nothing at 'nowhere'.*\nhint: check the path/,
    ],
  ])("%s: refused before anything is written", async (_, config, code, message) => {
    const outcome = await begin(config);
    expect(outcome).toMatchObject({ code, out: "" });
    expect(outcome.err).toMatch(message);
    expect(existsSync(out)).toBe(false);
  });

  test("held-out names and texts that do not fit", async () => {
    const file = join(root, "book.txt");
    await writeFile(file, "abc");
    const text = (heldOut: string[]) => ({ ...TEXT, data: { ...TEXT.data, heldOut } });
    expect((await begin(text(["other"]), ["--data", file])).err).toContain('No text file\'s path contains "other"');
    expect((await begin(text(["book"]), ["--data", file])).err).toContain("All 1 texts are held out");
    expect((await begin(text([]), ["--data", file])).err).toContain('Stage "copy": A window of 8 tokens');
    expect(existsSync(join(out, "config.json"))).toBe(false);
    await writeFile(file, "abc ".repeat(10));
    expect((await begin(text([]), ["--data", file])).code).toBe(0);
  });

  test("folders that hold a run, or none", async () => {
    const taken = await begin(SMALL, [], { files: { [`${out}/config.json`]: "{}" } });
    expect(taken.code).toBe(2);
    expect(taken.err).toContain(`go on with that run by --resume ${out}, or choose another --out.`);
    for (const verb of [["train", "--resume"], ["export"]]) {
      expect(await cli([...verb, out])).toMatchObject({ code: 1, err: expect.stringContaining("it does not exist") });
    }
    await mkdir(out);
    for (const verb of [["train", "--resume"], ["export"]]) {
      expect(await cli([...verb, out])).toMatchObject({
        code: 1,
        err: expect.stringContaining("it has no config.json"),
      });
    }
  });

  test("a second process is kept out; one that is gone is not", async () => {
    const { hostname } = await import("node:os");
    await mkdir(out);
    await writeFile(join(out, "running"), `${process.ppid} ${hostname()}`);
    expect((await begin(SMALL)).err).toContain(`Process ${process.ppid} trains in ${out} already`);
    expect(await readdir(out)).toEqual(["running"]);
    await rm(join(out, "running"));
    await begin(SMALL);
    // The parent lives as long as this test does.
    await writeFile(join(out, "running"), `${process.ppid} ${hostname()}`);
    const busy = await cli(["train", "--resume", out, ...FLAGS]);
    expect(busy.code).toBe(1);
    expect(busy.err).toContain(`Process ${process.ppid} trains in ${out} already`);
    // The number went to another process that began at another time.
    await writeFile(join(out, "running"), `${process.ppid} ${hostname()} 1`);
    const stale = await cli(["train", "--resume", out, ...FLAGS]);
    expect(stale.code).toBe(process.platform === "linux" ? 0 : 1);
    expect(existsSync(join(out, "running"))).toBe(process.platform !== "linux");
  });

  test("a folder that cannot be made says what is the matter; of checkpoints there is nothing to say", async () => {
    await writeFile(out, "a file");
    const { code, err } = await begin(SMALL);
    expect(code).toBe(1);
    expect(err).toMatch(/^error: .* cannot be made: a file stands where a folder is expected\. Check the path\.\n$/);
  });
});

describe("at a terminal", () => {
  test("one line is redrawn, and the path is told once", async () => {
    const { err, out: written } = await begin(SMALL, [], { stderrTTY: true, stdoutTTY: true, columns: 120 });
    expect(err.replaceAll("\x1b[2K", "<line>")).toMatch(/<line>copy: \[#+-*\] step \d of 6, loss/);
    expect(err).toContain("\x1b[0J");
    expect(written).toBe("");
  });

  test("the line fits, and what matters least goes first", () => {
    const line = {
      kind: "step" as const,
      step: 1234,
      stage: "a long name of a stage",
      tokens: 5_000_000,
      loss: 3.5,
      lossBySource: {},
      rate: 0.002,
      gradientNorm: 1,
      tokensPerSecond: 1500,
    };
    const text = (columns?: number) =>
      stepText({ line, totalSteps: 2500, totalTokens: 10_000_000, speed: 1500 }, columns);
    for (const columns of [60, 80, 100, 120]) expect(text(columns).length).toBeLessThan(columns);
    expect(text(140)).toBe(
      "a long name of a stage: [##########----------] step 1,234 of 2,500, loss 3.5000, rate 0.00200, 1,500 tok/s, 55m 33s left",
    );
    expect(text()).not.toContain("[");
    expect(text(90)).toBe("a long name of a stage: step 1,234 of 2,500, loss 3.5000, 1,500 tok/s, 55m 33s left");
    expect(text(20)).toBe("step 1,234 of 2,500, loss 3.5000, 55m 33s left");
  });
});

describe("sluice export", () => {
  test("formats, types, older checkpoints", async () => {
    await begin(SMALL);
    const gguf = await cli(["export", out, "--quant", "q8_0"]);
    expect(gguf).toMatchObject({ code: 0, out: `${out}/small-q8_0.gguf\n` });
    // Rows of 8 numbers are no blocks of 32.
    expect(gguf.err).toContain("note: ");
    const older = await cli(["export", out, "--step", "4", "--json", "--quiet", "--out", join(root, "m.gguf")]);
    expect(JSON.parse(older.out)).toMatchObject({ path: join(root, "m.gguf"), step: 4, types: { f16: 8, f32: 3 } });
    expect(older.err).toBe("");
    const folder = await cli(["export", out, "--to", "safetensors"]);
    expect(folder).toMatchObject({ code: 0, out: `${out}/small-hf\n` });
    expect(await readdir(join(out, "small-hf"))).toContain("model.safetensors");
  });

  test("what cannot be", async () => {
    await begin(SMALL);
    expect(await cli(["export", out, "--to", "safetensors", "--quant", "q8_0"])).toMatchObject({ code: 2, out: "" });
    const absent = await cli(["export", out, "--step", "5"]);
    expect(absent.code).toBe(1);
    expect(absent.err).toContain("no checkpoint of step 5: there are those of steps 4, 6");
    const nowhere = await cli(["export", out, "--out", join(root, "no", "m.gguf")]);
    expect(nowhere.code).toBe(1);
    expect(nowhere.err).toContain("cannot be written: there is no such folder");
  });
});

/** The log without what depends on the machine's speed. */
async function losses(folder: string): Promise<unknown[]> {
  const lines = (await readFile(join(folder, "log.jsonl"), "utf8")).trimEnd().split("\n");
  return lines.map((line) => ({ ...JSON.parse(line), tokensPerSecond: 0 }));
}

/** A run that is stopped when the evaluation after a step begins, and how it goes on. */
async function measuredUntil(step: number) {
  const { nodeRuntime } = await import("../../src/cli/runtime-node.js");
  const library = await nodeRuntime.training();
  const config = library.parseConfig(SMALL, "c.json");
  const folder = new library.RunFolder(out);
  await library.prepareRun(folder, config, { paths: [] });
  const backend = await library.createBackend("reference", { threads: 1 });
  const stop = new AbortController();
  const run = await library.TrainingRun.open(folder, backend, {
    signal: stop.signal,
    onMeasure: () => {
      if (run.trainer.state.step === step) stop.abort();
    },
  });
  await expect(run.train()).rejects.toThrow("stopped");
  await run.close();
  await backend.dispose();
  return {
    get training() {
      return cli(["train", "--resume", out, ...FLAGS]);
    },
  };
}
