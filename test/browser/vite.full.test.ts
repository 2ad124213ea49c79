// The set-up of docs/browser.md as it stands there: Vite's own servers, with the model in the project's public folder.
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Browser } from "playwright-core";
import { createServer, type InlineConfig, preview } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BrowserApp, buildApp } from "./app.js";
import {
  CHROMIUM,
  GREEDY,
  generateInNode,
  hasChromium,
  launch,
  MODEL,
  type Outcome,
  onPage,
  PROMPT,
  START_MS,
} from "./harness.js";
import { StaticServer } from "./static-server.js";

const SERVERS: [string, (config: InlineConfig) => Promise<{ origin: string; close(): Promise<void> }>][] = [
  ["development", async (config) => listening(await (await createServer(config)).listen())],
  ["preview", async (config) => listening(await preview(config))],
];

function listening(server: { resolvedUrls: { local: string[] } | null; close(): Promise<void> }) {
  return { origin: server.resolvedUrls?.local[0]?.replace(/\/$/, "") ?? "", close: () => server.close() };
}

describe.skipIf(!hasChromium)(`vite's servers, in ${CHROMIUM}`, () => {
  let app: BrowserApp;
  let browser: Browser;
  let elsewhere: StaticServer;
  let otherOrigin: string;
  let expected: Awaited<ReturnType<typeof generateInNode>>;

  beforeAll(async () => {
    app = await buildApp([MODEL]);
    browser = await launch();
    elsewhere = new StaticServer({ folder: app.built, files: { "/llama.gguf": MODEL }, isolated: true });
    otherOrigin = await elsewhere.listen();
    expected = await generateInNode(MODEL, PROMPT, GREEDY);
  }, START_MS);

  afterAll(async () => {
    await browser?.close();
    await elsewhere?.close();
    app?.remove();
  });

  describe.each(SERVERS)("%s", (_, start) => {
    /** What the page makes of the model at `reference`, from the server with or without the headers of the documentation. */
    async function generate(reference: string, headers: boolean, load = {}): Promise<Outcome> {
      const configFile = headers && join(app.folder, "vite.config.js");
      const port = { port: 0 };
      const vite = await start({ root: app.folder, configFile, logLevel: "warn", server: port, preview: port });
      try {
        return await onPage(browser, vite.origin, { reference, load, prompt: PROMPT, options: GREEDY });
      } finally {
        await vite.close();
      }
    }

    it("runs the documented set-up, with kernel threads", async () => {
      const outcome = await generate(`models/${basename(MODEL)}`, true, { threads: 2 });
      expect(outcome).toMatchObject({ first: expected, threads: 2, notes: [] });
    });

    it("runs without the headers, on one thread", async () => {
      expect(await generate(`/models/${basename(MODEL)}`, false)).toMatchObject({ first: expected, threads: 1 });
    });

    it("reads the model from another origin", async () => {
      const outcome = await generate(`${otherOrigin}/llama.gguf`, true, { threads: 2 });
      expect(outcome).toMatchObject({ first: expected, threads: 2 });
    });

    it("says that the application's page came instead of a model", async () => {
      const { error } = await generate("/models/none.gguf", true);
      expect(error).toMatchObject({ name: "NotFoundError", typed: true });
      expect(error?.message).toMatch(/none\.gguf'; the server sent an HTML page instead of a model/);
    });
  });
});

it("shows in docs/browser.md the configuration that is tested here", () => {
  const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");
  expect(read("../../docs/browser.md")).toContain(read("./page/vite.config.js"));
});
