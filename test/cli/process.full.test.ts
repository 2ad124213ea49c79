/** The built command as a process: exit codes, pure standard output, Ctrl-C, broken pipes, on real models. */
import { execFile, spawn } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const SHARED = fileURLToPath(new URL("../../../shared/", import.meta.url));
const GGUF = join(SHARED, "models/stories260K.gguf");
const FOLDER = join(SHARED, "models/stories260K-hf");
const BOOK = join(SHARED, "text/alices-adventures-in-wonderland.txt");

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function sluice(args: readonly string[], input: string | Uint8Array = ""): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [MAIN, ...args], { timeout: 120_000 }, (error, out, err) => {
      resolve({ code: error ? (typeof error.code === "number" ? error.code : null) : 0, out, err });
    });
    // A command that does not read its input closes it before it is written.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}

/** Runs a command with a file as its standard output. */
function sluiceInto(path: string, args: readonly string[]) {
  return new Promise<Omit<Outcome, "out">>((resolve) => {
    const file = openSync(path, "w");
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", file, "pipe"] });
    closeSync(file);
    let err = "";
    child.stderr?.on("data", (chunk) => {
      err += chunk;
    });
    child.on("close", (code) => resolve({ code, err }));
  });
}

/** Starts a command, does something when it has written `bytes`, and waits for its end. */
function sluiceUntil(args: readonly string[], bytes: number, then: (child: ReturnType<typeof spawn>) => void) {
  return new Promise<Outcome>((resolve) => {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let [out, err, done] = ["", "", false];
    child.stderr.on("data", (chunk) => {
      err += chunk;
    });
    child.stdout.on("data", (chunk) => {
      out += chunk;
      if (done || out.length < bytes) return;
      done = true;
      then(child);
    });
    child.on("close", (code) => resolve({ code, out, err }));
  });
}

describe("sluice as a process", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-cli-"));
  });

  test("--version is that of the package", async () => {
    const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"));
    expect(await sluice(["--version"])).toEqual({ code: 0, out: `${version}\n`, err: "" });
  });

  test.each([
    ["wrong usage", ["run"], 2],
    ["a wrong policy", ["run", "m.gguf", "--prompt", "", "--context", "recent:"], 2],
    ["an absent model", ["run", "nowhere.gguf", "--prompt", ""], 1],
    ["an absent prompt file", ["run", "nowhere.gguf", "--file", "nowhere.txt"], 1],
    ["an absent model to inspect", ["inspect", "nowhere.gguf"], 1],
    ["a folder as text", ["stream", "nowhere.gguf", "--file", ".", "--context", "full"], 1],
  ])("%s: a message, nothing on standard output", async (_, args, code) => {
    const outcome = await sluice(args);
    expect(outcome).toMatchObject({ code, out: "" });
    expect(outcome.err).toMatch(/^error: /);
    expect(outcome.err).not.toMatch(/^ {4}at /m);
  });

  test("a file that is no model, for every command that reads one", async () => {
    const file = join(folder, "no-model.gguf");
    await writeFile(file, "this is no model");
    for (const args of [
      ["run", file, "--prompt", ""],
      ["inspect", file],
      ["tokenize", file, "x"],
    ]) {
      const outcome = await sluice(args);
      expect(outcome).toMatchObject({ code: 1, out: "" });
      expect(outcome.err).toMatch(/^error: /);
      expect(outcome.err).not.toMatch(/^ {4}at /m);
    }
  });

  test("a prompt that is not UTF-8 names the byte", async () => {
    const outcome = await sluice(["run", "nowhere.gguf"], Uint8Array.of(0x61, 0x62, 0xff));
    expect(outcome).toMatchObject({ code: 1, out: "" });
    expect(outcome.err).toContain("byte 2 (0xff)");
  });
});

