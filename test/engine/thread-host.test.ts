/** Several works in the engine's thread, those that have failed among them, and what the proxy shows meanwhile. */
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { GenerateOptions, Model, Part, Session } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { loadRemote } from "../../src/engine/thread/remote-model.js";
import type { WirePart } from "../../src/engine/thread/wire.js";
import type { Backend } from "../../src/tensor/backend.js";
import { NumericError } from "../../src/util/errors.js";
import { FakeClock } from "../support/fake-clock.js";
import { tinyFile } from "../support/tiny-gguf.js";
import { ChannelThread } from "./channel-thread.js";

const GREEDY: GenerateOptions = { temperature: 0, ignoreEnd: true, maxTokens: 20 };

/** Tells how many parts each message had, and lets the test reach the model on the other side. */
class WatchedThread extends ChannelThread {
  readonly batches: number[] = [];
  model: LocalModel | undefined;

  constructor() {
    super(async (reference, options) => {
      this.model = await loadLocal(reference, options);
      return this.model;
    });
  }

  override onMessage(listener: (message: unknown) => void): void {
    super.onMessage((message) => {
      const parts = partsOf(message);
      if (parts) this.batches.push(parts.length);
      listener(message);
    });
  }

  /** Where steps run. */
  get backend(): Backend {
    if (!this.model) throw new Error("Nothing was loaded.");
    return this.model.runner.backend;
  }

  /** The logits of the step of this number, and of no other, are no numbers. */
  breakStep(number: number): void {
    atStep(this.backend, number, (values) => values.fill(Number.NaN));
  }
}

/** Does something with the logits of the step of this number, before anybody else sees them. */
function atStep(backend: Backend, number: number, act: (logits: Float32Array) => void): void {
  const read = backend.read.bind(backend);
  let steps = 0;
  backend.read = async (x) => {
    const values = await read(x);
    if (++steps === number) act(values);
    return values;
  };
}

function partsOf(message: unknown): readonly WirePart[] | undefined {
  if (typeof message !== "object" || message === null || !("parts" in message)) return undefined;
  return Array.isArray(message.parts) ? message.parts : undefined;
}

let clock: FakeClock;
let thread: WatchedThread;
let model: Model;
beforeEach(async () => {
  // It stands still, so work goes ahead as far as the credit lets it, and batches are as large as can be.
  clock = new FakeClock();
  thread = new WatchedThread();
  model = await loadRemote(thread, tinyFile(), { threads: 1 });
});
afterEach(async () => {
  clock.restore();
  await model.dispose();
});

async function idsOf(parts: AsyncIterable<Part>): Promise<(number | undefined)[]> {
  const ids: (number | undefined)[] = [];
  for await (const { id } of parts) ids.push(id);
  return ids;
}

/** Until what is under way on both sides has come to rest. */
async function rest(): Promise<void> {
  for (let i = 0; i < 40; i++) await turn();
}

/** Parts in each message while a session writes. */
async function batchesOf(session: Session): Promise<number[]> {
  thread.batches.length = 0;
  expect(await idsOf(session.generate([1, 270], GREEDY))).toHaveLength(20);
  return [...thread.batches];
}

describe("parts", () => {
  it("go out one by one while there is other work, and in batches when it has ended", async () => {
    const [one, other] = [model.session(), model.session()];
    expect(await batchesOf(one)).toEqual([1, 19]);
    // A score makes no part that was not asked for, so it is under way between two of them.
    const score = other.score([1, 270, 271, 272, 273], { every: 2 });
    await score.next();
    expect(await batchesOf(one)).toEqual(new Array(20).fill(1));
    await score.return();
    expect(await batchesOf(one)).toEqual([1, 19]);
  });

  it("are not held up by work that has failed, whether its reader knows that or not", async () => {
    const [one, other] = [model.session(), model.session()];
    thread.breakStep(5);
    const failing = other.generate([1, 2, 3], GREEDY);
    await failing.next();
    await rest();
    expect(await batchesOf(one)).toEqual([1, 19]);
    await expect(idsOf(failing)).rejects.toThrow(NumericError);
    expect(await batchesOf(one)).toEqual([1, 19]);
  });
});

describe("work that failed ahead of its reader", () => {
  it("cannot be taken back once the session does something else", async () => {
    const idsAfter = async (leavesLate: boolean) => {
      const session = model.session({ context: "full" });
      thread.breakStep(5);
      const failing = session.generate([1, 2, 3], GREEDY);
      await failing.next();
      await rest();
      const going = session.generate([270, 271], { ...GREEDY, repetitionPenalty: 1.5 });
      const ids: unknown[] = [(await going.next()).value?.id];
      if (leavesLate) await failing.return();
      for await (const { id } of going) ids.push(id, session.usage.seen, session.usage.generatedTokens);
      return [...ids, ...(await idsOf(session.generate([], { ...GREEDY, repetitionPenalty: 1.5 })))];
    };
    expect(await idsAfter(true)).toEqual(await idsAfter(false));
  });
});

