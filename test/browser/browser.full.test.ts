// A real browser runs the built package: chromium, headless, on a page that vite bundled.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { LoadOptions } from "../../src/engine/api.js";
import { hasShared, SHARED } from "../support/shared-files.js";
import { type BrowserApp, buildApp } from "./app.js";
import * as harness from "./harness.js";
import {
  CHROMIUM,
  GREEDY,
  generateInNode,
  hasChromium,
  launch,
  MODEL,
  type Outcome,
  PROMPT,
  START_MS,
} from "./harness.js";
import { StaticServer, type StaticServerOptions } from "./static-server.js";

const STORIES = join(SHARED, "models/stories260K.gguf");

const PLACES: [string, LoadOptions][] = [
  ["in its own worker with 2 kernel threads", { threads: 2 }],
  ["on the page's main thread", { thread: false, threads: 1 }],
  ["on the page's main thread and one more for the kernels", { thread: false, threads: 2 }],
];

describe.skipIf(!hasChromium)(`in ${CHROMIUM}`, () => {
  let app: BrowserApp;
  let browser: Browser;
  let server: StaticServer;
  let isolated: string;
  const cleanUp: (() => Promise<void>)[] = [];

  async function serve(options: Omit<StaticServerOptions, "folder" | "files">): Promise<[StaticServer, string]> {
    const files = { "/models/llama.gguf": MODEL, "/models/stories.gguf": STORIES };
    const started = new StaticServer({ folder: app.built, files, ...options });
    cleanUp.push(() => started.close());
    return [started, await started.listen()];
  }

  const onPage = (origin: string, request: harness.Request, action?: string): Promise<Outcome> =>
    harness.onPage(browser, origin, request, action);

  beforeAll(async () => {
    app = await buildApp();
    browser = await launch();
    [server, isolated] = await serve({ isolated: true });
  }, START_MS);

  afterEach(() => server.requests.splice(0));

  afterAll(async () => {
    await browser?.close();
    for (const action of cleanUp) await action();
    app?.remove();
  });

  describe.each(PLACES)("with the engine %s", (_, load) => {
    it("writes what Node writes, reading ranges of the file", async () => {
      const expected = await generateInNode(MODEL, PROMPT, GREEDY);
      expect(expected.ids).toHaveLength(48);
      const outcome = await onPage(isolated, {
        reference: "/models/llama.gguf",
        load,
        prompt: PROMPT,
        options: GREEDY,
      });
      const location = `${isolated}/models/llama.gguf`;
      expect(outcome).toMatchObject({ first: expected, threads: load.threads, location });
      const reads = server.requests.filter(({ path }) => path === "/models/llama.gguf");
      expect(reads.length).toBeGreaterThan(1);
      expect(reads.filter(({ range }) => range === undefined)).toEqual([]);
    });

    it.skipIf(!hasShared)("tells the story of the trained model", async () => {
      const expected = readFileSync(join(SHARED, "models/stories260K.expected.txt"), "utf8");
      const outcome = await onPage(isolated, {
        reference: "models/stories.gguf",
        load,
        prompt: "",
        options: { temperature: 0, maxTokens: 200 },
      });
      expect(outcome.error).toBeUndefined();
      expect(outcome.first?.text).toBe(expected);
    });

    it("is cancelled by a timer of the page, and the session goes on", async () => {
      const outcome = await onPage(isolated, {
        reference: "/models/llama.gguf",
        load,
        session: { context: "sinks:2,recent:62" },
        prompt: PROMPT,
        options: { ...GREEDY, maxTokens: 1_000_000 },
        abortAfterMs: 100,
        next: { prompt: [5], options: { ...GREEDY, maxTokens: 3 } },
      });
      expect(outcome.first?.finish).toBe("cancelled");
      expect(outcome.first?.ids.length).toBeLessThan(1_000_000);
      expect(outcome.second?.ids).toHaveLength(3);
      expect(outcome.second?.finish).toBe("length");
    });

    it("reads a file that the user picked", async () => {
      const request = { reference: "/models/llama.gguf", load, prompt: PROMPT, options: GREEDY };
      const outcome = await onPage(isolated, request, "generateFromFile");
      expect(outcome.error).toBeUndefined();
      expect(outcome.first).toEqual(await generateInNode(MODEL, PROMPT, GREEDY));
    });

    it("says that a model is not there", async () => {
      const outcome = await onPage(isolated, { reference: "/models/none.gguf", load, prompt: PROMPT });
      expect(outcome.error).toMatchObject({ name: "NotFoundError", code: "not_found", typed: true });
      expect(outcome.error?.message).toContain(`${isolated}/models/none.gguf`);
    });
  });

  it("takes all cores by default", async () => {
    const outcome = await onPage(isolated, { reference: "/models/llama.gguf", prompt: PROMPT, options: GREEDY });
    expect(outcome.cores).toBeGreaterThan(0);
    expect(outcome.threads).toBe(outcome.cores);
  });

  it("leaves no worker behind, load after load", async () => {
    const request = { reference: "/models/llama.gguf", load: { threads: 3 }, prompt: PROMPT, options: GREEDY };
    const outcome = await onPage(isolated, request, "generateAgain");
    expect(outcome.first?.ids).toHaveLength(48);
  });

  describe("without cross-origin isolation", () => {
    let plain: string;
    beforeAll(async () => {
      [, plain] = await serve({ isolated: false });
    });

    it.each([true, false])("runs on one thread by default (engine's own thread: %s)", async (thread) => {
      const expected = await generateInNode(MODEL, PROMPT, GREEDY);
      const outcome = await onPage(plain, {
        reference: "/models/llama.gguf",
        load: { thread },
        prompt: PROMPT,
        options: GREEDY,
      });
      expect(outcome).toMatchObject({ first: expected, threads: 1 });
    });

    it.each([true, false])("says what kernel threads need (engine's own thread: %s)", async (thread) => {
      const outcome = await onPage(plain, {
        reference: "/models/llama.gguf",
        load: { thread, threads: 2 },
        prompt: PROMPT,
      });
      expect(outcome.error).toMatchObject({ name: "UnsupportedError", code: "unsupported", typed: true });
      expect(outcome.error?.message).toContain("Cross-Origin-Embedder-Policy: require-corp");
    });
  });

  it("says that the worker's script is missing", async () => {
    const [, origin] = await serve({ isolated: true, missing: /engine-thread-browser/ });
    const outcome = await onPage(origin, { reference: "/models/llama.gguf", prompt: PROMPT });
    expect(outcome.error).toMatchObject({ name: "NotFoundError", typed: true });
    expect(outcome.error?.message).toContain("worker");
  });

  it.each([
    ["WebAssembly", "script-src 'self'", "wasm-unsafe-eval", "UnsupportedError"],
    ["kernel threads", "worker-src 'self'", "blob:", "NotFoundError"],
  ])("says what a policy that forbids %s must allow", async (_, policy, allowed, name) => {
    const [, origin] = await serve({ isolated: true, policy });
    for (const thread of [true, false]) {
      const load = { thread, threads: 2 };
      const outcome = await onPage(origin, { reference: "/models/llama.gguf", load, prompt: PROMPT });
      expect(outcome.error).toMatchObject({ name, typed: true });
      expect(outcome.error?.message).toContain(allowed);
    }
  });
});
