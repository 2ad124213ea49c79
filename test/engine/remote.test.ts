import { setImmediate as turn } from "node:timers/promises";
import { MessageChannel } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import type { Model, Part } from "../../src/engine/api.js";
import { serveEngine } from "../../src/engine/thread/host.js";
import { loadRemote } from "../../src/engine/thread/remote-model.js";
import {
  ArgumentError,
  CancelledError,
  ContextFullError,
  InternalError,
  MemoryError,
  NotFoundError,
  PolicyError,
  SnapshotError,
} from "../../src/util/errors.js";
import type { Thread } from "../../src/util/platform.js";
import { FakeLog, fakeLoader, INFO } from "./fake-model.js";

/** A "thread" in this thread: real structured clones over a MessageChannel. */
class ChannelThread implements Thread {
  readonly log = new FakeLog();
  alive = true;
  posted = 0;
  received = 0;
  terminated = 0;
  fail: (error: Error) => void = () => {};
  readonly #channel = new MessageChannel();

  constructor() {
    const { port2 } = this.#channel;
    serveEngine(
      {
        post: (message, transfer) => port2.postMessage(message, transfer ?? []),
        onMessage: (listener) => port2.on("message", listener),
      },
      fakeLoader(this.log),
    );
  }

  post(message: unknown, transfer?: readonly ArrayBuffer[]): void {
    this.posted++;
    this.#channel.port1.postMessage(message, transfer ?? []);
  }
  onMessage(listener: (message: unknown) => void): void {
    this.#channel.port1.on("message", (message) => {
      this.received++;
      listener(message);
    });
  }
  onFailure(listener: (error: Error) => void): void {
    this.fail = listener;
  }
  keepAlive(alive: boolean): void {
    this.alive = alive;
  }
  async terminate(): Promise<void> {
    this.terminated++;
    this.#channel.port1.close();
  }
}

const open: Model[] = [];
afterEach(async () => {
  for (const model of open.splice(0)) await model.dispose().catch(() => {});
});

async function start(): Promise<{ thread: ChannelThread; log: FakeLog; model: Model }> {
  const thread = new ChannelThread();
  const model = await loadRemote(thread, "fake.gguf", { threads: 3 });
  open.push(model);
  return { thread, log: thread.log, model };
}

async function textOf(parts: AsyncIterable<Part>): Promise<string> {
  let text = "";
  for await (const part of parts) text += part.text;
  return text;
}

