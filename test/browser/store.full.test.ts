// Models in the browser's storage: fetched once, whatever happens on the way.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { BLOCK_BYTES } from "../../src/platform/block-source.js";
import { tinyGguf } from "../support/tiny-gguf.js";
import { type BrowserApp, buildApp } from "./app.js";
import {
  CHROMIUM,
  generateInNode,
  hasChromium,
  launch,
  type Outcome,
  onPage,
  START_MS,
  type StoredOutcome,
} from "./harness.js";
import { StaticServer } from "./static-server.js";

const PROMPT = [1, 5, 9, 30];
const OPTIONS = { temperature: 0, maxTokens: 8, ignoreEnd: true };
/** Three blocks. */
const SIZE = { width: 32, hidden: 90_000, layers: 1, dtype: "f32" } as const;
/** Models may come from anywhere. */
const POLICY = "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:";
const PATH = "/models/large.gguf";
const HUB_PATH = "/user/model/resolve/0123456789abcdef0123456789abcdef01234567/large-F32.gguf";

describe.skipIf(!hasChromium)(`the store, in ${CHROMIUM}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-store-"));
  const file = join(folder, "large.gguf");
  const bytes = tinyGguf({ size: SIZE });
  let app: BrowserApp;
  let browser: Browser;
  let context: BrowserContext;
  let server: StaticServer;
  let origin: string;
  let expected: Awaited<ReturnType<typeof generateInNode>>;

  beforeAll(async () => {
    writeFileSync(file, bytes);
    app = await buildApp();
    browser = await launch();
    server = new StaticServer({
      folder: app.built,
      files: { [PATH]: file, [HUB_PATH]: file },
      isolated: true,
      policy: POLICY,
    });
    origin = await server.listen();
    expected = await generateInNode(file, PROMPT, OPTIONS);
  }, START_MS);

  // Each test has a storage of its own.
  beforeEach(async () => {
    context = await browser.newContext();
  });

  afterEach(async () => {
    await context.close();
    server.requests.splice(0);
    server.holdsFrom = Number.POSITIVE_INFINITY;
    writeFileSync(file, bytes);
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
    app?.remove();
    rmSync(folder, { recursive: true });
  });

  const visit = (load = {}, from = origin): Promise<Outcome> =>
    onPage(context, from, { reference: PATH, load, prompt: PROMPT, options: OPTIONS });

  /** Starts of the ranges that were asked for since the last call, in order; "0-1" asks only which version it is. */
  function ranges(path = PATH): string[] {
    const asked = server.requests.splice(0).filter((request) => request.path === path);
    return asked.map(({ range }) => (range === "bytes=0-1" ? "0-1" : /\d+/.exec(range ?? "whole")?.[0]) ?? "whole");
  }

  const BLOCKS = [String(BLOCK_BYTES), String(2 * BLOCK_BYTES)];

  it.each([{}, { thread: false }])("reads the model from the server once (%o)", async (load) => {
    expect(await visit(load)).toMatchObject({ first: expected, notes: [] });
    // The first answer, the rest of the first block, and the others.
    expect(ranges()).toEqual(["0", String(256 * 1024), ...BLOCKS]);
    expect(await visit(load)).toMatchObject({ first: expected, notes: [] });
    expect(ranges()).toEqual(["0-1"]);
  });

  it("goes on where an earlier visit was ended", async () => {
    server.holdsFrom = 2 * BLOCK_BYTES;
    const page = await context.newPage();
    await page.goto(`${origin}/index.html`);
    void page.evaluate(`probe.generate(${JSON.stringify({ reference: PATH, prompt: PROMPT })})`).catch(() => {});
    const kept = () => onPage<StoredOutcome>(context, origin, {}, "stored");
    await expect.poll(async () => (await kept()).files[0]?.storedBytes, { timeout: 60_000 }).toBe(2 * BLOCK_BYTES);
    await page.close();
    server.holdsFrom = Number.POSITIVE_INFINITY;
    ranges();
    expect(await visit()).toMatchObject({ first: expected });
    expect(ranges()).toEqual(["0-1", BLOCKS[1]]);
  });

  it("fetches a damaged block anew", async () => {
    await visit();
    ranges();
    const page = await context.newPage();
    await page.goto(`${origin}/index.html`);
    await page.evaluate(`(async () => {
      let folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("sluice-models");
      for (let depth = 0; depth < 2; depth++) {
        for await (const entry of folder.values()) if (entry.kind === "directory") { folder = entry; break; }
      }
      const writer = await (await folder.getFileHandle("1")).createWritable({ keepExistingData: true });
      await writer.write({ type: "write", position: 1000, data: new Uint8Array(100) });
      await writer.close();
    })()`);
    await page.close();
    expect(await visit()).toMatchObject({ first: expected });
    expect(ranges()).toEqual(["0-1", BLOCKS[0]]);
    await visit();
    expect(ranges()).toEqual(["0-1"]);
  });

  it("notices that the server has another version", async () => {
    await visit();
    ranges();
    writeFileSync(file, tinyGguf({ size: SIZE, seed: 2 }));
    const other = await generateInNode(file, PROMPT, OPTIONS);
    expect(other.ids).not.toEqual(expected.ids);
    expect(await visit()).toMatchObject({ first: other });
    // Blocks are asked for two at a time, in any order.
    expect(ranges().sort()).toEqual(["0-1", "2", ...BLOCKS].sort());
    const { files } = await onPage<StoredOutcome>(context, origin, {}, "stored");
    expect(files).toMatchObject([{ storedBytes: bytes.length }]);
  });

  it("is written by two pages at once", async () => {
    const outcomes = await Promise.all([visit(), visit()]);
    for (const outcome of outcomes) expect(outcome).toMatchObject({ first: expected });
    ranges();
    expect(await visit()).toMatchObject({ first: expected, notes: [] });
    expect(ranges()).toEqual(["0-1"]);
  });

  it("says that there is no room, and reads without it", async () => {
    const page = await context.newPage();
    const session = await context.newCDPSession(page);
    await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1_000_000 });
    const { first, notes } = await visit();
    expect(first).toEqual(expected);
    expect(notes).toHaveLength(1);
    // Browsers may tell pages another quota than they have.
    expect(notes?.[0]).toMatch(/not stored.* is fetched at every visit.*deleteStored\(\) makes room/);
    ranges();
    expect((await visit()).first).toEqual(expected);
    expect(ranges()).toContain(BLOCKS[1]);
  });

  it("lists what it has, and removes it", async () => {
    const url = origin + PATH;
    const stored = (request: { remove?: string | null }) => onPage<StoredOutcome>(context, origin, request, "stored");
    expect((await stored({})).files).toEqual([]);
    await visit();
    expect((await stored({})).files).toEqual([{ url, bytes: bytes.length, storedBytes: bytes.length, isDate: true }]);
    expect(await stored({ remove: "/models/other.gguf" })).toMatchObject({ removed: 0, files: [{ url }] });
    expect(await stored({ remove: PATH })).toEqual({ removed: 1, files: [] });
    await visit({ store: false });
    expect((await stored({})).files).toEqual([]);
  });

  it("serves a model when the server is gone", async () => {
    const own = new StaticServer({ folder: app.built, files: { [PATH]: file }, isolated: true, policy: POLICY });
    const there = await own.listen();
    const request = { reference: there + PATH, prompt: PROMPT, options: OPTIONS };
    await onPage(context, origin, request);
    await own.close();
    const outcome = await onPage(context, origin, request);
    expect(outcome).toMatchObject({ first: expected });
    expect(outcome.notes?.[0]).toMatch(/cannot be reached; what was stored of it is used/);
  });

  it("keeps a file of a server without ranges too", async () => {
    const own = new StaticServer({ folder: app.built, files: { [PATH]: file }, isolated: true, withoutRanges: true });
    const there = await own.listen();
    const request = { reference: PATH, prompt: PROMPT, options: OPTIONS };
    expect(await onPage(context, there, request)).toMatchObject({ first: expected, notes: [] });
    expect(await onPage(context, there, request)).toMatchObject({ first: expected, notes: [] });
    const { files } = await onPage<StoredOutcome>(context, there, {}, "stored");
    expect(files).toMatchObject([{ storedBytes: bytes.length }]);
    await own.close();
  });

  it("keeps a model of the hub", async () => {
    const commit = "0123456789abcdef0123456789abcdef01234567";
    await context.route("https://huggingface.co/**", async (route) => {
      const { pathname } = new URL(route.request().url());
      const headers = { "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Content-Range, ETag" };
      if (pathname.endsWith("/revision/main")) return route.fulfill({ headers, json: { sha: commit } });
      if (pathname.includes("/tree/"))
        return route.fulfill({ headers, json: [{ type: "file", path: "large-F32.gguf", size: bytes.length }] });
      return route.fulfill({ headers: { ...headers, Location: origin + pathname }, status: 302 });
    });
    const request = { reference: "hf:user/model:F32", prompt: PROMPT, options: OPTIONS };
    expect(await onPage(context, origin, request)).toMatchObject({ first: expected, notes: [] });
    ranges(HUB_PATH);
    expect(await onPage(context, origin, request)).toMatchObject({ first: expected, notes: [] });
    expect(ranges(HUB_PATH)).toEqual(["0-1"]);
  });
});
