/** `sluice gates` and `--gates`: what they write, and what they refuse. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { gatesNote } from "../../src/cli/gates/found-gates.js";
import { heatMap } from "../../src/cli/plot/heat-map.js";
import { runCli } from "../../src/cli/program.js";
import { parseGates } from "../../src/context/gates/index.js";
import { familyNamed } from "../support/families.js";
import { randomGguf } from "../support/random-gguf.js";
import { tinyFile } from "../support/tiny-gguf.js";
import { cli, FakeIo } from "./support/fake-io.js";

const MODEL = "assets/sluice-tiny.gguf";
const TSV = "1\t0\n0\t1\n";
const filler = readFileSync("assets/the-time-machine-opening.txt", "utf8").slice(0, 6000);

describe("sluice gates", () => {
  const argv = ["gates", MODEL, "--filler", "f.txt", "--length", "192", "--prompts", "2", "--threads", "2"];

  test("writes gates and a map, and shows the best heads", async () => {
    const {
      code,
      out: stdout,
      io,
    } = await cli([...argv, "--out", "g.json", "--plot", "g.svg"], {
      files: { "f.txt": filler },
    });
    expect(code).toBe(0);
    expect(stdout).toMatch(/layer {2}KV head {3}gate/);
    expect(stdout).toMatch(/\n {4}4 {8}0 {2}1\.000/);
    expect(stdout).toContain("of 12 KV heads");
    const gates = parseGates(new TextEncoder().encode(io.written.get("g.json")));
    expect(gates.layers.map((row) => row.length)).toEqual([2, 2, 2, 2, 2, 2]);
    expect(gates).toMatchObject({ found: { method: "retrieval", prompts: 2, lengths: [192], seed: 1 } });
    expect(gates.layers[4][0]).toBe(1);
    const map = io.written.get("g.svg") ?? "";
    expect(map).toMatch(/^<svg .*<\/svg>\n$/s);
    expect(map.match(/layer \d, KV head \d: /g)).toHaveLength(12);
    // The same seed, the same gates.
    const again = await cli([...argv, "--json"], { files: { "f.txt": filler } });
    const document = JSON.parse(again.out);
    expect(document.layers).toEqual(gates.layers);
    expect(document.scores).toHaveLength(6);
    expect(document.scores[4].copy).toHaveLength(4);
  });

  test("says so where no head retrieves, and keeps the largest score", async () => {
    const files = { "f.txt": filler };
    const trained = await cli([...argv, "--json"], { files });
    const { found, scores } = JSON.parse(trained.out);
    const all = scores.flatMap(({ copy, passkey }: { copy: number[]; passkey: number[] }) => [...copy, ...passkey]);
    expect(found.largest).toBeCloseTo(Math.max(...all), 5);
    expect(trained.err).not.toContain("note:");
    const llama = familyNamed("llama");
    const { path } = randomGguf({ ...llama, keys: { ...llama.keys, context_length: 512 } });
    const random = await cli(["gates", path, ...argv.slice(2), "--json"], { files });
    expect(JSON.parse(random.out).found.largest).toBeLessThan(0.3);
    expect(random.err).toMatch(/note: No head retrieves: the best gives \d+\.\d% of its attention to what is sought/);
  });

  test("what random weights reach with the shortest prompts, 0.21, is no retrieval; what is not said is not judged", () => {
    const gates = (largest?: number) => ({
      gates: { model: null, threshold: null, layers: [[1]], found: { method: "x", largest } },
    });
    expect(gatesNote(gates(0.21))).toContain("the best gives 21.0%");
    expect(gatesNote(gates(0))).toContain("the best gives 0.0%");
    expect([gatesNote(gates(0.3)), gatesNote(gates(0.98)), gatesNote(gates())]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("with the gates on standard output the table goes to standard error", async () => {
    const { code, out: stdout, err: stderr } = await cli([...argv, "--out", "-"], { files: { "f.txt": filler } });
    expect(code).toBe(0);
    expect(parseGates(new TextEncoder().encode(stdout)).layers).toHaveLength(6);
    expect(stderr).toContain("of 12 KV heads");
  });

  test("Ctrl-C ends it", async () => {
    const io = new FakeIo({ files: { "f.txt": filler } });
    const running = runCli([...argv, "--prompts", "5000"], io);
    setTimeout(() => io.interrupt(), 1000);
    expect(await running).toBe(130);
  });

  test.each([
    [["--length", "64"], 2, /whole numbers from 128/],
    [["--json", "--out", "-"], 2, /With --json standard output/],
    [["--out", "f.txt"], 2, /is read here/],
    [["--prompts", "0"], 2, /whole number/],
  ])("%j is refused", async (more, expected, message) => {
    const { code, err: stderr } = await cli([...argv, ...more], { files: { "f.txt": filler } });
    expect(stderr).toMatch(message);
    expect(code).toBe(expected);
  });
});

describe("--gates", () => {
  const files = { "g.tsv": TSV, "a b.json": TSV, "text.txt": "Once upon a time" };

  test("is handed to the model, with the file's name or another", async () => {
    for (const [flag, name] of [
      ["g.tsv", "g.tsv"],
      ["mine=g.tsv", "mine"],
    ]) {
      const { code, io } = await cli(
        ["run", "m.gguf", "--prompt", "x", "--max-tokens", "1", "--gates", flag, "--context", `duo:${name}@0.5`],
        { files },
      );
      expect(code).toBe(0);
      expect(io.loads.map(({ options }) => options.gates)).toEqual([{ [name]: "g.tsv" }]);
    }
  });

  test.each([
    ["run", "--prompt", "x"],
    ["chat"],
    ["stream", "--file", "text.txt"],
    ["eval", "passkey", "--length", "500"],
    ["inspect"],
  ])("what a policy of %s calls must be given", async (...command) => {
    const [verb, ...rest] = command;
    const argv = verb === "eval" ? ["eval", "passkey", "m.gguf", ...rest.slice(1)] : [verb, "m.gguf", ...rest];
    const { code, err: stderr } = await cli([...argv, "--gates", "g.tsv", "--context", "duo:other"], { files });
    expect(code).toBe(2);
    expect(stderr).toContain('there are no gates "other"; there are "g.tsv"');
    expect(stderr).toContain("duo:other\n      ^");
  });

  test.each([
    [["--gates", "a b.json"], /cannot be called "a b\.json".*NAME=FILE/s],
    [["--gates", "g.tsv", "--gates", "other/g.tsv"], /Two files of gates cannot both be called "g\.tsv"/],
    [["--gates", "x="], /Expected a path/],
    [["--gates", ""], /path/],
  ])("%j is refused", async (flags, message) => {
    const { code, err: stderr } = await cli(["run", "m.gguf", "--prompt", "x", ...flags], { files });
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});

test("inspect shows what groups of heads take", async () => {
  const path = tinyFile({ metadata: { "llama.context_length": 4096 } });
  const io = new FakeIo({ files: { "g.tsv": TSV } });
  const { nodeRuntime } = await import("../../src/cli/runtime-node.js");
  Object.assign(io.runtime, {
    openCheckpoint: nodeRuntime.openCheckpoint,
    spec: nodeRuntime.spec,
  });
  const argv = ["inspect", path, "--gates", "g.tsv", "--context", "duo:g.tsv"];
  expect(await runCli(argv, io)).toBe(0);
  expect(io.stdout.text).toMatch(/of which +262 kB for 2 KV heads of layers 0, 1, which keep everything/);
  expect(io.stdout.text).toMatch(
    /of which +\d+\.\d kB for 2 KV heads of layers 0, 1, which keep the first 64 and the newest 256 tokens/,
  );
  const wrong = new FakeIo({ files: { "g.tsv": "1\n1\n" } });
  Object.assign(wrong.runtime, { openCheckpoint: nodeRuntime.openCheckpoint, spec: nodeRuntime.spec });
  expect(await runCli(argv, wrong)).toBe(2);
  expect(wrong.stderr.text).toContain("1 KV head in layer 0");
});

test("a heat map has a cell for each number, rows of any length", () => {
  const rows = [
    { name: "3", values: [0, 0.5, 1] },
    { name: "7", values: [0.25] },
  ];
  const svg = heatMap({ title: "a <map>", rowName: "layer", columnName: "head", rows });
  expect(svg).toContain("a &lt;map&gt;");
  expect([...svg.matchAll(/<title>layer (\d), head (\d): ([\d.]+)<\/title>/g)].map(([, ...found]) => found)).toEqual([
    ["3", "0", "0"],
    ["3", "1", "0.5"],
    ["3", "2", "1"],
    ["7", "0", "0.25"],
  ]);
  expect(svg).toContain('fill="#ffffff"');
  expect(svg).toContain('fill="#004782"');
});