describe.skipIf(!existsSync(GGUF))("sluice on a real model (../shared)", () => {
  const greedy = ["--prompt", "", "--temperature", "0", "--max-tokens", "200"];

  test.each([
    ["wasm, 1 thread", GGUF, ["--threads", "1"]],
    ["wasm, 2 threads", GGUF, ["--backend", "wasm", "--threads", "2"]],
    ["reference", GGUF, ["--backend", "reference"]],
    ["safetensors", FOLDER, []],
  ])("run writes the known text to the byte: %s", async (_, model, flags) => {
    const expected = await readFile(join(SHARED, "models/stories260K.expected.txt"), "utf8");
    expect(await sluice(["run", model, ...greedy, ...flags])).toEqual({ code: 0, out: expected, err: "" });
  });

  test("run --json has the same text, its ids and the usage", async () => {
    const { code, out } = await sluice(["run", GGUF, ...greedy, "--json", "--logprobs", "2"]);
    const expected = await readFile(join(SHARED, "models/stories260K.expected.txt"), "utf8");
    const report = JSON.parse(out);
    expect(code).toBe(0);
    expect(report.text).toBe(expected);
    expect(report.finish).toBe("length");
    expect(report.ids).toHaveLength(200);
    expect(report.logprobs).toHaveLength(200);
    // Greedy: the token taken is the first alternative.
    for (const { id, text, piece, logprob, top } of report.logprobs) {
      expect(top[0]).toEqual({ id, text, piece, logprob });
      expect(text).not.toContain("▁");
    }
  });

  test("Ctrl-C ends an endless text with 130, and what was written stays", async () => {
    const endless = ["run", GGUF, "--prompt", "", "--context", "sinks:4,recent:60", "--ignore-end"];
    const { code, out, err } = await sluiceUntil(endless, 500, (child) => child.kill("SIGINT"));
    expect({ code, err }).toEqual({ code: 130, err: "" });
    expect(out.length).toBeGreaterThanOrEqual(500);
  });

  test("ends quietly when its reader goes away", async () => {
    const endless = ["run", GGUF, "--prompt", "", "--context", "sinks:4,recent:60", "--ignore-end"];
    const { code, err } = await sluiceUntil(endless, 100, (child) => child.stdout?.destroy());
    expect({ code, err }).toEqual({ code: 0, err: "" });
  });

  test.skipIf(!existsSync("/dev/full"))(
    "a full disk is a failure with a message, for every kind of output",
    async () => {
      for (const args of [
        ["run", GGUF, ...greedy],
        ["run", GGUF, ...greedy, "--json"],
        ["inspect", GGUF],
        ["--help"],
      ]) {
        const { code, err } = await sluiceInto("/dev/full", args);
        expect({ code, err }).toEqual({
          code: 1,
          err: "error: Standard output cannot be written: the disk is full.\n",
        });
      }
    },
  );

  test("a full context keeps the text so far and fails with figures", async () => {
    const flags = ["--context", "full", "--context-length", "40", "--ignore-end"];
    const { code, out, err } = await sluice(["run", GGUF, "--prompt", "", ...flags]);
    expect(code).toBe(1);
    expect(out.length).toBeGreaterThan(20);
    expect(err).toMatch(/^error: The context is full: .*40/);
  });

  test("by default a prompt that does not fit is an error, and writing goes on past the length", async () => {
    const short = ["--context-length", "24", "--temperature", "0", "--ignore-end"];
    const piped = "Once upon a time there was a little girl and her name was Lily and she";
    const long = await sluice(["run", GGUF, ...short.slice(0, 2)], piped.repeat(4));
    expect(long).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringMatching(/does not fit: the context holds 24 tokens/),
    });
    const { code, out, err } = await sluice(["run", GGUF, ...short, "--max-tokens", "100", "--json"], "Once upon\n");
    expect(code).toBe(0);
    expect(err).toMatch(/^note: The text has passed the context of 24 tokens\./m);
    const { usage, finish } = JSON.parse(out);
    expect({ usage, finish }).toMatchObject({ finish: "length", usage: { generatedTokens: 100, kept: 24, sinks: 4 } });
    // The newline of `echo` is not read; that of a file is.
    const same = await sluice(["run", GGUF, ...short, "--max-tokens", "5"], "Once upon\n");
    expect(same).toEqual(await sluice(["run", GGUF, ...short, "--max-tokens", "5", "--prompt", "Once upon"]));
    const whole = await sluice(["run", GGUF, ...short, "--max-tokens", "0", "--file", "-", "--json"], "Once upon\n");
    const without = await sluice(["run", GGUF, ...short, "--max-tokens", "0", "--json"], "Once upon\n");
    expect(JSON.parse(whole.out).usage.seen).toBeGreaterThan(JSON.parse(without.out).usage.seen);
  });

  test("a memory limit is told in units of its size", async () => {
    const { code, err } = await sluice(["run", GGUF, "--prompt", "x", "--memory-limit", "1MiB"]);
    expect(code).toBe(1);
    expect(err).toMatch(/need [\d.]+ MB, but only 1\.05 MB are available/);
  });

  test("chat through a pipe: an answer a message", async () => {
    const flags = ["--temperature", "0", "--max-tokens", "5", "--quiet"];
    const { code, out, err } = await sluice(
      ["chat", GGUF, ...flags],
      "Once upon\nand then\n/context\n/context recent:9\n",
    );
    expect(code).toBe(0);
    expect(out.split("\n").filter((line) => line !== "").length).toBeGreaterThanOrEqual(2);
    expect(err).toContain("sinks:4,recent:508: keeps the first 4 and the newest 508 tokens");
    expect(err).toContain("Started over under recent:9");
  });

  test("stream compares policies; a budget that holds the whole text is full", async () => {
    const contexts = ["--context", "full", "--context", "recent:300", "--context", "sinks:4,recent:28"];
    const args = ["stream", GGUF, "--file", BOOK, ...contexts, "--max-tokens", "299", "--kv", "f32", "--json", "-"];
    const { code, out, err } = await sluice(args);
    expect(code).toBe(0);
    const [full, recent, streaming] = JSON.parse(out).policies;
    expect(recent.perplexity).toBeCloseTo(full.perplexity, 6);
    // With the start token before them.
    expect(full).toMatchObject({ tokens: 299, complete: true, horizon: null, kept: 300 });
    expect(streaming).toMatchObject({ tokens: 299, complete: true, horizon: 28, sinks: 4 });
    expect(streaming.kept).toBeLessThanOrEqual(33);
    expect(streaming.cacheBytes).toBeLessThan(full.cacheBytes / 4);
    expect(streaming.perplexity).toBeGreaterThan(1);
    expect(err).toMatch(/^sinks:4,recent:28 +299 /m);
  });

  test("demo without a terminal: plain lines, a table, a plot, and the text goes on after the stream", async () => {
    const plot = join(await mkdtemp(join(tmpdir(), "sluice-demo-")), "p.svg");
    const args = ["demo", GGUF, "--file", BOOK, "--tokens", "600", "--window", "64", "--plot", plot, "--json", "-"];
    const { code, out, err } = await sluice(args);
    expect(code).toBe(0);
    expect(err).not.toContain("\x1b");
    const { policies, written } = JSON.parse(out);
    const [full, recent, sinks, recompute] = policies;
    expect(full).toMatchObject({ context: "full", tokens: 600, ending: "complete", kept: 601 });
    expect(recent).toMatchObject({ context: "recent:64", tokens: 600, kept: 64, horizon: 64 });
    expect(sinks).toMatchObject({ context: "sinks:4,recent:60", tokens: 600, horizon: 60 });
    // (600 - 64) / 16 places.
    expect(recompute).toMatchObject({ context: "recompute:64", tokens: 33 * 16, ending: "complete", kept: 64 });
    expect(recompute.perplexity).toBeGreaterThan(1);
    expect(written).toMatchObject({ context: "sinks:4,recent:60", usage: { generatedTokens: 240 } });
    expect(await readFile(plot, "utf8")).toMatch(/^<svg /);
  });

  test("a sample of the demo scores as the same tokens do in a whole text", async () => {
    const plot = join(await mkdtemp(join(tmpdir(), "sluice-demo-")), "p.svg");
    const common = ["--file", BOOK, "--precise", "--json", "-"];
    const demo = await sluice(["demo", GGUF, "--tokens", "48", "--window", "32", "--plot", plot, ...common]);
    const stream = await sluice(["stream", GGUF, "--max-tokens", "48", "--context", "recompute:32", ...common]);
    // One sample, tokens 32 to 48: each point of the stream's curve is one token there.
    const sampled = JSON.parse(demo.out).policies[3];
    expect(sampled.samples).toEqual([{ start: 32, count: 16 }]);
    const curve: { perplexity: number }[] = JSON.parse(stream.out).policies[0].curve;
    const mean = curve.slice(32).reduce((sum, point) => sum + Math.log(point.perplexity) / 16, 0);
    expect(curve).toHaveLength(48);
    expect(Math.log(sampled.perplexity)).toBeCloseTo(mean, 6);
  });

  test("inspect agrees with the known figures", async () => {
    for (const model of [GGUF, FOLDER]) {
      const { code, out } = await sluice(["inspect", model, "--json", "--tensors", "--metadata", "--kv", "f32"]);
      expect(code).toBe(0);
      expect(JSON.parse(out)).toMatchObject({
        architecture: "llama",
        supported: true,
        model: {
          layers: 5,
          width: 64,
          mixers: [{ layers: [0, 1, 2, 3, 4], value: { kind: "attention", heads: 8, kvHeads: 4, keyWidth: 8 } }],
          vocabulary: 512,
          contextLength: 512,
        },
        // 5 layers x 4 KV heads x (8 + 8) numbers of 4 bytes.
        memory: { cache: { bytesPerToken: 1280, tokens: 512 } },
      });
    }
  });

  test("tokenize and back", async () => {
    const text = "Once upon a time, é \u{1f600}\n";
    const { out } = await sluice(["tokenize", GGUF, "--json"], text);
    const { ids, pieces } = JSON.parse(out);
    expect(pieces).toHaveLength(ids.length);
    expect(ids[0]).toBe(1);
    const back = await sluice(["tokenize", GGUF, "--no-special", "--decode", ids.join(",")]);
    expect(back).toEqual({ code: 0, out: text, err: "" });
  });

  test("inspect shows files that Sluice cannot run", async () => {
    const { code, out } = await sluice(["inspect", join(SHARED, "vocab/ggml-vocab-bert-bge.gguf")]);
    expect(code).toBe(0);
    expect(out).toMatch(/^architecture +bert$/m);
    expect(out).toMatch(/^not run +The architecture "bert" is not supported yet/m);
    expect(out).toMatch(/^width +384$/m);
  });

  test("inspect shows a mixture of experts in MXFP4", async () => {
    const { code, out } = await sluice(["inspect", join(SHARED, "golden/gpt-oss-mxfp4.gguf"), "--tensors"]);
    expect(code).toBe(0);
    expect(out).toMatch(/^architecture +gpt-oss$/m);
    expect(out).toMatch(/^blk\.1\.ffn_up_exps\.weight .*mxfp4 /m);
  });

  test("a truncated model is refused with a message", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sluice-cli-"));
    const whole = await readFile(GGUF);
    for (const share of [0.001, 0.01, 0.5, 0.999]) {
      const file = join(folder, "cut.gguf");
      await writeFile(file, whole.subarray(0, Math.floor(whole.length * share)));
      const outcome = await sluice(["run", file, "--prompt", ""]);
      expect(outcome).toMatchObject({ code: 1, out: "" });
      expect(outcome.err).toMatch(/^error: /);
    }
  });
});
