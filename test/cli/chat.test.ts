import { describe, expect, test } from "vitest";
import type { LineEvent } from "../../src/cli/io.js";
import { runCli } from "../../src/cli/program.js";
import { ContextFullError, SluiceError } from "../../src/util/errors.js";
import { cli, FakeIo, type FakeSetup } from "./support/fake-io.js";
import { FakeModel, type FakeScript, type FakeSession } from "./support/fake-model.js";

const lines = (...texts: readonly string[]): LineEvent[] => texts.map((text) => ({ kind: "line", text }));
const atTerminal = (events: readonly LineEvent[], script: FakeScript = {}): FakeSetup => ({
  lines: events,
  model: new FakeModel(script),
  stdinTTY: true,
  stdoutTTY: true,
});
const user = (content: string) => ({ role: "user", content });

describe("sluice chat through a pipe", () => {
  test("one message a line, one answer a line, nothing else on standard output", async () => {
    const { code, out, err, model } = await cli(["chat", "m.gguf"], { stdin: "Hi é\r\n\nAgain" });
    expect({ code, out, err }).toEqual({ code: 0, out: "Hello, world\nHello, world\n", err: "" });
    expect(model.sessions[0].prompts).toEqual([[user("Hi é")], [user("Again")]]);
    expect(model.disposed).toBe(true);
  });

  test("keeps sinks and the rest of the trained length by default", async () => {
    const { model } = await cli(["chat", "m.gguf"], { stdin: "Hi\n" });
    expect(model.sessions[0].options).toEqual({ context: "sinks:4,recent:508" });
    expect(model.sessions[0].lastGenerate.maxTokens).toBe(2048);
    const chosen = await cli(["chat", "m.gguf", "--context", "recent:9", "--max-tokens", "5"], { stdin: "Hi\n" });
    expect(chosen.model.sessions[0].options).toEqual({ context: "recent:9" });
    expect(chosen.model.sessions[0].lastGenerate.maxTokens).toBe(5);
  });

  test("whole turns are a policy that the help names and the session gets", async () => {
    const { out } = await cli(["chat", "--help"]);
    expect(out).toMatch(/sinks:system,recent:N +in a chat keep the system message/);
    expect(out).toContain("--context sinks:system,recent:2000");
    const chosen = await cli(["chat", "m.gguf", "--context", "sinks:system,recent:2000"], { stdin: "Hi\n" });
    expect(chosen.code).toBe(0);
    expect(chosen.model.sessions[0].options).toEqual({ context: "sinks:system,recent:2000" });
    const wrong = await cli(["chat", "m.gguf", "--context", "sinks:system,recent:2000,evict=5"], { stdin: "Hi\n" });
    expect([wrong.code, wrong.err]).toEqual([expect.any(Number), expect.stringContaining('at character 26: "evict"')]);
    expect(wrong.code).not.toBe(0);
  });

  test("what the session comes to say of its context is told once, when it does", async () => {
    const model = new FakeModel();
    const notes = () => model.sessions[0];
    let calls = 0;
    const beforePart = (index: number) => {
      if (index === 0 && ++calls === 2) Object.assign(notes(), { notes: ["let go"] });
    };
    const talk = await cli(["chat", "m.gguf"], {
      stdin: "a\nb\nc\n",
      model: Object.assign(model, { script: { beforePart } }),
    });
    expect(talk.err).toBe("note: let go\n");
  });

  test.each([
    ["without attention", { attentionLayers: 0 }, "full"],
    ["with learned positions", { positions: 256, fixedPositions: true }, "recompute:256"],
    ["with sinusoidal positions", { fixedPositions: true }, "recompute:512"],
    ["with attention in some layers", { attentionLayers: 1 }, "sinks:4,recent:508"],
  ])("a model %s has a policy that fits it by default", async (_, info, context) => {
    const { code, model, err } = await cli(["chat", "m.gguf"], { stdin: "Hi\n", model: new FakeModel({ info }) });
    expect(code).toBe(0);
    expect(model.sessions[0].options).toEqual({ context });
    expect(err.includes("note: sinks:4,recent:508 applies to the layers with attention")).toBe(
      context.startsWith("sinks"),
    );
  });

  test("a failure is told, the next message is still answered, the exit code is 1", async () => {
    let calls = 0;
    const beforePart = (index: number) => {
      if (index === 0 && ++calls === 1) throw new ContextFullError("Full.", { limit: 1, needed: 2 });
    };
    const { code, out, err } = await cli(["chat", "m.gguf"], { stdin: "a\nb\n", model: new FakeModel({ beforePart }) });
    expect({ code, out }).toEqual({ code: 1, out: "\nHello, world\n" });
    expect(err).toContain("error: Full.");
  });

  test("a model without a template goes on with the text, which is told", async () => {
    const model = new FakeModel({ info: { hasChatTemplate: false } });
    const { out, err } = await cli(["chat", "m.gguf", "--system", "S"], { stdin: "Once\nand\n", model });
    expect(out).toBe("Hello, world\nHello, world\n");
    expect(err).toContain("no chat template");
    expect(model.sessions[0].prompts).toEqual(["S\nOnce", "and"]);
    expect(model.sessions[0].lastGenerate.maxTokens).toBe(256);
  });

  test("of an encoder-decoder model it is told what it does with messages", async () => {
    const model = new FakeModel({ info: { hasChatTemplate: false, encoderDecoder: true } });
    const { err } = await cli(["chat", "m.gguf"], { stdin: "Once\n", model });
    expect(err).toBe(
      "This model's encoder reads the first message, and the model answers it: /reset before another.\n",
    );
  });

  test("Ctrl-C between messages ends with 130", async () => {
    const io: FakeIo = new FakeIo({ stdin: "" });
    const endless = {
      isTTY: false,
      async *[Symbol.asyncIterator]() {
        yield new TextEncoder().encode("Hi\n");
        setTimeout(() => io.interrupt(), 5);
        await new Promise(() => {});
      },
    };
    Object.defineProperty(io, "stdin", { value: endless });
    expect(await runCli(["chat", "m.gguf"], io)).toBe(130);
    expect(io.stdout.text).toBe("Hello, world\n");
  });
});

