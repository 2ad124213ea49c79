/** Requests that are refused: how long is waited before they are made again, by a clock of the test's own, and what is let go. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { piecesOf, request, withRetries } from "../../src/platform/http-request.js";
import { openRemote } from "../../src/platform/remote-file.js";
import { CancelledError, NetworkError, NotFoundError } from "../../src/util/errors.js";

const ADDRESS = "http://server/a.gguf";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Answers each request with the next of these, and then with the last. */
function answers(...all: (() => Response)[]): void {
  let next = 0;
  vi.stubGlobal("fetch", async () => all[Math.min(next++, all.length - 1)]());
}

/** How an attempt ends, and the pauses before each further try. */
async function tried(signal?: AbortSignal): Promise<{ readonly pauses: number[]; readonly end: unknown }> {
  const times: number[] = [];
  const action = () => {
    times.push(Date.now());
    return request(ADDRESS);
  };
  const again = (error: unknown) => error instanceof NetworkError && error.details.status !== 403;
  const ended = withRetries(action, again, signal).catch((error: unknown) => error);
  await vi.runAllTimersAsync();
  return { pauses: times.slice(1).map((time, i) => time - times[i]), end: await ended };
}

const refused =
  (status: number, headers: Record<string, string> = {}) =>
  () =>
    new Response("no", { status, headers });

describe("a request that is refused for a while", () => {
  it("is made four times, after pauses that grow fourfold", async () => {
    answers(refused(503));
    const { pauses, end } = await tried();
    expect(pauses).toEqual([250, 1000, 4000]);
    expect(end).toBeInstanceOf(NetworkError);
    expect(end).toMatchObject({ details: { url: ADDRESS, status: 503 } });
  });

  it.each([
    ["7", [7000, 7000, 7000]],
    // Where that is longer, our own.
    ["2", [2000, 2000, 4000]],
    // Nobody waits for an hour.
    ["3600", [20_000, 20_000, 20_000]],
    ["0", [250, 1000, 4000]],
    ["-5", [250, 1000, 4000]],
    ["soon", [250, 1000, 4000]],
  ])("waits as long as the server asks for: Retry-After %s", async (seconds, expected) => {
    answers(refused(429, { "Retry-After": seconds }));
    expect((await tried()).pauses).toEqual(expected);
  });

  it("is made no more once it is answered, or refused for good", async () => {
    answers(refused(503), () => new Response("yes"));
    const { pauses, end } = await tried();
    expect(pauses).toEqual([250]);
    expect(end).toMatchObject({ status: 200 });
    answers(refused(503), refused(403));
    expect(await tried()).toMatchObject({ pauses: [250], end: { details: { status: 403 } } });
  });

  it("does not wait any longer when it is cancelled", async () => {
    answers(refused(503));
    for (const abortAt of ["before", "while it waits"]) {
      const control = new AbortController();
      if (abortAt === "before") control.abort();
      const ended = withRetries(
        () => request(ADDRESS),
        () => true,
        control.signal,
      ).catch((error: unknown) => error);
      await vi.advanceTimersByTimeAsync(100);
      control.abort();
      expect(await ended).toBeInstanceOf(CancelledError);
      expect(vi.getTimerCount()).toBe(0);
    }
  });
});

describe("a body that nobody reads", () => {
  /** A body of some pieces that tells whether it was let go. */
  function watched(pieces: number, init: ResponseInit) {
    let left = pieces;
    const state = { isCancelled: false };
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (left-- > 0) controller.enqueue(new Uint8Array(10).fill(left));
        else controller.close();
      },
      cancel() {
        state.isCancelled = true;
      },
    });
    return { state, response: new Response(body, init) };
  }

  it.each([403, 404, 410, 429, 500])("is let go where the answer is %i", async (status) => {
    const { state, response } = watched(99, { status });
    answers(() => response);
    await expect(request(ADDRESS)).rejects.toThrow(status === 404 || status === 410 ? NotFoundError : NetworkError);
    expect(state.isCancelled).toBe(true);
  });

  it("is let go where its reader has enough, or fails", async () => {
    const enough = watched(99, { status: 200 });
    for await (const _ of piecesOf(enough.response)) break;
    expect(enough.state.isCancelled).toBe(true);
    const failing = watched(99, { status: 200 });
    const read = async () => {
      for await (const _ of piecesOf(failing.response)) throw new RangeError("mine");
    };
    await expect(read()).rejects.toThrow("mine");
    expect(failing.state.isCancelled).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is let go where other bytes come than were asked for", async () => {
    const part = (start: number, etag: string) => ({
      status: 206,
      headers: { "Content-Range": `bytes ${start}-${start + 9}/1000`, ETag: etag },
    });
    const first = watched(1, part(0, '"one"'));
    const later = watched(99, part(10, '"two"'));
    answers(
      () => first.response,
      () => later.response,
    );
    const file = await openRemote(ADDRESS);
    const read = file.read(0, new Uint8Array(100), new AbortController().signal);
    await expect(read).rejects.toThrow(/was changed on the server/);
    expect(later.state.isCancelled).toBe(true);
  });

  it("is let go where the file is asked for as a whole instead", async () => {
    const odd = watched(99, { status: 206 });
    answers(
      () => odd.response,
      () => new Response("whole"),
    );
    expect((await openRemote(ADDRESS)).size).toBe(5);
    expect(odd.state.isCancelled).toBe(true);
  });
});
