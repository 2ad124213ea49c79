/** How calls end early, in place and in a thread: cancelled, left, disposed of; and whose stack an error has. */

import { runInNewContext } from "node:vm";
import { afterEach, describe, expect, it } from "vitest";
import type { Model, Part, ScorePart, Session } from "../../src/engine/api.js";
import { cancelFlag, raise, watched } from "../../src/engine/thread/cancel-flag.js";
import { loadRemote } from "../../src/engine/thread/remote-model.js";
import { ArgumentError, CancelledError, ContextFullError, SluiceError } from "../../src/util/errors.js";
import { tinyFile } from "../support/tiny-gguf.js";
import { ChannelThread, loadAs, MODES, type Mode } from "./channel-thread.js";

const file = tinyFile();
const GREEDY = { temperature: 0, ignoreEnd: true };
const open: Model[] = [];
afterEach(async () => {
  for (const model of open.splice(0)) await model.dispose();
});

async function loaded(mode: Mode): Promise<Model> {
  const model = await loadAs(mode, file);
  open.push(model);
  return model;
}

async function all<P>(parts: AsyncIterable<P>): Promise<P[]> {
  const list: P[] = [];
  for await (const part of parts) list.push(part);
  return list;
}

async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return undefined;
  } catch (error) {
    return error;
  }
}

const words = (count: number) => Array.from({ length: count }, (_, i) => 261 + ((i * 7) % 23));
const MODEL_GONE = "The model was disposed of; load it again.";
const SESSION_GONE = "The session was disposed of; open a new one.";

describe.each(MODES)("%s", (mode) => {
  describe("cancelled", () => {
    it.each([undefined, null, 5, "why", new Error("own")])("before the call, with the reason %s", async (reason) => {
      const model = await loaded(mode);
      const signal = AbortSignal.abort(reason);
      const session = model.session();
      const cancelled: Part[] = [{ text: "", id: undefined, finish: "cancelled" }];
      expect(await all(session.generate("the", { signal }))).toEqual(cancelled);
      expect(await all(session.chat("the", { signal }))).toEqual(cancelled);
      expect(await all(session.score("the", { signal }))).toMatchObject([{ count: 0, finish: "cancelled" }]);
      expect([session.usage.seen, session.messages]).toEqual([0, []]);
      expect(await errorOf(() => model.encode("the", { signal }))).toBeInstanceOf(CancelledError);
      expect(await errorOf(() => model.renderChat([], { signal }))).toBeInstanceOf(CancelledError);
      expect(await errorOf(() => loadAs(mode, file, { threads: 1, signal }))).toBeInstanceOf(CancelledError);
      // What was given out already is not drawn again.
      await all(session.generate("the", { ...GREEDY, maxTokens: 0 }));
      expect(await all(session.generate("", { signal }))).toEqual(cancelled);
      expect(session.usage.generatedTokens).toBe(0);
    });

    it("a score says that it is not whole; a whole one says that too", async () => {
      const session = (await loaded(mode)).session();
      const control = new AbortController();
      const parts: ScorePart[] = [];
      for await (const part of session.score(words(60), { every: 5, signal: control.signal })) {
        parts.push(part);
        if (parts.length === 2) control.abort();
      }
      expect(parts.at(-1)?.finish).toBe("cancelled");
      expect(parts.slice(0, -1).every(({ finish }) => finish === undefined)).toBe(true);
      const count = parts.reduce((sum, part) => sum + part.count, 0);
      expect(count).toBe(session.usage.seen - 1);
      expect(count).toBeLessThan(59);
      await session.reset();
      const whole = await all(session.score(words(60), { every: 5, signal: new AbortController().signal }));
      expect(whole.at(-1)?.finish).toBe("end");
      expect(whole.reduce((sum, part) => sum + part.count, 0)).toBe(59);
      expect(await all(session.score([]))).toMatchObject([{ count: 0, finish: "end" }]);
    });

    it("by a signal of another realm", async () => {
      const session = (await loaded(mode)).session();
      const control: unknown = runInNewContext("new AbortController()", { AbortController });
      if (!(control instanceof AbortController)) throw new Error("no controller");
      // One that is no AbortSignal of this realm by its class, but behaves as one.
      const { signal } = control;
      const foreign = Object.create(null, {
        aborted: { get: () => signal.aborted },
        addEventListener: { value: signal.addEventListener.bind(signal) },
        removeEventListener: { value: signal.removeEventListener.bind(signal) },
      });
      let made = 0;
      for await (const part of session.generate("the", { ...GREEDY, signal: foreign })) {
        if (++made === 3) control.abort();
        if (part.finish) expect(part.finish).toBe("cancelled");
      }
      expect(made).toBeLessThan(6);
    });

    it("a generation that is left in its prefill ends with the chunk that is under way", async () => {
      const session = (await loaded(mode)).session({ context: "recent:8", chunk: 1 });
      const parts = session.generate(words(5000), GREEDY);
      const first = parts.next();
      await parts.return();
      await first;
      expect(session.usage.seen).toBeLessThan(2000);
      expect(await all(session.generate([1], { ...GREEDY, maxTokens: 2 }))).toHaveLength(2);
    });
  });

  describe("disposed of", () => {
    it("everything else is the same typed error, and disposing again is none", async () => {
      const model = await loaded(mode);
      const session = model.session();
      const running = session.generate("the", GREEDY);
      await running.next();
      const saved = await model.session().save();
      const other = model.session();
      await other.dispose();
      await other.dispose();
      expect(await errorOf(() => all(other.generate("the")))).toMatchObject({ message: SESSION_GONE });
      expect(await errorOf(() => other.save())).toMatchObject({ message: SESSION_GONE });
      expect(await errorOf(() => other.reset())).toMatchObject({ message: SESSION_GONE });
      await Promise.all([model.dispose(), model.dispose()]);
      await session.dispose();
      await other.dispose();
      await model.dispose();
      const calls: (() => unknown)[] = [
        () => running.next(),
        () => all(session.generate("the")),
        () => all(session.chat("the")),
        () => all(session.score("the")),
        () => session.save(),
        () => session.reset(),
        () => all(other.generate("the")),
        () => model.session(),
        () => model.restore(saved),
        () => model.encode("the"),
        () => model.decode([1]),
        () => model.tokenTexts([1]),
        () => model.renderChat([]),
        () => model.plan(),
      ];
      for (const call of calls) {
        const error = await errorOf(call);
        expect(error).toBeInstanceOf(ArgumentError);
        expect(error).toMatchObject({ message: MODEL_GONE, details: { disposed: "model" } });
      }
      expect(session.messages).toEqual([]);
    });

    it("with calls on their way, these are the same typed error", async () => {
      const model = await loaded(mode);
      const calls: ((session: Session) => Promise<unknown>)[] = [
        (session) => session.generate("the").next(),
        (session) => session.chat("the").next(),
        (session) => session.score("the").next(),
        (session) => session.save(),
        (session) => session.reset(),
      ];
      for (const call of calls) {
        const session = model.session();
        await session.reset();
        const pending = errorOf(() => call(session));
        await session.dispose();
        const error = await pending;
        // What was done before is no error.
        if (error !== undefined) expect(error).toMatchObject({ code: "bad_argument", message: SESSION_GONE });
      }
    });

    it("in the middle of a prefill, the pending part is an error and nothing waits", async () => {
      const model = await loaded(mode);
      const session = model.session({ context: "recent:8", chunk: 1 });
      const pending = errorOf(() => session.generate(words(20_000), GREEDY).next());
      await model.session().save();
      await model.dispose();
      expect(await pending).toMatchObject({ code: "bad_argument", message: MODEL_GONE });
    });

    it("by leaving the block of `await using`", async () => {
      const model = await loaded(mode);
      const session = model.session();
      await session[Symbol.asyncDispose]();
      expect(await errorOf(() => session.save())).toMatchObject({ message: SESSION_GONE });
      await model[Symbol.asyncDispose]();
      expect(await errorOf(() => model.encode("a"))).toMatchObject({ message: MODEL_GONE });
    });
  });

  it("an error says where the call was made", async () => {
    const model = await loaded(mode);
    const session = model.session({ context: "full" });
    async function whoCalls() {
      for await (const _ of session.generate("the", GREEDY));
    }
    const full = await errorOf(whoCalls);
    expect(full).toBeInstanceOf(ContextFullError);
    expect(full).toBeInstanceOf(SluiceError);
    expect(full).toMatchObject({ stack: expect.stringMatching(/^ContextFullError: .*whoCalls/s) });
    async function whoRestores() {
      await model.restore(new Uint8Array(100));
    }
    expect(await errorOf(whoRestores)).toMatchObject({
      code: "bad_snapshot",
      stack: expect.stringMatching(/^SnapshotError: .*whoRestores/s),
    });
    async function whoLoads() {
      await loadAs(mode, "/nowhere/model.gguf");
    }
    expect(await errorOf(whoLoads)).toMatchObject({ code: "not_found", stack: expect.stringContaining("whoLoads") });
  });
});