describe("sluice chat at a terminal", () => {
  test("greets, prompts, answers, and leaves at the end of the input", async () => {
    const { code, io, out, err } = await cli(["chat", "m.gguf"], atTerminal(lines("Hi")));
    expect(code).toBe(0);
    expect(io.prompts).toEqual(["> ", "> "]);
    expect(out).toBe("Hello, world\n\n");
    expect(err).toBe("Fake, context sinks:4,recent:508. /help lists the commands.\n");
  });

  test("Ctrl-C stops the answer, not the program", async () => {
    const setup = atTerminal(lines("Hi", "Again"), {
      beforePart: (index, session) => void (index === 1 && session.prompts.length === 1 && io.interrupt()),
    });
    const io: FakeIo = new FakeIo(setup);
    expect(await runCli(["chat", "m.gguf"], io)).toBe(0);
    expect(io.stdout.text).toBe("Hello\nHello, world\n\n");
    expect(io.stderr.text).toContain("(stopped)");
    expect(io.killed).toBe(0);
    expect(io.listening).toBe(0);
  });

  test("a second Ctrl-C before the answer has stopped kills", async () => {
    const beforePart = (index: number) => {
      if (index !== 1) return;
      io.interrupt();
      io.interrupt();
    };
    const io: FakeIo = new FakeIo(atTerminal(lines("Hi"), { beforePart }));
    await runCli(["chat", "m.gguf"], io);
    expect(io.killed).toBe(1);
  });

  test("Ctrl-C at an empty prompt says how to leave; in a message of several lines it drops the message", async () => {
    const events: LineEvent[] = [
      { kind: "interrupt", empty: true },
      { kind: "line", text: "lost\\" },
      { kind: "interrupt", empty: true },
      { kind: "line", text: "kept" },
    ];
    const { err, model } = await cli(["chat", "m.gguf"], atTerminal(events));
    expect(err.match(/Ctrl-D or \/quit leaves/g)).toHaveLength(1);
    expect(model.sessions[0].prompts).toEqual([[user("kept")]]);
  });

  test("messages of several lines", async () => {
    const { model, io } = await cli(["chat", "m.gguf"], atTerminal(lines("a\\", "b", '"""', "c\\", "", 'd"""', "//x")));
    expect(model.sessions[0].prompts).toEqual([[user("a\nb")], [user("c\\\n\nd")], [user("/x")]]);
    expect(io.prompts.slice(0, 3)).toEqual(["> ", ". ", "> "]);
  });

  test("/help, /context, /stats and /quit", async () => {
    const { code, err, out } = await cli(
      ["chat", "m.gguf", "--context", "sinks:1,recent:8"],
      atTerminal(lines("Hi", "/help", "/context", "/stats", "/quit", "never")),
    );
    expect(code).toBe(0);
    expect(out).toBe("Hello, world\n");
    for (const name of ["/help", "/context [POLICY]", "/reset", "/save FILE", "/load FILE", "/quit"]) {
      expect(err).toContain(name);
    }
    expect(err).toContain("sinks:1,recent:8: keeps the first 1 and the newest 8 tokens");
    expect(err).toContain("seen 13 tokens, kept 9, evicted 4, recalls the newest 8 and the first 1");
    expect(err).toContain("prompt 10 tokens at 1,000 tok/s, written 3 at 50.0 tok/s, cache 90 B");
  });

  test("/context POLICY starts over under it; a wrong one changes nothing and points at the place", async () => {
    const { err, model } = await cli(
      ["chat", "m.gguf"],
      atTerminal(lines("a", "/context rcent:8", "b", "/context recent:8", "c")),
    );
    expect(err).toMatch(/error: .*\n {2}rcent:8\n {2}\^/);
    expect(err).toContain("Started over under recent:8");
    expect(model.sessions.map((session) => [session.context, session.prompts.length, session.disposed])).toEqual([
      ["sinks:4,recent:508", 2, true],
      ["recent:8", 1, true],
    ]);
  });

  test("/system and /reset start over", async () => {
    const { err, model } = await cli(
      ["chat", "m.gguf", "--system", "Be brief."],
      atTerminal(lines("a", "/reset", "b", "/system Be long.", "c", "/system")),
    );
    const system = (content: string) => ({ role: "system", content });
    expect(model.sessions[0].prompts).toEqual([
      [system("Be brief."), user("a")],
      [system("Be brief."), user("b")],
      [system("Be long."), user("c")],
    ]);
    expect(model.sessions[0].resets).toBe(2);
    expect(err).toContain("System: Be long.");
  });

  test("/save and /load bring a conversation back", async () => {
    const saved = await cli(["chat", "m.gguf", "--system", "S"], atTerminal(lines("a", "/save t.json")));
    // A conversation is a private text.
    expect([...saved.io.secrets]).toEqual(["t.json"]);
    const text = saved.io.written.get("t.json") ?? "";
    const messages = [
      { role: "system", content: "S" },
      { role: "user", content: "a" },
      { role: "assistant", content: "Hello, world" },
    ];
    expect(JSON.parse(text)).toEqual({
      format: "sluice-chat",
      version: 1,
      model: "fake.gguf",
      context: "sinks:4,recent:508",
      messages,
    });
    const setup = { ...atTerminal(lines("x", "/load t.json", "b", "/save u.json")), files: { "t.json": text } };
    const { model, io, err } = await cli(["chat", "m.gguf"], setup);
    expect(err).toContain("Loaded 3 messages");
    expect(model.sessions[0].resets).toBe(1);
    expect(model.sessions[0].prompts).toEqual([[user("x")], [...messages, user("b")]]);
    expect(JSON.parse(io.written.get("u.json") ?? "").messages).toHaveLength(5);
  });

  test.each([
    ["no JSON", "{"],
    ["another document", '{"format": "x"}'],
    ["another version", '{"format": "sluice-chat", "version": 2}'],
    ["no messages", '{"format": "sluice-chat", "version": 1, "model": "", "context": ""}'],
    [
      "a wrong role",
      '{"format": "sluice-chat", "version": 1, "model": "", "context": "", "messages": [{"role": "root", "content": ""}]}',
    ],
    [
      "a wrong content",
      '{"format": "sluice-chat", "version": 1, "model": "", "context": "", "messages": [{"role": "user"}]}',
    ],
  ])("/load refuses %s, and the chat goes on", async (_, text) => {
    const setup = { ...atTerminal(lines("/load t.json", "b")), files: { "t.json": text } };
    const { code, err, model } = await cli(["chat", "m.gguf"], setup);
    expect(code).toBe(0);
    expect(err).toContain("error: t.json");
    expect(err).toContain("hint: /load reads what /save wrote\n");
    expect(err).not.toContain("MODEL");
    expect(model.sessions[0].prompts).toEqual([[user("b")]]);
  });

  test("/save and /load of a file that cannot be give no advice about models", async () => {
    const { err } = await cli(["chat", "m.gguf", "--quiet"], atTerminal(lines("/save nope/x", "/load nowhere.json")));
    expect(err).toContain("error: 'nope/x' cannot be written: there is no such folder.\n");
    expect(err).toContain("error: nowhere.json cannot be read: there is no such file or folder.\n");
    expect(err).not.toContain("hint:");
  });

  test("an unknown command is told", async () => {
    const { err, model } = await cli(["chat", "m.gguf"], atTerminal(lines("/frobnicate now")));
    expect(err).toContain("There is no command /frobnicate");
    expect(model.sessions[0].prompts).toEqual([]);
  });

  test("a message whose answer failed before it began is not in the transcript", async () => {
    let calls = 0;
    const script: FakeScript = {
      beforePart: (index) => {
        if (index === 0 && ++calls === 1) throw new ContextFullError("Full.", { limit: 1, needed: 2 });
      },
    };
    const { io, code } = await cli(["chat", "m.gguf"], atTerminal(lines("a", "b", "/save t.json"), script));
    expect(code).toBe(0);
    const { messages } = JSON.parse(io.written.get("t.json") ?? "");
    expect(messages).toEqual([user("b"), { role: "assistant", content: "Hello, world" }]);
  });

  /** Ctrl-C while the session's first message is read. */
  const interruptedFirst = (events: readonly LineEvent[], files: FakeSetup["files"] = {}) => {
    const beforePart = (_: number, session: FakeSession) => void (session.prompts.length === 1 && io.interrupt());
    const io: FakeIo = new FakeIo({ ...atTerminal(events, { beforePart }), files });
    return io;
  };
  const system = { role: "system", content: "S" };
  const saved = (io: FakeIo) => JSON.parse(io.written.get("t.json") ?? "").messages;

  test("Ctrl-C before an answer begins takes the message back, and the system prompt is read with the next", async () => {
    const io = interruptedFirst(lines("a", "/save t.json", "b"));
    expect(await runCli(["chat", "m.gguf", "--system", "S"], io)).toBe(0);
    expect(io.model.sessions[0].prompts).toEqual([
      [system, user("a")],
      [system, user("b")],
    ]);
    expect(saved(io)).toEqual([system]);
    expect(io.stderr.text).toContain("(stopped before the answer began: the message counts as not said)");
    expect(io.model.sessions[0].resets).toBe(0);
  });

  test("so are messages that were loaded", async () => {
    const messages = [user("x"), { role: "assistant", content: "y" }];
    const text = JSON.stringify({ format: "sluice-chat", version: 1, model: "", context: "", messages });
    const io = interruptedFirst(lines("/load l.json", "a", "b", "/save t.json"), { "l.json": text });
    await runCli(["chat", "m.gguf"], io);
    expect(io.model.sessions[0].prompts.slice(1)).toEqual([[...messages, user("b")]]);
    expect(saved(io)).toHaveLength(4);
  });

  test("without a template what was read in part is read anew", async () => {
    let answers = 0;
    const script = {
      info: { hasChatTemplate: false },
      beforePart: (index: number) => void (index === 0 && ++answers === 2 && io.interrupt()),
    };
    const io: FakeIo = new FakeIo(atTerminal(lines("a", "b", "c", "/save t.json"), script));
    await runCli(["chat", "m.gguf", "--system", "S"], io);
    expect(io.model.sessions[0].prompts).toEqual(["S\na", "b", "S\naHello, worldc"]);
    expect(io.model.sessions[0].resets).toBe(1);
    const answer = { role: "assistant", content: "Hello, world" };
    expect(saved(io)).toEqual([system, user("a"), answer, user("c"), answer]);
  });

  test("each turn has draws of its own, from --seed on", async () => {
    const seeds = async (...flags: string[]) => {
      const { model } = await cli(["chat", "m.gguf", ...flags], atTerminal(lines("a", "/reset", "b", "c")));
      return model.sessions[0].seeds;
    };
    expect(await seeds("--seed", "7")).toEqual([7, 8, 9]);
    const most = Number.MAX_SAFE_INTEGER;
    expect(await seeds("--seed", String(most - 1))).toEqual([most - 1, most, 0]);
    expect(await seeds()).toEqual([undefined, undefined, undefined]);
    const help = (await cli(["chat", "--help"])).out.replace(/\s+/g, " ");
    expect(help).toContain("same seed, same conversation; the second message draws with n + 1, and so on");
  });

  test("an output that cannot be written ends the chat with a failure", async () => {
    const failure = new SluiceError("file", "Standard output cannot be written: the disk is full.");
    const io: FakeIo = new FakeIo({
      stdin: "a\nb\n",
      model: new FakeModel({ beforePart: (index) => void (index === 1 && io.failOutput(failure)) }),
    });
    expect(await runCli(["chat", "m.gguf"], io)).toBe(1);
    expect(io.stderr.text).toBe("error: Standard output cannot be written: the disk is full.\n");
    expect(io.model.sessions[0].prompts).toHaveLength(1);
  });
});
