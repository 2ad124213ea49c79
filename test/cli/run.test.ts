import { describe, expect, test } from "vitest";
import { runCli } from "../../src/cli/program.js";
import { describeRun } from "../../src/cli/usage-line.js";
import { ContextFullError, NotFoundError, SluiceError, SnapshotError } from "../../src/util/errors.js";
import { cli, FakeIo } from "./support/fake-io.js";
import { FakeModel } from "./support/fake-model.js";

describe("sluice run", () => {
  test("writes exactly the text to standard output, and nothing elsewhere", async () => {
    const { code, out, err, model } = await cli(["run", "m.gguf", "--prompt", "Hi"]);
    expect({ code, out, err }).toEqual({ code: 0, out: "Hello, world", err: "" });
    expect(model.disposed).toBe(true);
  });

  test("ends the line at a terminal only", async () => {
    const { out } = await cli(["run", "m.gguf", "--prompt", "Hi"], { stdoutTTY: true });
    expect(out).toBe("Hello, world\n");
  });

  test("what the session has to say of the policy stands on standard error, not under --quiet", async () => {
    const setup = () => ({ model: new FakeModel({ info: { attentionLayers: 1 } }) });
    const argv = ["run", "m.gguf", "--prompt", "Hi", "--context", "sinks:1,recent:8"];
    const { out, err } = await cli(argv, setup());
    expect(out).toBe("Hello, world");
    expect(err).toMatch(/^note: sinks:1,recent:8 applies to the layers with attention, 1 of 2;.*\n$/);
    expect((await cli([...argv, "--quiet"], setup())).err).toBe("");
    expect((await cli(["run", "m.gguf", "--prompt", "Hi"], setup())).err).toBe("");
  });

  test("hands an encoder its source", async () => {
    const model = new FakeModel({ info: { encoderDecoder: true } });
    const found = await cli(["run", "m.gguf", "--source", "Read this", "--prompt", "So"], { model });
    expect(found).toMatchObject({ code: 0, out: "Hello, world" });
    expect(model.sessions[0]).toMatchObject({ options: { source: "Read this" }, prompts: ["So"] });
    const without = await cli(["run", "m.gguf", "--source", "Read this", "--prompt", "So"]);
    expect(without).toMatchObject({ code: 2, err: expect.stringMatching(/no encoder/) });
  });

  test("saves the session, and goes on with a saved one", async () => {
    const first = await cli([
      "run",
      "m.gguf",
      "--prompt",
      "Hi",
      "--context",
      "recent:8",
      "--max-tokens",
      "0",
      "--save",
      "s.session",
    ]);
    expect(first).toMatchObject({ code: 0, out: "", err: "" });
    expect(first.model.sessions[0].lastGenerate.maxTokens).toBe(0);
    const files = { "s.session": first.io.written.get("s.session") ?? "" };
    const second = await cli(["run", "m.gguf", "--prompt", "Ho", "--resume", "s.session"], { files });
    expect(second).toMatchObject({ code: 0, out: "Hello, world", err: "" });
    expect(second.model.sessions).toHaveLength(1);
    expect(second.model.sessions[0]).toMatchObject({ context: "recent:8", prompts: ["Ho"] });
  });

  test("a new session is for its owner alone", async () => {
    const { io } = await cli(["run", "m.gguf", "--prompt", "Hi", "--save", "s.session"]);
    expect([...io.secrets]).toEqual(["s.session"]);
  });

  test("a session that cannot be saved is kept elsewhere, and the text stays written", async () => {
    const argv = ["run", "m.gguf", "--prompt", "Hi", "--context", "recent:8", "--save", "s.session"];
    const { code, out, err, io } = await cli(argv, { fullDisk: "there" });
    expect({ code, out }).toEqual({ code: 1, out: "Hello, world" });
    expect(err).toBe(
      "error: 's.session' cannot be written: the disk is full.\n  It is kept in tmp/s.session: move it to where it belongs.\n",
    );
    expect(io.written.get("tmp/s.session")).toBe("recent:8");
    const nowhere = await cli(argv, { fullDisk: "everywhere" });
    expect(nowhere).toMatchObject({ code: 1, out: "Hello, world" });
    expect(nowhere.err).toContain("no room for it in the folder for temporary files either");
  });

  test("what was read until an error is saved; where nothing was, the old session stays", async () => {
    const full = () => new ContextFullError("The context is full.", { limit: 4, needed: 5 });
    const argv = ["run", "m.gguf", "--prompt", "Hi", "--save", "s.session"];
    const later = new FakeModel({
      beforePart: (index) => {
        if (index === 1) throw full();
      },
    });
    const found = await cli(argv, { model: later });
    expect(found).toMatchObject({ code: 1, out: "Hello" });
    expect(found.io.written.has("s.session")).toBe(true);
    const unread = new FakeModel();
    unread.session = (options) => {
      const session = FakeModel.prototype.session.call(unread, options);
      // biome-ignore lint/correctness/useYield: it fails before it has anything to yield.
      session.generate = async function* () {
        throw full();
      };
      return session;
    };
    const nothing = await cli(argv, { model: unread });
    expect(nothing.code).toBe(1);
    expect(nothing.io.written.size).toBe(0);
  });

  test("refuses a session that is not there, cannot be written, or has a policy already, before anything is loaded", async () => {
    const files = { "s.session": "recent:8" };
    const resume = ["run", "m.gguf", "--prompt", "Hi", "--resume"];
    for (const [argv, code] of [
      [[...resume, "absent"], 1],
      [[...resume, "s.session", "--context", "full"], 2],
      [[...resume, "s.session", "--source", "x"], 2],
      [["run", "m.gguf", "--prompt", "Hi", "--save", "no/where"], 1],
    ] as const) {
      const found = await cli(argv, { files });
      expect(found).toMatchObject({ code, out: "" });
      expect(found.io.loads).toEqual([]);
    }
  });

  test("an empty prompt is a prompt", async () => {
    const { code, model } = await cli(["run", "m.gguf", "--prompt", ""], { stdinTTY: true });
    expect(code).toBe(0);
    expect(model.sessions[0].prompts).toEqual([""]);
  });

  test.each([
    ["a file", ["--file", "p.txt"], { files: { "p.txt": "from a file\n" } }, "from a file\n"],
    ["standard input by name", ["--file", "-"], { stdin: "piped é\n", stdinTTY: true }, "piped é\n"],
    ["a pipe", [], { stdin: "piped" }, "piped"],
    ["echo, without the newline that it adds", [], { stdin: "piped\n" }, "piped"],
    ["a pipe of other systems", [], { stdin: "piped\r\n" }, "piped"],
    ["a pipe, of whose newlines one goes", [], { stdin: "piped\n\n" }, "piped\n"],
    ["an empty line", [], { stdin: "\n" }, ""],
    ["a pipe, whose other ends stay", [], { stdin: "piped \r" }, "piped \r"],
  ])("reads the prompt from %s", async (_, flags, setup, prompt) => {
    const { code, model } = await cli(["run", "m.gguf", ...flags], setup);
    expect(code).toBe(0);
    expect(model.sessions[0].prompts).toEqual([prompt]);
  });

  test("refuses two prompts, and none at a terminal, before anything is loaded", async () => {
    const two = await cli(["run", "m.gguf", "--prompt", "a", "--file", "b"]);
    expect(two).toMatchObject({ code: 2, out: "" });
    expect(two.err).toContain("not both");
    const none = await cli(["run", "m.gguf"], { stdinTTY: true });
    expect(none).toMatchObject({ code: 2, out: "" });
    expect([...two.io.loads, ...none.io.loads]).toEqual([]);
  });

  test("a prompt that is not UTF-8 is refused with the offset of the byte", async () => {
    const files = { "p.txt": Uint8Array.of(0x61, 0xc3, 0xa9, 0xff, 0x62) };
    const { code, out, err, io } = await cli(["run", "m.gguf", "--file", "p.txt"], { files });
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/error: p\.txt is not UTF-8.*byte 3 /);
    expect(io.loads).toEqual([]);
  });

  test("a prompt that takes long to read is told now and then where standard error is no terminal", async () => {
    const slow = () => {
      const model = new FakeModel();
      model.session = (options) => {
        const session = FakeModel.prototype.session.call(model, options);
        session.generate = async function* (_, { onPrefill } = {}) {
          // The clock of the tests goes on by 50 ms with each look at it.
          for (let done = 0; done <= 1000; done++) onPrefill?.(done, 1000);
          yield { text: "x", id: 1, finish: "stop" };
        };
        return session;
      };
      return model;
    };
    const piped = await cli(["run", "m.gguf", "--prompt", "x"], { model: slow() });
    expect(piped).toMatchObject({ code: 0, out: "x" });
    const lines = piped.err.trimEnd().split("\n");
    expect(lines.length).toBeGreaterThan(2);
    expect(lines.length).toBeLessThan(40);
    for (const line of lines) expect(line).toMatch(/^reading the prompt: \d+ of 1,000 tokens, .* left$/);
    expect((await cli(["run", "m.gguf", "--prompt", "x", "--quiet"], { model: slow() })).err).toBe("");
    // A terminal without a cursor that moves gets the same lines.
    const dumb = await cli(["run", "m.gguf", "--prompt", "x"], {
      model: slow(),
      stderrTTY: true,
      env: { TERM: "dumb" },
    });
    expect(dumb.err).toContain("reading the prompt: ");
    expect(dumb.err).not.toContain("\x1b");
  });

  test("what the session notes on the way is told at the end, once", async () => {
    const model = new FakeModel();
    model.session = (options) => {
      const session = FakeModel.prototype.session.call(model, options);
      const notes = ["from the beginning"];
      Object.defineProperty(session, "notes", { get: () => [...notes] });
      session.generate = async function* () {
        notes.push("passed the context");
        yield { text: "x", id: 1, finish: "stop" };
      };
      return session;
    };
    const { code, err } = await cli(["run", "m.gguf", "--prompt", "x"], { model });
    expect({ code, err }).toEqual({ code: 0, err: "note: from the beginning\nnote: passed the context\n" });
  });

  test("hands over all options", async () => {
    const flags =
      "--temperature 0 --top-k 5 --top-p 0.5 --min-p 0.1 --repetition-penalty 1.1 --presence-penalty -0.5 " +
      "--frequency-penalty 0.25 --penalty-window 9 --logit-bias 7=-1.5 --logit-bias 8=-inf --seed 42 --stop A --stop B " +
      "--ignore-end --max-tokens 3 --context sinks:4,recent:8 --kv q8/q4 --context-length 99 --backend reference " +
      "--threads 2 --memory-limit 1.5GB --wasm-memory 64MiB --precise";
    const { code, model, io } = await cli(["run", "m.gguf", "--prompt", "x", ...flags.split(" ")]);
    expect(code).toBe(0);
    expect(model.sessions[0].lastGenerate).toMatchObject({
      temperature: 0,
      topK: 5,
      topP: 0.5,
      minP: 0.1,
      repetitionPenalty: 1.1,
      presencePenalty: -0.5,
      frequencyPenalty: 0.25,
      penaltyWindow: 9,
      logitBias: { 7: -1.5, 8: Number.NEGATIVE_INFINITY },
      seed: 42,
      stop: ["A", "B"],
      ignoreEnd: true,
      maxTokens: 3,
    });
    expect(model.sessions[0].options).toEqual({ context: "sinks:4,recent:8", kv: "q8/q4", contextLength: 99 });
    expect(io.loads[0]).toMatchObject({
      reference: "m.gguf",
      options: { backend: "reference", threads: 2, memoryLimitBytes: 1.5e9, wasmMemoryBytes: 2 ** 26, precise: true },
    });
  });

  test("leaves defaults to the engine", async () => {
    const { model, io } = await cli(["run", "m.gguf", "--prompt", "x"]);
    expect(Object.keys(model.sessions[0].lastGenerate).sort()).toEqual(["onPrefill", "signal"]);
    expect(model.sessions[0].options).toEqual({});
    expect(Object.keys(io.loads[0].options).sort()).toEqual(["backend", "onProgress", "signal"]);
  });

  test.each([
    ["--temperature", "-1"],
    ["--temperature", "warm"],
    ["--top-k", "1.5"],
    ["--top-p", "0"],
    ["--top-p", "1.01"],
    ["--min-p", "2"],
    ["--repetition-penalty", "0"],
    ["--presence-penalty", "1000"],
    ["--max-tokens", "-1"],
    ["--max-tokens", "0x10"],
    ["--max-tokens", ""],
    ["--seed", "-1"],
    ["--seed", "1e30"],
    ["--threads", "0"],
    ["--threads", "100000"],
    ["--memory-limit", "lots"],
    ["--memory-limit", "-1"],
    ["--memory-limit", "8"],
    ["--memory-limit", "512KB"],
    ["--save", ""],
    ["--resume", ""],
    ["--file", ""],
    ["--wasm-memory", "some"],
    ["--logit-bias", "5"],
    ["--logit-bias", "x=1"],
    ["--logit-bias", "5=inf"],
    ["--kv", "q9"],
    ["--kv", "q8/q8/q8"],
    ["--backend", "gpu"],
    ["--context-length", "-5"],
    ["--logprobs", "1"],
    ["--unknown", "1"],
  ])("refuses %s %j with exit code 2 and loads nothing", async (flag, value) => {
    const { code, out, err, io } = await cli(["run", "m.gguf", "--prompt", "x", flag, value]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(/^error: /);
    expect(err).toContain(flag);
    expect(io.loads).toEqual([]);
  });

  test.each([
    ["--max-tokens", "9999999999", "Expected a whole number from 0 to 2,147,483,647."],
    ["--max-tokens", "9".repeat(30), "Expected a whole number from 0 to 2,147,483,647."],
    ["--seed", "9".repeat(16), "Expected a whole number from 0 to 9,007,199,254,740,991."],
    ["--threads", "300", "Expected a whole number from 1 to 256."],
  ])("names both bounds to whoever is refused: %s %s", async (flag, value, message) => {
    const { code, err } = await cli(["run", "m.gguf", "--prompt", "x", flag, value]);
    expect(code).toBe(2);
    expect(err).toContain(message);
  });

  test("an absent prompt file is no absent model", async () => {
    const { code, err } = await cli(["run", "m.gguf", "--file", "nowhere.txt"]);
    expect(code).toBe(1);
    expect(err).toBe("error: nowhere.txt cannot be read: there is no such file or folder.\n");
  });

  test("points at the wrong place of a policy", async () => {
    const { code, err, io } = await cli(["run", "m.gguf", "--prompt", "x", "--context", "sinks:4,recnet:8"]);
    expect(code).toBe(2);
    const lines = err.split("\n");
    const shown = lines.indexOf("  sinks:4,recnet:8");
    expect(lines[shown + 1]).toBe(`  ${" ".repeat("sinks:4,".length)}^`);
    expect(io.loads).toEqual([]);
  });

  test("--json writes one object: text, ids, finish, usage, log-probabilities", async () => {
    const { code, out } = await cli(["run", "m.gguf", "--prompt", "Hi", "--json", "--logprobs", "2"]);
    expect(code).toBe(0);
    expect(out.endsWith("}\n")).toBe(true);
    expect(JSON.parse(out)).toMatchObject({
      model: "fake.gguf",
      context: "full",
      text: "Hello, world",
      ids: [0, 1, 2],
      finish: "stop",
      usage: { seen: 6, generatedTokens: 3 },
      logprobs: [
        { id: 0, text: "\u0000", piece: "<0>", logprob: -0.5, top: [{ id: 0, text: "Hello", piece: "<0>" }] },
        { id: 1 },
        { id: 2 },
      ],
    });
  });

  test("--json without --max-tokens ends after as many tokens as the model was trained for; a text is not bounded", async () => {
    const bounded = await cli(["run", "m.gguf", "--prompt", "Hi", "--json"]);
    expect(bounded.model.sessions[0].lastGenerate.maxTokens).toBe(bounded.model.info.trainedContext);
    const open = await cli(["run", "m.gguf", "--prompt", "Hi"]);
    expect(open.model.sessions[0].lastGenerate.maxTokens).toBeUndefined();
  });

  test("after --resume, --stats and --json tell what this run read and wrote beside the session's totals", async () => {
    const model = new FakeModel();
    model.restore = async () => {
      const session = model.session();
      for await (const _ of session.generate("read before"));
      return session;
    };
    const files = { "s.session": "full" };
    const argv = ["run", "m.gguf", "--prompt", "Ho", "--resume", "s.session"];
    // 12 read and 3 written before, 3 read and 3 written now.
    const { err } = await cli([...argv, "--stats"], { model, files });
    expect(err).toMatch(
      /^seen 21 tokens, .*; this run: prompt 3 tokens at 1,000 tok\/s, written 3 at 50\.0 tok\/s, cache/,
    );
    const { out } = await cli([...argv, "--json"], { model, files });
    expect(JSON.parse(out)).toMatchObject({
      usage: { promptTokens: 15, generatedTokens: 6 },
      run: { promptTokens: 3, generatedTokens: 3 },
    });
  });

  test("why fewer tokens are seen than read and written is said", () => {
    const usage = {
      seen: 24,
      kept: 24,
      evicted: 0,
      read: 24,
      horizon: null,
      sinks: 0,
      cacheBytes: 10,
      groups: [],
      promptTokens: 5,
      cachedTokens: 0,
    };
    const rates = { prefillTokensPerSecond: null, decodeTokensPerSecond: null };
    const none = { ...usage, ...rates, seen: 0, promptTokens: 0, generatedTokens: 0 };
    expect(describeRun(none, { ...usage, ...rates, generatedTokens: 20 })).toBe(
      "seen 24 tokens, kept 24, evicted 0, recalls all of it; prompt 5 tokens, written 20, cache 10 B " +
        "(the newest is read with the next step)",
    );
    expect(describeRun(none, { ...usage, ...rates, generatedTokens: 19 })).not.toContain("newest");
  });

  test("a size without its unit is not taken for bytes", async () => {
    const { err } = await cli(["run", "m.gguf", "--prompt", "x", "--memory-limit", "8"]);
    expect(err).toContain("at least 1MiB, such as 512MB, 8GB or 6GiB; did you mean 8GB?");
  });

  test("at a terminal a text without --max-tokens is said to have no end but the model's", async () => {
    const run = async (...flags: string[]) =>
      (await cli(["run", "m.gguf", "--prompt", "Hi", ...flags], { stderrTTY: true, env: { NO_COLOR: "1" } })).err;
    const note = "note: no --max-tokens: the text goes on until the model ends it; Ctrl-C stops it\n";
    expect(await run()).toContain(note);
    expect(await run("--max-tokens", "8")).not.toContain("--max-tokens");
    expect(await run("--quiet")).toBe("");
  });

  test("in a terminal without a prompt nothing is loaded", async () => {
    const { code, err, io } = await cli(["run", "m.gguf"], { stdinTTY: true, stdoutTTY: true, stderrTTY: true });
    expect({ code, loads: io.loads }).toEqual({ code: 2, loads: [] });
    expect(err).toMatch(/There is no text: give --prompt TEXT/);
  });

  test("messages name options as the command line has them, texts and paths as they are", async () => {
    const failing = (message: string) =>
      new FakeModel({
        beforePart: () => {
          throw new ContextFullError(message, { limit: 4, needed: 5 });
        },
      });
    const told = async (message: string) =>
      (await cli(["run", "m.gguf", "--prompt", "Hi"], { model: failing(message) })).err;
    expect(await told("Shorten it, raise contextLength, or set topK and memoryLimitBytes.")).toContain(
      "raise --context-length, or set --top-k and --memory-limit.",
    );
    expect(await told("In a/contextLength/b and maxTokens.json.")).toContain(
      "In a/contextLength/b and maxTokens.json.",
    );
  });

  test("--stats tells seen, kept, evicted, horizon and speed on standard error", async () => {
    const { out, err } = await cli(["run", "m.gguf", "--prompt", "Hi", "--stats", "--context", "sinks:1,recent:3"]);
    expect(out).toBe("Hello, world");
    expect(err).toBe(
      "seen 6 tokens, kept 4, evicted 2, recalls the newest 3 and the first 1; " +
        "prompt 3 tokens at 1,000 tok/s, written 3 at 50.0 tok/s, cache 40 B\n",
    );
  });

  test("--stats and --json tell what was read of what is kept, and help names the policy's options", async () => {
    const argv = ["run", "m.gguf", "--prompt", "Hi".repeat(60), "--context", "full,read=quest:32"];
    const { usage } = JSON.parse((await cli([...argv, "--json"])).out);
    expect([usage.kept > 32, usage.read]).toEqual([true, 32]);
    const { err } = await cli([...argv, "--stats"]);
    expect(err).toContain(`kept ${usage.kept} and read 32 of them, evicted 0, each token recalls what it reads`);
    const { out: help } = await cli(["run", "--help"]);
    expect(help).toMatch(/read=quest:N .*\n.*dense=L /);
  });

  test("progress shows at a terminal alone, and is taken away", async () => {
    const shown = await cli(["run", "m.gguf", "--prompt", "Hi"], { stderrTTY: true });
    expect(shown.err).toContain("reading weights");
    expect(shown.err).toContain("weights 4.00 kB + cache 100 B (512 tokens)");
    expect(shown.err.endsWith("\x1b[0J")).toBe(true);
    expect(shown.out).toBe("Hello, world");
    const quiet = await cli(["run", "m.gguf", "--prompt", "Hi", "--quiet"], { stderrTTY: true });
    expect(quiet.err).toBe("");
  });

  test("when the context is full, the text so far is written and the failure told", async () => {
    const full = new ContextFullError("The context is full.", { limit: 4, needed: 5 });
    const script = {
      beforePart: (index: number) => {
        if (index === 2) throw full;
      },
    };
    const plain = await cli(["run", "m.gguf", "--prompt", "Hi"], { model: new FakeModel(script) });
    expect(plain).toMatchObject({ code: 1, out: "Hello, " });
    expect(plain.err).toMatch(/^error: The context is full\.\nhint: .*--context/);
    const json = await cli(["run", "m.gguf", "--prompt", "Hi", "--json"], { model: new FakeModel(script) });
    expect(json.code).toBe(1);
    expect(JSON.parse(json.out)).toMatchObject({ text: "Hello, ", error: { code: "context_full" } });
    expect(json.model.disposed).toBe(true);
  });

  test.each([{ positions: 4 }, { option: "source" }])(
    "no hint about policies where they do not help: %j",
    async (more) => {
      const beforePart = () => {
        throw new ContextFullError("The context is full.", { limit: 4, needed: 5, ...more });
      };
      const { err } = await cli(["run", "m.gguf", "--prompt", "Hi"], { model: new FakeModel({ beforePart }) });
      expect(err).toBe("error: The context is full.\n");
    },
  );

  test("hints where gates are missing speak of gates, or leave it to the message", async () => {
    const told = async (error: Error) => {
      const beforePart = () => {
        throw error;
      };
      return (await cli(["run", "m.gguf", "--prompt", "Hi"], { model: new FakeModel({ beforePart }) })).err;
    };
    const option = "gates";
    expect(await told(new NotFoundError("Nothing at g.json.", { option }))).toMatch(
      /hint: .*sluice gates MODEL --out FILE/,
    );
    expect(await told(new NotFoundError("Nothing at g.json."))).toMatch(/hint: check the name; a model/);
    expect(await told(new SnapshotError("Other gates.", { option }))).toBe("error: Other gates.\n");
    expect(await told(new SnapshotError("Damaged."))).toMatch(/hint: a saved session/);
  });

  test("the first Ctrl-C cancels with exit code 130, the second kills", async () => {
    const setup = {
      model: new FakeModel({
        beforePart: (index: number) => {
          if (index !== 1) return;
          io.interrupt();
          expect(io.killed).toBe(0);
          io.interrupt();
        },
      }),
    };
    const io = new FakeIo(setup);
    expect(await runCli(["run", "m.gguf", "--prompt", "Hi"], io)).toBe(130);
    expect(io.stdout.text).toBe("Hello");
    expect(io.stderr.text).toBe("");
    expect(io.killed).toBe(1);
    expect(io.model.disposed).toBe(true);
    expect(io.listening).toBe(0);
  });

  test("Ctrl-C while loading ends with 130 and no message", async () => {
    const io: FakeIo = new FakeIo({
      runtime: {
        load: async (_, options) => {
          io.interrupt();
          options.signal?.throwIfAborted();
          return io.model;
        },
      },
    });
    expect(await runCli(["run", "m.gguf", "--prompt", "Hi"], io)).toBe(130);
    expect(io.stderr.text).toBe("");
  });

  test.each([[[]], [["--json"]]])("an output that cannot be written is a failure: %j", async (flags) => {
    const failure = new SluiceError("file", "Standard output cannot be written: the disk is full.");
    const io: FakeIo = new FakeIo({
      model: new FakeModel({ beforePart: (index) => void (index === 1 && io.failOutput(failure)) }),
    });
    expect(await runCli(["run", "m.gguf", "--prompt", "Hi", ...flags], io)).toBe(1);
    expect(io.stderr.text).toBe("error: Standard output cannot be written: the disk is full.\n");
    expect(io.model.sessions[0].usage.generatedTokens).toBe(1);
    expect(io.model.disposed).toBe(true);
  });

  test("stops quietly when nobody reads the output any more", async () => {
    const io: FakeIo = new FakeIo({
      model: new FakeModel({ beforePart: (index) => void (index === 1 && io.closeOutput()) }),
    });
    expect(await runCli(["run", "m.gguf", "--prompt", "Hi"], io)).toBe(0);
    expect(io.stdout.text).toBe("Hello");
    expect(io.stderr.text).toBe("");
  });
});