describe("what a session shows", () => {
  it("is what its reader has taken, also when the work has ended on the other side", async () => {
    const session = model.session({ context: "full" });
    const parts = session.generate([1, 2, 3], { ...GREEDY, maxTokens: 6 });
    for (let taken = 1; taken <= 6; taken++) {
      await parts.next();
      await rest();
      expect(session.usage).toMatchObject({ seen: 2 + taken, generatedTokens: taken });
    }
    expect((await parts.next()).done).toBe(true);
    expect(session.usage).toMatchObject({ seen: 8, generatedTokens: 6 });
  });

  it("is what its reader has taken, also when the work has failed on the other side", async () => {
    const session = model.session({ context: "full" });
    thread.breakStep(6);
    const parts = session.generate([1, 2, 3], GREEDY);
    for (let taken = 1; taken <= 5; taken++) {
      await parts.next();
      await rest();
      expect(session.usage).toMatchObject({ seen: 2 + taken, generatedTokens: taken });
    }
    await expect(parts.next()).rejects.toThrow(NumericError);
    expect(session.usage).toMatchObject({ seen: 7, generatedTokens: 5 });
  });

  it("of a chat is no answer but that of the parts that were taken", async () => {
    const session = model.session({ context: "full", contextLength: 200 });
    const parts = session.chat("the", { ...GREEDY, maxTokens: 4 });
    await parts.next();
    await rest();
    expect(session.messages).toEqual([]);
    expect(session.usage.generatedTokens).toBe(1);
    await idsOf(parts);
    expect(session.messages.map(({ role }) => role)).toEqual(["user", "assistant"]);
  });
});

describe("a last part", () => {
  it.each([1, 2, 3])(
    "that was made before its reader cancelled says so, as one in place does, after %i of 4",
    async (at) => {
      const local = await loadLocal(tinyFile(), { threads: 1 });
      const finishes: unknown[] = [];
      for (const own of [local, model]) {
        const abort = new AbortController();
        const parts: Part[] = [];
        for await (const part of own.session().generate([1, 2], { ...GREEDY, maxTokens: 4, signal: abort.signal })) {
          parts.push(part);
          if (parts.length === at) abort.abort();
          await rest();
        }
        expect(parts).toHaveLength(at + 1);
        expect(parts.at(-1)?.finish).toBe("cancelled");
        finishes.push(parts);
      }
      expect(finishes[1]).toEqual(finishes[0]);
      await local.dispose();
    },
  );

  it("that was cancelled while it was made has what was held back, and so has the answer, once", async () => {
    const local = await loadLocal(tinyFile(), { threads: 1 });
    // Every character may be the beginning of a stop string.
    const stop = Array.from({ length: 256 }, (_, code) => `${String.fromCharCode(code)}\u0001\u0002`);
    const found: unknown[] = [];
    for (const [own, backend] of [[local, local.runner.backend] as const, [model, thread.backend] as const]) {
      const abort = new AbortController();
      atStep(backend, 4, () => abort.abort());
      // Nothing goes ahead here, so it is made while its reader waits for it.
      const session = own.session({ context: "recompute:60" });
      const parts: Part[] = [];
      for await (const part of session.chat("the", { ...GREEDY, stop, signal: abort.signal })) parts.push(part);
      await rest();
      expect(parts).toHaveLength(4);
      expect(parts.at(-1)).toMatchObject({ id: expect.any(Number), finish: "cancelled" });
      expect(session.messages.at(-1)).toEqual({ role: "assistant", content: parts.map(({ text }) => text).join("") });
      found.push([parts, session.messages, await idsOf(session.generate([], GREEDY))]);
    }
    expect(found[1]).toEqual(found[0]);
    await local.dispose();
  });

  it("that has stopped says that, though its reader has cancelled since", async () => {
    const abort = new AbortController();
    // The third token is an end token: the others lose their bias when they were drawn.
    const bias = { logitBias: { 262: 1000, 270: 990, 2: 980 }, presencePenalty: 100, penaltyWindow: 2 };
    const options = { ...GREEDY, ...bias, ignoreEnd: false, signal: abort.signal };
    const parts: Part[] = [];
    for await (const part of model.session().generate([1], options)) {
      parts.push(part);
      if (parts.length === 2) abort.abort();
      await rest();
    }
    expect(parts.map(({ id, finish }) => [id, finish])).toEqual([
      [262, undefined],
      [270, undefined],
      [2, "stop"],
    ]);
  });
});
