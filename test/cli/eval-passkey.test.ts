import { describe, expect, test } from "vitest";
import { runCli } from "../../src/cli/program.js";
import { nodeRuntime } from "../../src/cli/runtime-node.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import type { GenerateOptions, Part, SessionOptions } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.js";
import { tinyFile } from "../support/tiny-gguf.js";
import { checkpoint } from "./support/checkpoints.js";
import { cli, FakeIo } from "./support/fake-io.js";
import { FakeModel, FakeSession } from "./support/fake-model.js";

/** Answers with the passkey that the policy lets it see at the end of the prompt, and with another number otherwise. */
class OracleModel extends FakeModel {
  override session(options: SessionOptions = {}): FakeSession {
    const session = new OracleSession(this, options);
    this.sessions.push(session);
    return session;
  }
}

class OracleSession extends FakeSession {
  override async *generate(prompt: string | ArrayLike<number>, options: GenerateOptions = {}) {
    await this.model.script.beforePart?.(this.prompts.length, this);
    const ids = typeof prompt === "string" ? [] : Array.from(prompt);
    for await (const part of super.generate(prompt, { ...options, maxTokens: 0 })) {
      if (part.finish !== "length") throw new Error("A prompt that is only read ends by its length.");
    }
    if (options.signal?.aborted) {
      yield { text: "", id: undefined, finish: "cancelled" } satisfies Part;
      return;
    }
    const visible = parsePolicy(this.context)
      .headSets(0, 1)[0]
      .retention.visible(ids.length - 1)
      .map(({ start, end }) => String.fromCodePoint(...ids.slice(start, end)));
    const [, key = "99999"] = /pass key is (\d{5})\. Remember/.exec(visible.join("")) ?? [];
    const texts = [" ", ...key, "."].slice(0, options.maxTokens);
    for (const [index, text] of texts.entries()) {
      yield { text, id: 5, ...(index === texts.length - 1 && { finish: "length" as const }) } satisfies Part;
    }
  }
}

/** A token for each character, and a start token, as the fake model has them. */
const characters: Tokenizer = {
  vocabSize: 256,
  bosId: 1,
  eosId: 2,
  endIds: new Set([2]),
  addsBos: true,
  prefix: [1],
  notes: [],
  chatTemplate: undefined,
  encode: (text) => Int32Array.from(text, (character) => character.codePointAt(0) ?? 0),
  decode: (ids) => String.fromCodePoint(...Array.from(ids)),
  tokenText: (id) => String.fromCodePoint(id),
  stream: () => {
    throw new Error("not needed");
  },
  renderChat: () => "",
  encodeChat: () => new Int32Array(0),
};

const files = { "filler.txt": "Some words that say nothing at all. " };
const oracle = (script: ConstructorParameters<typeof OracleModel>[0] = {}) => ({
  model: new OracleModel(script),
  tokenizer: characters,
  checkpoint: checkpoint({}),
  files,
});
const argv = ["eval", "passkey", "m.gguf", "--filler", "filler.txt", "--length", "600"];
const two = [...argv, "--context", "full", "--context", "sinks:4,recent:200", "--trials", "21"];