describe("a thread that is busy and hears nothing", () => {
  it("is ended after two seconds when the model is disposed of; what is pending fails at once", async () => {
    const thread = new ChannelThread();
    const model = await loadRemote(thread, file, { threads: 1 });
    thread.deaf = true;
    const session = model.session();
    const pending = [errorOf(() => model.encode("the")), errorOf(() => session.generate("the").next())];
    await new Promise((resolve) => setTimeout(resolve, 10));
    const disposed = model.dispose();
    for (const error of await Promise.all(pending)) expect(error).toMatchObject({ message: MODEL_GONE });
    expect(thread.terminated).toBe(0);
    await Promise.all([disposed, session.dispose(), model.dispose()]);
    expect(thread.terminated).toBe(1);
  });

  it("is ended when loading is cancelled", async () => {
    const thread = new ChannelThread();
    thread.deaf = true;
    const control = new AbortController();
    const loading = errorOf(() => loadRemote(thread, file, { signal: control.signal }));
    control.abort();
    expect(await loading).toBeInstanceOf(CancelledError);
    expect(thread.terminated).toBeGreaterThan(0);
  });

  it("sees at once that it is to stop, without a message", () => {
    const flag = cancelFlag();
    const ended = cancelFlag();
    const [own, all] = [
      watched(new AbortController(), [flag, ended]),
      watched(new AbortController(), [undefined, ended]),
    ];
    expect([own.aborted, all.aborted]).toEqual([false, false]);
    raise(flag);
    expect([own.aborted, all.aborted]).toEqual([true, false]);
    raise(ended);
    expect(all.aborted).toBe(true);
    const plain = new AbortController();
    const signal = watched(plain, []);
    plain.abort();
    expect(signal.aborted).toBe(true);
  });
});
