/** Tokens per second, by a clock of the test's own: of reading a prompt and of writing apart, and only what counts. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Session } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import type { ServedSession } from "../../src/engine/thread/work.js";
import { FakeClock } from "../support/fake-clock.js";
import { tinyFile } from "../support/tiny-gguf.js";

const GREEDY = { temperature: 0, ignoreEnd: true };
const PROMPT = [1, 270, 265, 266, 280, 271];

let model: LocalModel;
let clock: FakeClock;
beforeAll(async () => {
  model = await loadLocal(tinyFile(), { threads: 1 });
});
beforeEach(() => {
  clock = new FakeClock();
});
afterEach(() => clock.restore());
afterAll(() => model.dispose());

async function finish(parts: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of parts);
}

function speeds({ usage }: Session): (number | null)[] {
  return [usage.prefillTokensPerSecond, usage.decodeTokensPerSecond];
}

function perSecond(tokens: number, elapsedMs: number): number {
  return (1000 * tokens) / elapsedMs;
}

describe("speeds", () => {
  it("are null before anything was measured, and of a clock that stood still", async () => {
    const session = model.session();
    expect(speeds(session)).toEqual([null, null]);
    await finish(session.generate(PROMPT, { ...GREEDY, maxTokens: 3 }));
    expect(speeds(session)).toEqual([null, null]);
  });

  it("count the tokens of a prompt and those that were written apart", async () => {
    const session = model.session({ chunk: 2 });
    // Three chunks of 5 ms; the first token comes of the last one, and the four others take 20 ms each.
    clock.slow(model.runner.backend, (step) => (step <= 3 ? 5 : 20));
    await finish(session.generate(PROMPT, { ...GREEDY, maxTokens: 5 }));
    expect(speeds(session)).toEqual([perSecond(6, 15), perSecond(4, 80)]);
  });

  it("count the token that waited with the prompt that it is read with, and go on in the next call", async () => {
    const session = model.session({ chunk: 64 });
    clock.slow(model.runner.backend, () => 10);
    await finish(session.generate(PROMPT, { ...GREEDY, maxTokens: 1 }));
    expect(speeds(session)).toEqual([perSecond(6, 10), null]);
    await finish(session.generate(PROMPT, { ...GREEDY, maxTokens: 2 }));
    expect(speeds(session)).toEqual([perSecond(13, 20), perSecond(1, 10)]);
  });

  it("take no account of the time in which nobody reads", async () => {
    const session = model.session();
    clock.slow(model.runner.backend, () => 10);
    for await (const _ of session.generate(PROMPT, { ...GREEDY, maxTokens: 3 })) clock.nowMs += 5000;
    expect(speeds(session)).toEqual([perSecond(6, 10), perSecond(2, 20)]);
  });

  it("of a score are those of writing, and say how long each part took", async () => {
    const session = model.session();
    clock.slow(model.runner.backend, () => 10);
    const elapsed: number[] = [];
    for await (const { elapsedMs } of session.score(PROMPT, { every: 2, batch: 1 })) {
      elapsed.push(elapsedMs);
      clock.nowMs += 5000;
    }
    // The first token has no score; two each follow, and the last.
    expect(elapsed).toEqual([30, 20, 10]);
    expect(speeds(session)).toEqual([null, perSecond(5, 60)]);
  });

  it("begin anew with a reset, and in a session that was saved", async () => {
    const session = model.session();
    clock.slow(model.runner.backend, () => 10);
    await finish(session.generate(PROMPT, { ...GREEDY, maxTokens: 3 }));
    const restored = await model.restore(await session.save());
    expect(speeds(restored)).toEqual([null, null]);
    await session.reset();
    expect(speeds(session)).toEqual([null, null]);
  });

  it("forget what was written ahead and is taken back", async () => {
    const session: ServedSession = model.session({ context: "full" });
    // Each step takes a millisecond more than the one before.
    clock.slow(model.runner.backend, (step) => step);
    const parts = session.generate(PROMPT, { ...GREEDY, maxTokens: 20 });
    for (let part = 0; part < 3; part++) await parts.next();
    const mark = session.ahead?.mark();
    if (!mark) return expect.unreachable();
    const before = session.usage;
    expect(speeds(session)).toEqual([perSecond(6, 1), perSecond(2, 5)]);
    for (let part = 0; part < 4; part++) await parts.next();
    expect(speeds(session)).toEqual([perSecond(6, 1), perSecond(6, 27)]);
    session.ahead?.takeBack(mark);
    expect(session.usage).toEqual(before);
    await parts.return();
  });
});