/** Waits until something is so; the test's own limit ends it otherwise. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await turn();
}

describe("loading in a thread", () => {
  it("hands over options, forwards progress, and keeps the process alive only meanwhile", async () => {
    const thread = new ChannelThread();
    const progress: number[] = [];
    const loading = loadRemote(thread, "fake.gguf", {
      threads: 3,
      thread: true,
      onProgress: ({ doneBytes }) => progress.push(doneBytes),
    });
    expect(thread.alive).toBe(true);
    const model = await loading;
    open.push(model);
    expect(thread.alive).toBe(false);
    expect(model.info).toEqual(INFO);
    expect(progress).toEqual([0, 1, 2]);
    expect(thread.log.options[0]).toEqual({ reference: "fake.gguf", threads: 3 });
  });

  it("fails with the same class, code and details, and ends the thread", async () => {
    const thread = new ChannelThread();
    const error = await loadRemote(thread, "missing").catch((error: unknown) => error);
    expect(error).toBeInstanceOf(NotFoundError);
    expect(error).toMatchObject({ code: "not_found", message: "There is no 'missing'.", details: { path: "missing" } });
    expect(thread.terminated).toBe(1);
  });

  it("is cancelled by its signal, before and while", async () => {
    await expect(loadRemote(new ChannelThread(), "slow", { signal: AbortSignal.abort() })).rejects.toThrow(
      CancelledError,
    );
    const thread = new ChannelThread();
    const abort = new AbortController();
    const loading = loadRemote(thread, "slow", {
      signal: abort.signal,
      onProgress: ({ doneBytes }) => doneBytes === 5 && abort.abort(),
    });
    await expect(loading).rejects.toThrow(CancelledError);
    expect(thread.terminated).toBe(1);
  });

  it("fails with what onProgress throws", async () => {
    const thread = new ChannelThread();
    const onProgress = () => {
      throw new RangeError("mine");
    };
    await expect(loadRemote(thread, "slow", { onProgress })).rejects.toThrow("mine");
    expect(thread.terminated).toBe(1);
  });
});

describe("a model in a thread", () => {
  it("encodes, decodes, renders and plans", async () => {
    const { model } = await start();
    const ids = await model.encode("abc");
    expect(ids).toEqual(Int32Array.of(1, 2, 3));
    expect(ids.buffer.byteLength).toBe(12);
    expect(await model.decode([5, 6])).toBe("5,6");
    expect(await model.decode(ids, { special: true })).toBe("1,2,3!");
    expect(await model.decode([5], { continues: true })).toBe("5…");
    expect(ids).toEqual(Int32Array.of(1, 2, 3));
    expect(await model.tokenTexts(Int32Array.of(7))).toEqual(["7"]);
    expect(await model.renderChat([{ role: "user", content: "hi" }])).toBe("user:hi");
    expect((await model.plan({ context: "full" })).cacheTokens).toBe(3);
  });

  it("refuses ids that are no whole numbers", async () => {
    const { model } = await start();
    await expect(model.decode([1.5])).rejects.toThrow(ArgumentError);
    await expect(model.decode([2 ** 40])).rejects.toThrow(ArgumentError);
  });

  it("disposes once, ends the thread, and then refuses", async () => {
    const { thread, log, model } = await start();
    const session = model.session();
    await Promise.all([model.dispose(), model.dispose()]);
    expect(log.modelDisposed).toBe(1);
    expect(thread.terminated).toBe(1);
    expect(() => model.session()).toThrow(/was disposed/);
    await expect(model.encode("a")).rejects.toThrow(ArgumentError);
    await expect(textOf(session.generate("a"))).rejects.toThrow(ArgumentError);
  });
});

describe("a session in a thread", () => {
  it("refuses wrong options at once", async () => {
    const { model } = await start();
    expect(() => model.session({ context: "recent:" })).toThrow(PolicyError);
    expect(() => model.session({ kv: "f7" })).toThrow(ArgumentError);
    expect(() => model.session({ chunk: 0 })).toThrow(ArgumentError);
  });

  it("shows its policy and usage before anything has run", async () => {
    const { model } = await start();
    const session = model.session({ context: "sinks:4,recent:12" });
    expect(session.context).toBe("sinks:4,recent:12");
    expect(session.usage).toMatchObject({ seen: 0, sinks: 4, horizon: null });
    expect(session.messages).toEqual([]);
  });

  it("tells with the first call why it could not be opened", async () => {
    const { model } = await start();
    const session = model.session({ contextLength: 13 });
    await expect(textOf(session.generate("a"))).rejects.toThrow(MemoryError);
    await expect(session.reset()).rejects.toThrow("The cache does not fit.");
    await session.dispose();
  });

  it("gives the parts, and mirrors the usage with each", async () => {
    const { model, log } = await start();
    const session = model.session();
    const seen: number[] = [];
    let text = "";
    for await (const part of session.generate("hello", { temperature: 0, seed: 5, stop: ["x"] })) {
      text += part.text;
      seen.push(session.usage.seen);
    }
    expect(text).toBe("hello");
    expect(seen).toEqual([1, 2, 3, 4, 5, 5]);
    expect(log.options.at(-1)).toEqual({ temperature: 0, seed: 5, stop: ["x"] });
    expect(log.endings).toEqual(["end"]);
  });

  it("takes ids and leaves the caller's array alone", async () => {
    const { model } = await start();
    const ids = Int32Array.of(0, 4, 2).subarray(1);
    expect(await textOf(model.session().generate(ids))).toBe("ids 4 2");
    expect(ids).toEqual(Int32Array.of(4, 2));
  });

  it("sends one message each way for a part, and runs no further than asked", async () => {
    const { thread, model, log } = await start();
    const parts = model.session().generate("abcdefgh");
    await parts.next();
    const { posted, received } = thread;
    for (let i = 0; i < 4; i++) await parts.next();
    expect([thread.posted - posted, thread.received - received]).toEqual([4, 4]);
    for (let i = 0; i < 20; i++) await turn();
    expect(log.parts).toBe(5);
    expect(thread.alive).toBe(false);
    await parts.return();
  });

  it("keeps the process alive while somebody waits for a part, and only then", async () => {
    const { thread, model } = await start();
    const alive: boolean[] = [];
    const parts = model.session().generate("prefill:3 a", { onPrefill: () => alive.push(thread.alive) });
    await parts.next();
    expect(alive).toEqual([true, true, true]);
    expect(thread.alive).toBe(false);
    await parts.return();
    expect(thread.alive).toBe(false);
  });

  it("sends nothing before the first part is asked for", async () => {
    const { thread, model } = await start();
    const session = model.session();
    await session.reset();
    const { posted } = thread;
    const parts = session.generate("abc");
    await parts.return();
    await turn();
    expect(thread.posted).toBe(posted);
  });

  it("ends the work on the other side when the loop is left", async () => {
    const { model, log } = await start();
    const session = model.session();
    for await (const part of session.generate("abcdef")) if (part.text === "b") break;
    expect(log.endings).toEqual(["returned"]);
    expect(session.usage.seen).toBe(2);
    expect(await textOf(session.generate("again"))).toBe("again");
  });

  it("is cancelled by its signal before, during prefill and while writing", async () => {
    const { model, log } = await start();
    const session = model.session();
    const finish = async (prompt: string, signal: AbortSignal, onPrefill?: (done: number) => void) => {
      let last: Part | undefined;
      for await (const part of session.generate(prompt, { signal, ...(onPrefill ? { onPrefill } : {}) })) last = part;
      return last?.finish;
    };
    expect(await finish("abc", AbortSignal.abort())).toBe("cancelled");
    const during = new AbortController();
    expect(await finish("prefill:100000", during.signal, (done) => done === 3 && during.abort())).toBe("cancelled");
    expect(log.chunks).toBeLessThan(100);
    const writing = new AbortController();
    let text = "";
    for await (const part of session.generate("abcdef", { signal: writing.signal })) {
      text += part.text;
      if (text === "abc") writing.abort();
    }
    expect(text).toBe("abc");
    expect(log.endings).toEqual(["cancelled", "cancelled", "cancelled"]);
  });

  it("stops a prefill at once when the iterator is returned meanwhile", async () => {
    const { model, log } = await start();
    const parts = model.session().generate("prefill:1000000");
    const first = parts.next();
    await until(() => log.chunks > 2);
    await parts.return();
    expect((await first).value).toMatchObject({ finish: "cancelled" });
    expect(log.chunks).toBeLessThan(1000);
    expect(await parts.next()).toEqual({ done: true, value: undefined });
  });

  it("stops a prefill at once when an error is thrown into the iterator meanwhile", async () => {
    const { model, log } = await start();
    const parts = model.session().generate("prefill:1000000");
    const first = parts.next();
    await until(() => log.chunks > 2);
    await expect(parts.throw(new RangeError("mine"))).rejects.toThrow("mine");
    expect((await first).value).toMatchObject({ finish: "cancelled" });
    expect(log.chunks).toBeLessThan(1000);
    expect(await parts.next()).toEqual({ done: true, value: undefined });
  });

  it("forwards prefill progress", async () => {
    const { model } = await start();
    const progress: string[] = [];
    const parts = model
      .session()
      .generate("prefill:3", { onPrefill: (done, total) => progress.push(`${done}/${total}`) });
    await textOf(parts);
    expect(progress).toEqual(["1/3", "2/3", "3/3"]);
  });

  it("cancels the work and fails with what onPrefill throws", async () => {
    const { model, log } = await start();
    const onPrefill = () => {
      throw new RangeError("mine");
    };
    await expect(textOf(model.session().generate("prefill:1000000", { onPrefill }))).rejects.toThrow("mine");
    await until(() => log.endings.length > 0);
    expect(log.chunks).toBeLessThan(1000);
  });

  it("carries typed errors across, with the usage at that point", async () => {
    const { model } = await start();
    const session = model.session();
    const error = await textOf(session.generate("fail")).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(ContextFullError);
    expect(error).toMatchObject({ code: "context_full", message: "Full.", details: { limit: 4, needed: 9 } });
    expect(session.usage.evicted).toBe(77);
    const crash = await textOf(session.generate("crash")).catch((error: unknown) => error);
    expect(crash).toBeInstanceOf(InternalError);
    expect(crash).toMatchObject({ message: expect.stringContaining("TypeError: undefined is not a function") });
    expect(await textOf(session.generate("on"))).toBe("on");
  });

  it("refuses options that it does not know, before anything crosses", async () => {
    const { thread, model } = await start();
    const session = model.session();
    const { posted } = thread;
    const options = { logitBias: { 1: 1 }, extra: () => 1 };
    expect(() => session.generate("a", options)).toThrow(ArgumentError);
    expect(thread.posted).toBe(posted);
  });

  it("mirrors the conversation", async () => {
    const { model } = await start();
    const session = model.session();
    let during: unknown;
    for await (const part of session.chat("really?")) if (part.text === "y") during = session.messages;
    expect(during).toEqual([
      { role: "user", content: "really?" },
      { role: "assistant", content: "" },
    ]);
    expect(session.messages).toEqual([
      { role: "user", content: "really?" },
      { role: "assistant", content: "yes" },
    ]);
    await session.reset();
    expect(session.messages).toEqual([]);
    expect(session.usage.seen).toBe(0);
  });

  it("saves and restores, with bytes that stay the caller's", async () => {
    const { model } = await start();
    const session = model.session();
    await textOf(session.generate("hello"));
    const saved = await session.save();
    expect([...saved]).toEqual([7, 5]);
    expect(saved.buffer.byteLength).toBe(2);
    const restored = await model.restore(saved);
    expect([...saved]).toEqual([7, 5]);
    expect(restored).toMatchObject({ context: "recent:8", usage: { seen: 5 }, messages: [{ content: "saved" }] });
    expect(await textOf(restored.generate("abc"))).toBe("abc");
    expect(restored.usage.seen).toBe(8);
    expect(session.usage.seen).toBe(5);
    await restored.dispose();
    await expect(restored.save()).rejects.toThrow(ArgumentError);
    await expect(model.restore(Uint8Array.of(1))).rejects.toThrow(SnapshotError);
  });

  it("forks a session, which goes on by itself", async () => {
    const { model } = await start();
    const session = model.session();
    await textOf(session.generate("hello"));
    const other = await session.fork();
    expect(other).toMatchObject({ context: session.context, usage: { seen: 5 } });
    expect(await textOf(other.generate("abc"))).toBe("abc");
    expect([other.usage.seen, session.usage.seen]).toEqual([8, 5]);
    const third = await other.fork();
    await other.dispose();
    await expect(other.fork()).rejects.toThrow(ArgumentError);
    expect(await textOf(third.generate("d"))).toBe("d");
    expect(third.usage.seen).toBe(9);
  });

  it("tells a model's metrics", async () => {
    const { model } = await start();
    expect(await model.metrics()).toMatchObject({ sessions: 2, meanStepMs: 4, prefixTokens: 11 });
    await model.dispose();
    await expect(model.metrics()).rejects.toThrow(ArgumentError);
  });

  it("scores, with numbers that share no memory", async () => {
    const { model, log } = await start();
    const parts = [];
    for await (const part of model.session().score([1, 2, 3, 4])) parts.push(part);
    expect(parts.map(({ start }) => start)).toEqual([0, 2, 4]);
    expect(parts[1].logprobs).toEqual(Float32Array.of(-1, -1));
    expect(parts[1].logprobs.buffer.byteLength).toBe(8);
    expect(log.parts).toBe(2);
  });

  it("keeps sessions apart", async () => {
    const { model } = await start();
    const [one, two] = [model.session(), model.session()];
    expect(await Promise.all([textOf(one.generate("abc")), textOf(two.generate("defgh"))])).toEqual(["abc", "defgh"]);
    expect([one.usage.seen, two.usage.seen]).toEqual([3, 5]);
  });

  it("disposes once and then refuses", async () => {
    const { model, log } = await start();
    const session = model.session();
    await Promise.all([session.dispose(), session.dispose()]);
    expect(log.sessionsDisposed).toBe(1);
    await expect(textOf(session.generate("a"))).rejects.toThrow(/session was disposed/);
    await expect(session.reset()).rejects.toThrow(ArgumentError);
  });
});

describe("a thread that dies", () => {
  it("fails everything that is pending and everything after, with a typed error", async () => {
    const { thread, model } = await start();
    const session = model.session();
    const parts = session.generate("prefill:1000000");
    const waiting = [parts.next(), model.encode("a"), session.reset()].map((promise) =>
      promise.catch((e: unknown) => e),
    );
    await turn();
    thread.fail(new Error("boom"));
    for (const result of await Promise.all(waiting)) {
      expect(result).toBeInstanceOf(InternalError);
      expect(result).toMatchObject({ message: expect.stringContaining("The engine's thread died: boom.") });
    }
    expect(thread.alive).toBe(false);
    await expect(model.encode("b")).rejects.toThrow(InternalError);
    expect(() => model.session()).toThrow(InternalError);
    expect(session.usage.seen).toBe(0);
    await model.dispose();
    expect(thread.terminated).toBe(1);
  });

  it("tells running out of memory apart", async () => {
    const { thread, model } = await start();
    const encoding = model.encode("a");
    thread.fail(Object.assign(new Error("heap limit"), { code: "ERR_WORKER_OUT_OF_MEMORY" }));
    await expect(encoding).rejects.toThrow(MemoryError);
  });
});