describe("sluice eval passkey", () => {
  test("an interrupted run has trials of all depths", async () => {
    const beforePart = (index: number) => void (index === 10 && io.interrupt());
    const io: FakeIo = new FakeIo(oracle({ beforePart }));
    expect(await runCli([...argv, "--context", "full", "--trials", "40", "--json", "-"], io)).toBe(130);
    const [{ byDepth, answers }] = JSON.parse(io.stdout.text).results;
    expect(answers).toHaveLength(10);
    expect(byDepth.map(({ trials }: { trials: number }) => trials)).toEqual([2, 2, 2, 2, 2]);
  });

  test("tells accuracy by policy, length and depth, and the horizon", async () => {
    const { code, out, err } = await cli([...two, "--length", "204"], oracle());
    expect(code).toBe(0);
    const rows = out
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/ {2,}/));
    expect(rows[0]).toEqual([
      "context",
      "length",
      "right",
      "accuracy",
      "0-20%",
      "20-40%",
      "40-60%",
      "60-80%",
      "80-100%",
      "horizon",
      "time",
    ]);
    expect(rows[1].slice(0, -1)).toEqual([
      "full",
      "600",
      "21/21",
      "100%",
      "100%",
      "100%",
      "100%",
      "100%",
      "100%",
      "all",
    ]);
    expect(rows[2].slice(0, 4)).toEqual(["full", "204", "21/21", "100%"]);
    // Of 498 characters of filler at most 104 may stand behind the needle's 60: then the last 200, with the question's 41,
    // begin before its fifth. So depths from 0.8 on are answered.
    expect(rows[3].slice(0, 8)).toEqual(["sinks:4,recent:200", "600", "5/21", "24%", "0%", "0%", "0%", "0%"]);
    expect(rows[3].slice(8, -1)).toEqual(["100%", "200"]);
    expect(rows[4].slice(0, 3)).toEqual(["sinks:4,recent:200", "204", "21/21"]);
    expect(rows[5]).toEqual(["the model was trained for 512 tokens"]);
    expect(err).toContain("sinks:4,recent:200 at 600  21/21 trials  24% right");
    expect(err).not.toContain("\x1b");
  });

  test("all policies answer the same prompts of exactly the length, with one start token", async () => {
    const { model } = await cli([...two, "--kv", "q8"], oracle());
    const [full, streamed] = model.sessions;
    expect(full.prompts).toEqual(streamed.prompts);
    expect(new Set(full.prompts.map(String)).size).toBe(21);
    for (const prompt of full.prompts) {
      expect(prompt.length).toBe(600);
      expect(prompt.indexOf(1 as never)).toBe(0);
      expect(prompt.lastIndexOf(1 as never)).toBe(0);
    }
    // Room for a space, five digits and one token more; policies that let go of tokens need none.
    expect(full.options).toEqual({ context: "full", kv: "q8", contextLength: 607 });
    expect(streamed.options).toEqual({ context: "sinks:4,recent:200", kv: "q8" });
    expect(full.lastGenerate).toMatchObject({ temperature: 0 });
    expect(full.resets).toBe(21);
    expect(model.disposed && model.sessions.every(({ disposed }) => disposed)).toBe(true);
  });

  test("a vocabulary without a start token gets none", async () => {
    const { model } = await cli([...two], oracle({ special: { start: false, end: true } }));
    expect(model.sessions[0].prompts.every((prompt) => prompt.length === 600 && prompt[0] !== 1)).toBe(true);
  });

  test("follows from the seed", async () => {
    const prompts = async (seed: string) => (await cli([...two, "--seed", seed], oracle())).model.sessions[0].prompts;
    expect(await prompts("1")).toEqual(await prompts("1"));
    expect(await prompts("1")).not.toEqual(await prompts("2"));
  });

  test("the package's text, or neutral sentences, are the filler where none is given", async () => {
    const bare = ["eval", "passkey", "m.gguf", "--length", "300", "--context", "full", "--trials", "1"];
    const textOf = async (more: Record<string, string>) => {
      const { model } = await cli(bare, { ...oracle(), files: more });
      return String.fromCodePoint(...Array.from(model.sessions[0].prompts[0], Number));
    };
    expect(await textOf({ "assets/the-time-machine-opening.txt": "The Time Traveller" })).toContain("Time Traveller");
    expect(await textOf({})).toContain("The grass is green.");
  });

  test("writes JSON with every answer", async () => {
    const { out, err } = await cli([...two, "--json", "-"], oracle());
    const report = JSON.parse(out);
    expect(report).toMatchObject({
      format: "sluice-passkey",
      version: 1,
      seed: 1,
      filler: "filler.txt",
      interrupted: false,
    });
    const [, streamed] = report.results;
    expect(streamed).toMatchObject({
      context: "sinks:4,recent:200",
      length: 600,
      correct: 5,
      trials: 21,
      horizon: 200,
    });
    expect(streamed.byDepth[4]).toEqual({ from: 0.8, to: 1, correct: 5, trials: 5 });
    expect(streamed.answers).toHaveLength(21);
    expect(streamed.answers[0]).toMatchObject({ depth: 0, generated: " 99999.", correct: false, kept: 204 });
    expect(err).toContain("accuracy");
  });

  test("Ctrl-C ends with what was answered", async () => {
    const io: FakeIo = new FakeIo(oracle({ beforePart: (index) => void (index === 7 && io.interrupt()) }));
    expect(await runCli([...two, "--json", "out.json"], io)).toBe(130);
    expect(io.stdout.text).toContain("full, 600 tokens: interrupted after 7 trials");
    const report = JSON.parse(io.written.get("out.json") ?? "");
    expect(report).toMatchObject({ interrupted: true });
    expect(report.results[0]).toMatchObject({ complete: false, correct: 7 });
    expect(report.results[1]).toMatchObject({ complete: false, correct: 0, accuracy: null });
    expect(io.model.disposed).toBe(true);
  });

  test("one policy's failure is told, and the others run", async () => {
    const script = {
      beforePart: (_: number, session: FakeSession) => {
        if (session.context === "full") throw new Error("no room");
      },
    };
    const { code, out } = await cli(two, oracle(script));
    expect(code).toBe(1);
    expect(out).toContain("full, 600 tokens: no room");
    expect(out).toContain("5/21");
  });

  test("shows lines that are redrawn at a terminal", async () => {
    const { err } = await cli(two, { ...oracle(), stderrTTY: true });
    expect(err).toContain("sinks:4,recent:200 at 600  waiting");
    expect(err).toContain("\x1b[2A");
  });

  test.each([
    ["a length without room", ["--length", "20", "--context", "full"], "at least"],
    ["no policy", ["--length", "600"], "--context"],
    ["no length", ["--context", "full"], "--length"],
    ["a wrong policy", ["--length", "600", "--context", "all"], "context policy"],
    ["an empty filler", ["--length", "600", "--context", "full", "--filler", "empty.txt"], "empty"],
    ["a task that is none", [], "unknown command"],
  ])("%s is wrong usage", async (what, flags, message) => {
    const task = what.startsWith("a task") ? ["eval", "passkeys"] : ["eval", "passkey", "m.gguf"];
    const { code, err } = await cli([...task, ...flags], { ...oracle(), files: { ...files, "empty.txt": " " } });
    expect(code).toBe(2);
    expect(err).toContain(message);
  });

  test("runs a real model", async () => {
    const runtime = {
      load: (reference: string) => loadLocal(reference, { threads: 1 }),
      openCheckpoint: nodeRuntime.openCheckpoint,
      openTokenizer: nodeRuntime.openTokenizer,
    };
    const flags = ["--length", "200", "--context", "full", "--context", "recent:64", "--trials", "2", "--json", "-"];
    const { code, out } = await cli(["eval", "passkey", tinyFile(), ...flags], { runtime });
    expect(code).toBe(0);
    const [full, recent] = JSON.parse(out).results;
    expect(full).toMatchObject({ complete: true, horizon: null, error: null });
    expect(recent).toMatchObject({ complete: true, horizon: 64 });
    expect(full.answers[0].generated).not.toBe("");
  });
});
