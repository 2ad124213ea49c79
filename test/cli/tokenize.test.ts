import { describe, expect, test } from "vitest";
import type { Checkpoint } from "../../src/formats/checkpoint.js";
import type { EncodeOptions, Tokenizer } from "../../src/tokenizer/tokenizer.js";
import { cli } from "./support/fake-io.js";

/** Token ids are code points; 1 begins a text. */
const tokenizer: Tokenizer = {
  vocabSize: 1000,
  bosId: 1,
  eosId: undefined,
  endIds: new Set(),
  addsBos: true,
  prefix: [1],
  notes: [],
  chatTemplate: undefined,
  encode: (text: string, options: EncodeOptions = {}) => {
    const ids = Array.from(text, (character) => character.codePointAt(0) ?? 0);
    return Int32Array.from(options.addSpecial === false ? ids : [1, ...ids]);
  },
  decode: (ids, options) =>
    Array.from(ids, (id) => (id > 1 ? String.fromCodePoint(id) : options?.special ? "<s>" : "")).join(""),
  tokenText: (id) => (id === 1 ? "<s>" : String.fromCodePoint(id)),
  stream: () => ({ push: () => "", end: () => "" }),
  renderChat: () => "",
  encodeChat: () => new Int32Array(0),
};
let closed = 0;
const checkpoint: Checkpoint = {
  format: "gguf",
  location: "m.gguf",
  architecture: "llama",
  metadata: new Map(),
  tensors: new Map(),
  tokenizer: undefined,
  ropeLayout: undefined,
  close: async () => void closed++,
};
const setup = { checkpoint, tokenizer };

describe("sluice tokenize", () => {
  test("writes ids and pieces, one token a line", async () => {
    const before = closed;
    const { code, out } = await cli(["tokenize", "m.gguf", "a\n"], setup);
    expect({ code, out }).toEqual({
      code: 0,
      out: 'id  text   piece\n 1  "<s>"  <s>\n97  "a"    a\n10  "\\n"   \\n\n',
    });
    expect(closed).toBe(before + 1);
  });

  test("--json, --no-special, files and pipes", async () => {
    const piped = await cli(["tokenize", "m.gguf", "--json", "--no-special"], { ...setup, stdin: "é" });
    expect(JSON.parse(piped.out)).toEqual({ ids: [233], pieces: ["é"], texts: ["é"] });
    const file = await cli(["tokenize", "m.gguf", "--json", "--file", "f"], { ...setup, files: { f: "b" } });
    expect(JSON.parse(file.out)).toEqual({ ids: [1, 98], pieces: ["<s>", "b"], texts: ["<s>", "b"] });
  });

  test("--decode writes exactly the text", async () => {
    expect(await cli(["tokenize", "m.gguf", "--decode", "1", "97,98"], setup)).toMatchObject({ code: 0, out: "<s>ab" });
    const plain = await cli(["tokenize", "m.gguf", "--no-special", "--decode", "1", "97"], {
      ...setup,
      stdoutTTY: true,
    });
    expect(plain.out).toBe("a\n");
    const json = await cli(["tokenize", "m.gguf", "--json", "--decode", "97"], setup);
    expect(JSON.parse(json.out)).toEqual({ ids: [97], text: "a" });
  });

  test.each([
    ["an id that is no number", ["--decode", "x"]],
    ["an id beyond the vocabulary", ["--decode", "1000"]],
    ["a text and ids", ["text", "--decode", "1"]],
    ["a text and a file", ["text", "--file", "f"]],
  ])("refuses %s with exit code 2", async (_, flags) => {
    const { code, out, err } = await cli(["tokenize", "m.gguf", ...flags], setup);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain("error:");
  });

  test("a text that is not UTF-8, and a checkpoint without tokenizer", async () => {
    expect((await cli(["tokenize", "m.gguf"], { ...setup, stdin: Uint8Array.of(0xff) })).code).toBe(1);
    expect((await cli(["tokenize", "m.gguf", "a"], { checkpoint })).code).toBe(1);
  });
});

describe("sluice pull", () => {
  test("writes the local path", async () => {
    expect(await cli(["pull", "hf:a/b:Q4_0"])).toMatchObject({ code: 0, out: "/cache/a/b:Q4_0\n", err: "" });
    const json = await cli(["pull", "hf:a/b", "--json"], { stderrTTY: true });
    expect(JSON.parse(json.out)).toEqual({ reference: "hf:a/b", path: "/cache/a/b" });
    expect(json.err).toContain("downloading [############------------] 10 B of 20 B");
  });

  test("refuses what is no hub reference", async () => {
    expect(await cli(["pull", "model.gguf"])).toMatchObject({ code: 2, out: "" });
  });
});
