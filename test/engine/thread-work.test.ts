/** How far work in the engine's thread goes on beyond what its reader has asked for. */
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Part, Session } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import type { WirePart } from "../../src/engine/thread/wire.js";
import { Work } from "../../src/engine/thread/work.js";
import { NumericError } from "../../src/util/errors.js";
import { FakeClock } from "../support/fake-clock.js";
import { tinyFile } from "../support/tiny-gguf.js";

const OPTIONS = { temperature: 0, maxTokens: 50, ignoreEnd: true };

/** @param stepMs what each step takes by the clock */
async function started(
  context: string,
  credit: number,
  { clock, stepMs = 0, isShared = false }: { clock?: FakeClock; stepMs?: number; isShared?: boolean } = {},
) {
  const model: LocalModel = await loadLocal(tinyFile(), { threads: 1 });
  clock?.slow(model.runner.backend, () => stepMs);
  const session = model.session({ context });
  let made = 0;
  async function* counted(parts: AsyncGenerator<Part, void, undefined>) {
    for await (const part of parts) {
      made++;
      yield part;
    }
  }
  const sent: WirePart[] = [];
  const batches: number[] = [];
  const work = new Work({
    session,
    credit,
    parts: counted(session.generate([1, 2, 3], OPTIONS)),
    view: () => ({ session: 1, usage: session.usage }),
    post: (parts) => {
      batches.push(parts.length);
      sent.push(...parts);
    },
    isShared: () => isShared,
  });
  /** Until it waits to be asked. */
  const rest = async () => {
    for (let before = -1; before !== made; ) {
      before = made;
      for (let i = 0; i < 20; i++) await turn();
    }
  };
  return { model, session, work, sent, batches, rest, made: () => made };
}

async function nextIds(session: Session): Promise<(number | undefined)[]> {
  const ids: (number | undefined)[] = [];
  for await (const { id } of session.generate([], { ...OPTIONS, maxTokens: 4 })) ids.push(id);
  return ids;
}

describe("work in a thread", () => {
  it("goes no further ahead than the credit, and sends what it has when it waits", async () => {
    const { model, work, sent, rest, made } = await started("full", 5);
    await rest();
    expect(made()).toBeGreaterThanOrEqual(1);
    expect(made()).toBeLessThanOrEqual(5);
    expect(sent).toHaveLength(made());
    work.ask(9);
    await rest();
    expect(made()).toBeGreaterThanOrEqual(9);
    expect(made()).toBeLessThanOrEqual(13);
    expect(sent).toHaveLength(made());
    await work.stop(9, false);
    await model.dispose();
  });

  it.each([
    ["with a credit of one", "full", 1],
    ["where the next step would not be taken back", "recompute:8", 100],
  ])("makes what was asked for alone %s", async (_, context, credit) => {
    const { model, session, work, rest, made } = await started(context, credit);
    await rest();
    expect(made()).toBe(1);
    work.ask(4);
    await rest();
    expect(made()).toBe(4);
    await work.stop(4, false);
    expect(session.usage).toMatchObject({ generatedTokens: 4, seen: 6 });
    await model.dispose();
  });

  it("crosses no step that frees pages, nor the limit, unless asked", async () => {
    const { model, session, work, rest } = await started("recent:20", 100);
    for (let asked = 1; asked < 50; asked++) {
      work.ask(asked);
      await rest();
      // Once tokens are freed, no further than to the next page that is.
      if (session.usage.seen > 48) expect(session.usage.seen - (2 + asked)).toBeLessThan(16);
    }
    await work.stop(49, false);
    expect(session.usage).toMatchObject({ generatedTokens: 49, seen: 51 });
    await model.dispose();
  });

  it("that failed ahead of its reader is taken back all the same", async () => {
    const model = await loadLocal(tinyFile(), { threads: 1 });
    const { backend } = model.runner;
    const read = backend.read.bind(backend);
    const answered = async (leaveAt: number) => {
      const session = model.session({ context: "full" });
      let count = 0;
      for await (const _ of session.chat("the he", OPTIONS)) if (++count === leaveAt) break;
      return { messages: session.messages, usage: session.usage.seen, next: await nextIds(session) };
    };
    const expected = await answered(2);
    const session = model.session({ context: "full" });
    let steps = 0;
    backend.read = async (x) => {
      const values = await read(x);
      if (++steps === 5) values.fill(Number.NaN);
      return values;
    };
    const work = new Work({
      session,
      credit: 100,
      parts: session.chat("the he", OPTIONS),
      view: () => ({ session: 1, usage: session.usage }),
      post: () => {},
      isShared: () => false,
    });
    await expect(work.ended).rejects.toThrow(NumericError);
    Reflect.deleteProperty(backend, "read");
    await work.stop(2, false);
    expect({ messages: session.messages, usage: session.usage.seen, next: await nextIds(session) }).toEqual(expected);
    await model.dispose();
  });

  it("that stopped leaves the session after the part that was taken", async () => {
    const { model, session, work, rest, made } = await started("full", 100);
    await rest();
    expect(made()).toBeGreaterThan(3);
    await work.stop(3, false);
    expect(session.usage).toMatchObject({ generatedTokens: 3, seen: 5 });
    const next: Part[] = [];
    for await (const part of session.generate([], { ...OPTIONS, maxTokens: 2 })) next.push(part);
    const alone = model.session({ context: "full" });
    const all: Part[] = [];
    for await (const part of alone.generate([1, 2, 3], { ...OPTIONS, maxTokens: 5 })) all.push(part);
    expect(next.map(({ id }) => id)).toEqual(all.slice(3).map(({ id }) => id));
    await model.dispose();
  });
});

describe("the time of work in a thread", () => {
  let clock: FakeClock;
  beforeEach(() => {
    clock = new FakeClock();
  });
  afterEach(() => clock.restore());

  it("that nobody has asked for is 30 ms from the last time that somebody asked", async () => {
    const { model, work, rest, made } = await started("full", 100, { clock, stepMs: 10 });
    await rest();
    expect(made()).toBe(3);
    // However long the reader waits: what it asks for is made, and then two that come within the time.
    clock.nowMs += 1000;
    work.ask(4);
    await rest();
    expect(made()).toBe(6);
    work.ask(12);
    await rest();
    // The time is over long before what was asked for is made.
    expect(made()).toBe(12);
    await work.stop(12, false);
    await model.dispose();
  });

  it("without a limit of time is that of the credit", async () => {
    const { model, work, rest, made } = await started("full", 20, { clock });
    await rest();
    expect(made()).toBe(20);
    await work.stop(1, false);
    await model.dispose();
  });

  it("goes into batches of 4 ms; the first part goes out at once, and so does what is there when it waits", async () => {
    const { model, work, batches, rest } = await started("full", 100, { clock, stepMs: 1 });
    await rest();
    expect(batches).toEqual([1, 4, 4, 4, 4, 4, 4, 4, 1]);
    await work.stop(1, false);
    await model.dispose();
  });

  it("goes out part by part where other work may hold it up", async () => {
    const { model, work, batches, rest } = await started("full", 100, { clock, stepMs: 1, isShared: true });
    await rest();
    expect(batches).toEqual(new Array(30).fill(1));
    await work.stop(1, false);
    await model.dispose();
  });
});
