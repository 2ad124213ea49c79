import { describe, expect, test } from "vitest";
import { runCli } from "../../src/cli/program.js";
import { cli, FakeIo } from "./support/fake-io.js";
import { FakeModel } from "./support/fake-model.js";

/** Under `recompute` a token takes 20 ms, elsewhere 1 ms, and 3 ms in the first 8; perplexity 2, from 3/4 on 4. */
const script = {
  msPerToken: (context: string, position: number) => (context.startsWith("recompute") ? 20 : position < 8 ? 3 : 1),
  logprob: (_: string, position: number) => -Math.log(position < 750 ? 2 : 4),
};
const files = { "a.txt": "x".repeat(600), "b.txt": "y".repeat(600) };
const both = ["--file", "a.txt", "--file", "b.txt", "--max-tokens", "1000"];

/** The first session only warms up. */
const measured = (model: FakeModel) => model.sessions[1];

describe("sluice stream", () => {
  test("compares policies in a table", async () => {
    const argv = ["stream", "m.gguf", ...both, "--context", "recent:256", "--context", "recompute:256"];
    const { code, out, err } = await cli(argv, { model: new FakeModel(script), files });
    expect(code).toBe(0);
    const [header, recent, recompute] = out
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/ {2,}/));
    expect(header).toEqual([
      "context",
      "tokens",
      "perplexity",
      "last quarter",
      "ms/token start",
      "ms/token end",
      "time",
      "cache",
      "kept",
      "horizon",
      "vs recompute",
    ]);
    const overall = (2 ** 0.75 * 4 ** 0.25).toFixed(2);
    expect(recent).toEqual([
      "recent:256",
      "1,000",
      overall,
      "4.00",
      "1.00",
      "1.00",
      "1.0 s",
      "2.56 kB",
      "256",
      "256",
      "20.0x",
    ]);
    expect(recompute.slice(0, 6)).toEqual(["recompute:256", "1,000", overall, "4.00", "20.0", "20.0"]);
    expect(recompute.at(-1)).toBe("1.00x");
    // Without a terminal: a plain line now and then (the clock of the test runs fast), and one for each policy's end.
    const lines = err.trimEnd().split("\n");
    expect(lines.filter((line) => line.includes("1,000/1,000 tokens (100%)"))).toEqual([
      "recent:256  1,000/1,000 tokens (100%)  1,000 tok/s  perplexity 2.38  took 1.0 s",
      "recompute:256  1,000/1,000 tokens (100%)  50.0 tok/s  perplexity 2.38  took 20.0 s",
    ]);
    expect(lines.length).toBeLessThan(10);
    expect(err).not.toContain("\x1b");
  });

  test("before the first policy a stretch is read on a session that is thrown away", async () => {
    const argv = ["stream", "m.gguf", ...both, "--context", "recent:256", "--context", "recompute:256"];
    const { model } = await cli(argv, { model: new FakeModel(script), files });
    expect(model.sessions.map(({ context }) => context)).toEqual(["recent:256", "recent:256", "recompute:256"]);
    expect(model.sessions.map(({ scored }) => scored.length)).toEqual([256, 1001, 1001]);
    expect(model.sessions[0].disposed).toBe(true);
  });

  test("what becomes true while a text is read is told below the table, and all of it in the JSON", async () => {
    const contexts = ["--context", "full,read=quest:64", "--context", "recent:256"];
    const argv = ["stream", "m.gguf", ...both, ...contexts, "--json", "o.json", "--batch"];
    const info = { lastAttentionLayer: 3, trainedContext: 2000 };
    const late = "full,read=quest:64: what is scored 32 tokens at once reads all that is kept";
    const { out, err, io } = await cli([...argv, "32"], { model: new FakeModel({ ...script, info }), files });
    expect(out.trimEnd().split("\n").slice(3)).toEqual([expect.stringContaining(late)]);
    expect(err).not.toContain("note: ");
    const { policies } = JSON.parse(io.written.get("o.json") ?? "");
    expect(policies.map(({ notes }: { notes: string[] }) => notes)).toEqual([[expect.stringContaining(late)], []]);
    expect(Object.keys(policies[0])).not.toContain("lateNotes");
    const one = await cli([...argv, "1"], { model: new FakeModel({ ...script, info }), files });
    expect(one.out.trimEnd().split("\n")).toHaveLength(3);
  });

  test("every policy that sees further than the training is said to, once", async () => {
    const contexts = ["full", "recent:600", "sinks:4,recent:600", "recent:512", "recompute:700"];
    const argv = ["stream", "m.gguf", ...both, ...contexts.flatMap((context) => ["--context", context])];
    const { err } = await cli(argv, { model: new FakeModel(script), files });
    const notes = err.split("\n").filter((line) => line.startsWith("note: "));
    expect(notes.map((note) => /^note: (\S+) .*trained for 512/.exec(note)?.[1])).toEqual(
      contexts.filter((context) => context !== "recent:512"),
    );
  });

  test("the column of speed-up is there only beside a recomputation", async () => {
    const { out } = await cli(["stream", "m.gguf", ...both, "--context", "recent:8"], { files });
    expect(out).not.toContain("vs recompute");
  });

  test("reads the texts in order, cut after --max-tokens, and hands over the options", async () => {
    const flags = ["--context", "recent:8", "--kv", "q8", "--batch", "16"];
    const { model } = await cli(["stream", "m.gguf", ...both, ...flags], { files });
    expect(measured(model).scored).toEqual([1, ...Buffer.from("x".repeat(600) + "y".repeat(400))]);
    expect(measured(model).usage.seen).toBe(1001);
    expect(measured(model).options).toEqual({ context: "recent:8", kv: "q8" });
    expect(measured(model).lastScore).toMatchObject({ batch: 16, every: 16 });
    expect(model.sessions.every((session) => session.disposed)).toBe(true);
  });

  test("puts the start token first, and neither scores nor counts it", async () => {
    const run = async (special: { start: boolean; end: boolean }, tokens: number) => {
      // Only the text's first token is hard to predict.
      const model = new FakeModel({ special, logprob: (_, position) => (position === 0 ? -100 : -1) });
      const argv = ["stream", "m.gguf", "--file", "a.txt", "--max-tokens", String(tokens), "--context", "full"];
      const { out } = await cli([...argv, "--json", "-"], { model, files });
      return { scored: measured(model).scored, result: JSON.parse(out).policies[0] };
    };
    const x = "x".charCodeAt(0);
    for (const end of [false, true]) {
      const started = await run({ start: true, end }, 4);
      expect(started.scored).toEqual([1, x, x, x, x]);
      expect(started.result).toMatchObject({ tokens: 4, complete: true, kept: 5 });
      expect(Math.log(started.result.perplexity)).toBeCloseTo(103 / 4, 6);
      expect(started.result.curve.map((point: { tokens: number }) => point.tokens)).toEqual([1, 2, 3, 4]);
      const bare = await run({ start: false, end }, 4);
      expect(bare.scored).toEqual([x, x, x, x]);
      expect(bare.result).toMatchObject({ tokens: 4, complete: true, kept: 4 });
      expect(Math.log(bare.result.perplexity)).toBeCloseTo(1, 6);
    }
  });

  test("a text of one token has a figure only where there is a start token", async () => {
    const argv = ["stream", "m.gguf", "--file", "a.txt", "--max-tokens", "1", "--context", "recent:8"];
    const row = async (start: boolean) => {
      const { out } = await cli(argv, { files, model: new FakeModel({ special: { start, end: false } }) });
      return out.split("\n")[1].split(/ {2,}/).slice(0, 4);
    };
    expect(await row(true)).toEqual(["recent:8", "1", "2.72", "2.72"]);
    expect(await row(false)).toEqual(["recent:8", "1", "-", "-"]);
  });

  test("a batch beyond the session's chunk widens the chunk", async () => {
    const argv = ["stream", "m.gguf", ...both, "--context", "recent:8", "--batch"];
    expect((await cli([...argv, "512"], { files })).model.sessions[1].options).toMatchObject({ chunk: 512 });
    expect((await cli([...argv, "4097"], { files })).code).toBe(2);
  });

  test("two results do not go to one file, and /dev/stdout is standard output", async () => {
    const argv = ["stream", "m.gguf", "--file", "a.txt", "--context", "full"];
    const files = { "a.txt": "some text" };
    const same = await cli([...argv, "--json", "o", "--plot", "o"], { files });
    expect(same).toMatchObject({ code: 2, out: "" });
    const json = await cli([...argv, "--json", "/dev/stdout"], { files });
    expect(JSON.parse(json.out)).toMatchObject({ format: "sluice-stream" });
    const plot = await cli([...argv, "--plot", "-"], { files });
    expect(plot.out).toMatch(/^<svg .*<\/svg>\n$/s);
    expect(plot.err).toMatch(/^context +tokens/m);
  });

  test("figures that cannot be written are kept elsewhere", async () => {
    const argv = ["stream", "m.gguf", "--file", "a.txt", "--context", "full", "--json", "o.json"];
    const { code, err, io } = await cli(argv, { files: { "a.txt": "some text" }, fullDisk: "there" });
    expect(code).toBe(1);
    expect(err).toContain("It is kept in tmp/o.json");
    expect(JSON.parse(io.written.get("tmp/o.json") ?? "")).toMatchObject({ format: "sluice-stream" });
    // One that fails does not take the other with it.
    const both = await cli([...argv, "--plot", "p.svg"], { files: { "a.txt": "some text" }, fullDisk: "there" });
    expect(both.err).toMatch(/'p\.svg' cannot be written.*'o\.json' cannot be written/s);
    expect([...both.io.written.keys()].sort()).toEqual(["tmp/o.json", "tmp/p.svg"]);
  });

  test("a JSON file that cannot be written is told before anything is loaded", async () => {
    const argv = ["stream", "m.gguf", ...both, "--context", "full", "--json", "nowhere/o.json"];
    const { code, out, err, io } = await cli(argv, { files });
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toBe("error: 'nowhere/o.json' cannot be written: there is no such folder.\n");
    expect(io.loads).toEqual([]);
  });

  test("an encoder-decoder model is refused, for there is no source", async () => {
    const model = new FakeModel({ info: { architecture: "t5", encoderDecoder: true } });
    const result = await cli(["stream", "m.gguf", ...both, "--context", "full"], { model, files });
    expect(result).toMatchObject({ code: 2, out: "" });
    expect(result.err).toContain("error: t5 predicts a text from a source");
    expect(model.disposed).toBe(true);
  });

  test("full asks for no more positions than are learned", async () => {
    const model = new FakeModel({ ...script, info: { positions: 600 } });
    await cli(["stream", "m.gguf", ...both, "--context", "full"], { model, files });
    expect(measured(model).options).toEqual({ context: "full", contextLength: 600 });
  });

  test("full may go beyond the training, which is told", async () => {
    const { code, err, model } = await cli(["stream", "m.gguf", ...both, "--context", "full"], { files });
    expect(code).toBe(0);
    expect(measured(model).options).toEqual({ context: "full", contextLength: 1001 });
    expect(err).toContain("it was trained for 512");
    const short = await cli(["stream", "m.gguf", "--file", "a.txt", "--max-tokens", "511", "--context", "full"], {
      files,
    });
    expect(short.err).not.toContain("note:");
  });

  test("what a policy's session has to say is told before it is measured", async () => {
    const model = new FakeModel({ info: { attentionLayers: 1 } });
    const argv = ["stream", "m.gguf", "--file", "a.txt", "--context", "full", "--context", "recent:8"];
    const { code, err } = await cli(argv, { files, model });
    expect(code).toBe(0);
    expect(err.match(/^note: recent:8 applies to the layers with attention, 1 of 2;/gm)).toHaveLength(1);
    expect(err.indexOf("note: recent:8")).toBeLessThan(err.indexOf("recent:8  "));
  });

  test("--json writes everything to a file, with a curve of at most 200 points", async () => {
    const argv = ["stream", "m.gguf", ...both, "--context", "recompute:64", "--context", "full", "--json", "o.json"];
    const { code, io } = await cli(argv, { model: new FakeModel(script), files });
    expect(code).toBe(0);
    const report = JSON.parse(io.written.get("o.json") ?? "");
    expect(report).toMatchObject({
      format: "sluice-stream",
      version: 1,
      sluiceVersion: "1.2.3",
      model: { location: "fake.gguf" },
      text: { files: ["a.txt", "b.txt"], tokens: 1000 },
      kv: null,
      batch: 1,
      interrupted: false,
    });
    const [recompute, full] = report.policies;
    expect(recompute).toMatchObject({ context: "recompute:64", complete: true, error: null, speedUpOverRecompute: 1 });
    expect(full).toMatchObject({ tokens: 1000, msPerTokenEnd: 1, speedUpOverRecompute: 20, horizon: null });
    expect(full.perplexityLastQuarter).toBeCloseTo(4, 4);
    expect(full.curve.length).toBeLessThanOrEqual(200);
    expect(full.curve.length).toBeGreaterThan(100);
    expect(full.curve.at(-1).tokens).toBe(1000);
    expect(full.curve.at(-1).runningPerplexity).toBeCloseTo(full.perplexity, 4);
    expect(full.curve[0]).toMatchObject({ msPerToken: 3 });
  });

  test("--plot draws a line for each policy, of some hundred tokens a point", async () => {
    const argv = ["stream", "m.gguf", ...both, "--context", "recent:64", "--context", "full", "--plot", "p.svg"];
    const { code, io } = await cli(argv, { model: new FakeModel(script), files });
    expect(code).toBe(0);
    const svg = io.written.get("p.svg");
    for (const word of ["recent:64", "full", "Fake, trained for 512 tokens; each point is of the 512 tokens"]) {
      expect(svg).toContain(word);
    }
    const refused = await cli([...argv.slice(0, -1), "nowhere/p.svg"], { files });
    expect(refused).toMatchObject({ code: 1, out: "" });
    expect(refused.io.loads).toEqual([]);
  });

  test("--json - leaves standard output to the JSON; figures that are not finite are null", async () => {
    const model = new FakeModel({ logprob: () => Number.NEGATIVE_INFINITY });
    const { out, err } = await cli(["stream", "m.gguf", ...both, "--context", "full", "--json", "-"], { model, files });
    expect(JSON.parse(out).policies[0].perplexity).toBeNull();
    expect(err).toContain("last quarter");
    expect(err).toContain("inf");
  });

  test("at a terminal the lines of all policies are redrawn, then taken away", async () => {
    const argv = ["stream", "m.gguf", ...both, "--context", "recent:8", "--context", "full"];
    const { err, out } = await cli(argv, { files, stderrTTY: true });
    expect(err).toMatch(/recent:8 {2}[\d,]+\/1,000 tokens \(\d+%\) {2}1,000 tok\/s {2}perplexity 2\.72 {2}\d+ ms left/);
    expect(err).toContain("full      waiting");
    expect(err).toContain("\x1b[2A");
    expect(err.endsWith("\x1b[2A\r\x1b[0J")).toBe(true);
    expect(out).toContain("perplexity");
  });

  test("Ctrl-C shows the table of what is there and ends with 130", async () => {
    const io: FakeIo = new FakeIo({
      files,
      model: new FakeModel({
        beforePart: (index, session) => void (session.context === "recent:8" && index === 10 && io.interrupt()),
      }),
    });
    const contexts = ["--context", "recent:16", "--context", "recent:8", "--context", "full", "--json", "o.json"];
    expect(await runCli(["stream", "m.gguf", ...both, ...contexts], io)).toBe(130);
    expect(io.stdout.text).toMatch(/^recent:16 +1,000 /m);
    expect(io.stdout.text).toMatch(/^recent:8 +30 /m);
    expect(io.stdout.text).toContain("recent:8: interrupted after 30 tokens");
    expect(io.stdout.text).not.toMatch(/^full/m);
    const report = JSON.parse(io.written.get("o.json") ?? "");
    expect(report.interrupted).toBe(true);
    expect(report.policies.map((policy: { complete: boolean }) => policy.complete)).toEqual([true, false]);
    expect(io.killed).toBe(0);
  });

  test("a policy that fails is told, the others run, and the exit code is 1", async () => {
    const model = new FakeModel({
      beforePart: (_, session) => {
        if (session.context === "full") throw new Error("no memory");
      },
    });
    const argv = ["stream", "m.gguf", ...both, "--context", "full", "--context", "recent:8"];
    const { code, out } = await cli(argv, { model, files });
    expect(code).toBe(1);
    expect(out).toContain("full: no memory");
    expect(out).toMatch(/^recent:8 +1,000 /m);
  });

  test("refuses a wrong policy, an empty text, and a text that is not UTF-8", async () => {
    const policy = await cli(["stream", "m.gguf", ...both, "--context", "full", "--context", "recent:x"], { files });
    expect(policy.code).toBe(2);
    expect(policy.err).toContain("         ^");
    const empty = await cli(["stream", "m.gguf", "--file", "e", "--context", "full"], { files: { e: "" } });
    expect(empty).toMatchObject({ code: 2, out: "" });
    const binary = { e: Uint8Array.of(0x41, 0x80) };
    const bad = await cli(["stream", "m.gguf", "--file", "e", "--context", "full"], { files: binary });
    expect(bad).toMatchObject({ code: 1, out: "" });
    expect(bad.err).toContain("byte 1");
    const absent = await cli(["stream", "m.gguf", "--file", "nowhere", "--context", "full"]);
    expect(absent.code).toBe(1);
    expect([...policy.io.loads, ...bad.io.loads, ...absent.io.loads]).toEqual([]);
  });
});
