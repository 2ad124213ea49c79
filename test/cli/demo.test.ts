import { describe, expect, test } from "vitest";
import type { Io } from "../../src/cli/io.js";
import { runCli } from "../../src/cli/program.js";
import { cli, FakeIo } from "./support/fake-io.js";
import { FakeModel, type FakeScript } from "./support/fake-model.js";

/**
 * Trained for 64 tokens, so that the window is 32 and `full` reads 256. A token takes 20 ms under `recompute`, 1 ms
 * elsewhere; perplexity is 2, and 50 under `full` beyond the training.
 */
const script: FakeScript = {
  info: { trainedContext: 64 },
  answer: ["and ", "so ", "on"],
  msPerToken: (context) => (context.startsWith("recompute") ? 20 : 1),
  logprob: (context, position) => -Math.log(context === "full" && position >= 64 ? 50 : 2),
};
const files = { "book.txt": "It was a dark night. ".repeat(30), "assets/sluice-tiny.gguf": "", "m.json": "" };
const argv = ["demo", "m.gguf", "--file", "book.txt"];
// The clock of the test runs fast: the time must not end anything where the test is not about it.
const LONG = ["--seconds", "100000"];

const run = (flags: readonly string[] = [], more: FakeScript = {}, setup = {}) =>
  cli([...argv, ...LONG, ...flags], { files, model: new FakeModel({ ...script, ...more }), ...setup });

const rows = (text: string) =>
  new Map(
    text
      .split("\n")
      .map((line) => line.split(/ {2,}/))
      .filter((cells) => cells.length === 7)
      .map(([name, ...cells]) => [name, cells]),
  );

describe("sluice demo", () => {
  test("without a terminal: plain lines, a table, what was found, a plot, and the text goes on", async () => {
    const { code, out, err, io } = await run();
    expect(code).toBe(0);
    expect(out + err).not.toContain("\x1b");
    const table = rows(out);
    expect([...table.keys()]).toEqual(["policy", "full", "recent:32", "sinks:4,recent:28", "recompute:32"]);
    expect(table.get("policy")).toEqual(["tokens", "perplexity", "last 32", "ms/token", "kept", "cache"]);
    expect(table.get("full")?.slice(0, 4)).toEqual(["256", (2 ** 0.25 * 50 ** 0.75).toFixed(2), "50.00", "1.00"]);
    expect(table.get("recent:32")).toEqual(["630", "2.00", "2.00", "1.00", "32", "320 B"]);
    expect(table.get("sinks:4,recent:28")).toEqual(["630", "2.00", "2.00", "1.00", "32", "320 B"]);
    // (630 - 32) / 16 stretches fit between the first window and the end.
    expect(table.get("recompute:32")?.slice(0, 4)).toEqual(["592", "2.00", "-", "20.0"]);
    expect(out).toContain("full: perplexity 2.00 up to its trained length, 50.00 in 192 tokens beyond.");
    expect(out).toContain("Perplexity of the same 592 tokens, from 37 places of the text:\n  recent:32 2.00   sinks:");
    expect(out).toContain("Over the same text, from token 33 to 630:\n  recent:32 2.00   sinks:4,recent:28 2.00\n");
    expect(out).toContain("A token under recompute:32 costs 20.0 times one under sinks:4,recent:28.");
    expect(out).toMatch(
      /The text, up to token 630:\n\.\.\. .*night\.\n\nThe model writes on, under sinks:4,recent:28:\n/,
    );
    expect(out).toMatch(/:\nand so on\n\nseen/);
    expect(out).toContain("seen 635 tokens, kept 32, evicted 603, recalls the newest 28 and the first 4");
    expect(io.written.get("sluice-demo.svg")).toMatch(/^<svg .*recompute:32 \(592 tokens sampled\).*<\/svg>\n$/s);
    const ends = err.split("\n").filter((line) => /(256\/256|630\/630|592\/592) tokens/.test(line));
    expect(ends.length).toBeGreaterThanOrEqual(4);
    expect(ends.at(-1)).toBe(
      "recompute:32  592/592 tokens  perplexity 2.00  20.0 ms/token  cache 32 tokens, 320 B  memory 123 MB",
    );
  });

  test("streamed policies are compared over all that both read; how much of the sampled figures is noise is said", async () => {
    // Worse by half under sinks everywhere behind the window; better there at every other of the sampled tokens.
    const logprob = (context: string, position: number) =>
      -Math.log(2) -
      (context.startsWith("sinks") && position >= 32 ? 0.5 : 0) +
      (context.startsWith("recent") ? position % 2 : 0);
    const { out } = await run([], { logprob });
    expect(out).toContain(
      `Over the same text, from token 33 to 630:\n  recent:32 ${(2 / Math.exp(0.5)).toFixed(2)}   sinks:4,recent:28 ${(2 * Math.exp(0.5)).toFixed(2)}\n`,
    );
    // Differences to the sampled scores, which count samples from 0 on and have no such step, are 0 or 1 by turns:
    // twice 0.5 / sqrt(591) of a nat.
    const percent = (100 * Math.expm1(1 / Math.sqrt(591))).toFixed(2);
    expect(out).toContain(
      `(for comparison with recompute:32; differences below about ${percent}% are noise at so few tokens)`,
    );
  });

  test("few samples are points of the plot, many a line", async () => {
    const few = (await run(["--tokens", "200"])).io.written.get("sluice-demo.svg") ?? "";
    expect(few).not.toContain("stroke-dasharray");
    // One for each of the samples, and the legend's.
    expect(few.match(/<circle /g)?.length).toBe(10 + 1);
    expect((await run()).io.written.get("sluice-demo.svg")).toContain("stroke-dasharray");
  });

  test("a sample is read after the window before it, token by token", async () => {
    const { model } = await run(["--tokens", "100"]);
    // The first session only warms up.
    const [warm, full, recent, sinks, recompute] = model.sessions;
    expect(warm).toMatchObject({ context: "full", disposed: true });
    expect(full.options).toEqual({ context: "full", contextLength: 101 });
    expect(recent.scored).toHaveLength(101);
    // Samples begin at 32, 49, 67, 84 (the first once more, before it, to warm up).
    const text = [...Buffer.from(files["book.txt"])];
    expect(recompute.prompts).toEqual([32, 32, 49, 67, 84].map((at) => text.slice(at - 32, at)));
    expect(recompute.scored).toEqual(text.slice(84, 100));
    expect(recompute.lastScore).toMatchObject({ batch: 1, every: 1 });
    expect(sinks.prompts).toEqual([""]);
    expect(sinks.lastGenerate).toMatchObject({ seed: 1, ignoreEnd: true });
    expect(model.disposed).toBe(true);
  });

  test("at a terminal the table is redrawn in place, no line as wide as the terminal, and taken away", async () => {
    const { code, out, err } = await run([], {}, { stderrTTY: true, stdoutTTY: true, columns: 80 });
    expect(code).toBe(0);
    expect(err).toContain("\x1b[7A\r");
    expect(err).toMatch(/recompute:32 +waiting/);
    expect(err).toMatch(/sinks:4,recent:28: \d+% of 630 tokens {2}process memory 123 MB/);
    expect(err.endsWith("\x1b[0J")).toBe(true);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escapes are what is taken away.
    const drawn = err.replace(/\x1b\[[0-9;]*[A-Za-z]/g, "").split(/\n|\r/);
    expect(Math.max(...drawn.filter((line) => !line.startsWith("note: ")).map((line) => line.length))).toBeLessThan(80);
    expect(out).toContain("\x1b[1mpolicy");
    expect(err).not.toContain("256/256 tokens");
  });

  test("--json - leaves standard output to the JSON", async () => {
    const { out, err } = await run(["--json", "-", "--window", "16", "--plot", "p.svg"]);
    const report = JSON.parse(out);
    expect(report).toMatchObject({
      format: "sluice-demo",
      version: 1,
      sluiceVersion: "1.2.3",
      model: { location: "fake.gguf" },
      text: { file: "book.txt", tokens: 630 },
      window: 16,
      plot: "p.svg",
      interrupted: false,
      written: { context: "sinks:4,recent:12", text: "and so on", usage: { seen: 635 } },
    });
    const [full, recent, , recompute] = report.policies;
    expect(full).toMatchObject({ context: "full", tokens: 256, ending: "complete", samples: null });
    expect(recent).toMatchObject({ horizon: 16, perplexityLastWindow: expect.closeTo(2, 4), residentBytes: 123e6 });
    expect(recompute.perplexityLastWindow).toBeNull();
    expect(recompute.samples[0]).toEqual({ start: 16, count: 16 });
    expect(recompute.samples.at(-1)).toEqual({ start: 614, count: 16 });
    // Of a sampled policy too the curve says where in the text.
    expect(recompute.curve.at(-1).tokens).toBe(630);
    expect(err).toContain("The model writes on");
  });

  test("--seconds ends every policy in its share, which is told, and the exit code is 0", async () => {
    // A look at the clock takes 50 ms: 20 s last for 400 of them.
    const { code, out } = await cli([...argv, "--seconds", "20"], { files, model: new FakeModel(script) });
    expect(code).toBe(0);
    expect(out).toMatch(/^recent:32: stopped after \d+ tokens, when its share of --seconds was over$/m);
    const tokens = Number(rows(out).get("recent:32")?.[0]);
    expect(tokens).toBeGreaterThan(8);
    expect(tokens).toBeLessThan(630);
    // Samples are taken where the others have read.
    expect(out).toMatch(/Perplexity of the same \d+ tokens, from \d+ places? of the text:\n {2}recent:32 2\.00/);
    expect(out).toContain("The model writes on");
  });

  test("Ctrl-C keeps what there is and ends with 130", async () => {
    const beforePart: FakeScript["beforePart"] = (index, session) => {
      if (session.context.startsWith("sinks") && index === 10) io.interrupt();
    };
    const io: FakeIo = new FakeIo({ files, model: new FakeModel({ ...script, beforePart }) });
    expect(await runCli([...argv, ...LONG, "--json", "o.json"], io)).toBe(130);
    const table = rows(io.stdout.text);
    expect([...table.keys()]).toEqual(["policy", "full", "recent:32", "sinks:4,recent:28"]);
    expect(io.stdout.text).toContain("sinks:4,recent:28: interrupted after 20 tokens");
    expect(io.stdout.text).not.toContain("writes on");
    expect(io.written.get("sluice-demo.svg")).toContain("<svg");
    const report = JSON.parse(io.written.get("o.json") ?? "");
    expect(report).toMatchObject({ interrupted: true, written: null });
    expect(report.policies.map((policy: { ending: string }) => policy.ending)).toEqual([
      "complete",
      "complete",
      "interrupted",
    ]);
    expect(io.model.disposed).toBe(true);
  });

  test("Ctrl-C while it writes keeps what was written", async () => {
    const beforePart: FakeScript["beforePart"] = (index, session) => {
      if (session.prompts.length > 0 && session.context.startsWith("sinks") && index === 1) io.interrupt();
    };
    const io: FakeIo = new FakeIo({ files, model: new FakeModel({ ...script, beforePart }) });
    expect(await runCli([...argv, ...LONG, "--json", "o.json"], io)).toBe(130);
    expect(JSON.parse(io.written.get("o.json") ?? "").written.text).toBe("and ");
  });

  test("a policy that fails is told, the others run, and the exit code is 1", async () => {
    const beforePart: FakeScript["beforePart"] = (_, session) => {
      if (session.context === "recent:32") throw new Error("no memory");
    };
    const { code, out } = await run([], { beforePart });
    expect(code).toBe(1);
    expect(out).toContain("recent:32: no memory");
    expect(rows(out).get("sinks:4,recent:28")?.[0]).toBe("630");
  });

  test("without arguments: the model and the text of the package", async () => {
    const assets = { ...files, "assets/the-time-machine-opening.txt": "The Time Traveller" };
    const model = new FakeModel(script);
    const { code, io, out } = await cli(["demo", ...LONG], { files: assets, model });
    expect(code).toBe(0);
    expect(io.loads.map(({ reference }) => reference)).toEqual(["assets/sluice-tiny.gguf"]);
    expect(out).toContain("text: the-time-machine-opening.txt, 18 tokens");
  });

  test("where the package has no model, the error says what to do", async () => {
    const { code, out, err, io } = await cli(["demo"], { files: {} });
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain("error: The package's own model is missing: expected assets/sluice-tiny.gguf.");
    expect(err).toContain("`sluice demo MODEL`");
    expect(err).toContain("`sluice train`");
    expect(io.loads).toEqual([]);
  });

  test.each([
    ["no tokens", ["--tokens", "0"]],
    ["a window that the sinks would fill", ["--window", "4"]],
    ["no time", ["--seconds", "0"]],
    ["no number", ["--seconds", "soon"]],
    ["two models", ["another.gguf"]],
    ["a plot to nowhere", ["--plot", ""]],
    ["a report to nowhere", ["--json", ""]],
  ])("%s: wrong usage", async (_, flags) => {
    const { code, out, io } = await cli([...argv, ...flags], { files });
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(io.loads).toEqual([]);
  });

  test("files that cannot be written or read are told before anything is loaded", async () => {
    for (const flags of [
      ["--plot", "nowhere/p.svg"],
      ["--json", "nowhere/o.json"],
      ["--file", "nowhere.txt"],
    ]) {
      const { code, err, io } = await cli([...argv, ...flags], { files });
      expect(code).toBe(1);
      expect(err).toMatch(/^error: '?nowhere/m);
      expect(io.loads).toEqual([]);
    }
  });

  test("an empty text and an encoder-decoder model are refused", async () => {
    const empty = await cli(["demo", "m.gguf", "--file", "m.json"], { files });
    expect(empty).toMatchObject({ code: 2, out: "" });
    expect(empty.err).toContain("There is no text to read");
    const t5 = await run([], { info: { architecture: "t5", encoderDecoder: true } });
    expect(t5).toMatchObject({ code: 2, out: "" });
    expect(t5.model.disposed).toBe(true);
  });

  test("when nobody reads the output any more it ends quietly", async () => {
    const io: FakeIo = new FakeIo({
      files,
      model: new FakeModel({ ...script, beforePart: (index) => void (index === 3 && io.closeOutput()) }),
    });
    const quiet: Io = io;
    expect(await runCli([...argv, ...LONG], quiet)).toBe(0);
    expect(io.model.sessions).toHaveLength(2);
  });
});
