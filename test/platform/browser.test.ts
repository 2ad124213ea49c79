// The browser's platform is fetch and URLs, which Node has too: its file access is tested here against a server.
import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { browserPlatform } from "../../src/platform/browser.js";
import { FormatError, NetworkError, NotFoundError } from "../../src/util/errors.js";

const BYTES = Uint8Array.from({ length: 5000 }, (_, i) => (i * 3) & 255);
let server: Server;
let base: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    const path = request.url ?? "";
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    if (path === "/none") return response.writeHead(404).end();
    if (path === "/secret") return response.writeHead(403).end();
    if (path === "/plain") return response.writeHead(200).end("everything");
    if (path === "/empty") return response.writeHead(416, { "Content-Range": "bytes */0" }).end();
    const shift = path === "/shifted" && from !== "0" ? 1 : 0;
    const body = Buffer.from(BYTES.subarray(Number(from) + shift, Number(to) + shift + 1));
    const range = `bytes ${Number(from) + shift}-${Number(to) + shift}/${BYTES.length}`;
    response.writeHead(206, { "Content-Range": range });
    return response.end(
      (path === "/short" || path === "/shifted") && body.length > 1
        ? body.subarray(0, Math.ceil(body.length / 2))
        : body,
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  base = typeof address === "object" && address ? `http://127.0.0.1:${address.port}` : "";
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

describe("files behind URLs", () => {
  it("reads ranges, also into shared memory", async () => {
    const source = await browserPlatform.open(`${base}/file`);
    expect(source.size).toBe(5000);
    const into = new Uint8Array(new SharedArrayBuffer(102)).subarray(1, 101);
    await source.read(4900, into);
    expect(Array.from(into)).toEqual(Array.from(BYTES.subarray(4900)));
    await source.read(0, new Uint8Array(0));
    await expect(source.read(4901, into)).rejects.toThrow(FormatError);
  });

  it("opens an empty file", async () => {
    expect((await browserPlatform.open(`${base}/empty`)).size).toBe(0);
  });

  it("asks anew for bytes that are missing, and notices others than were asked for", async () => {
    const short = await browserPlatform.open(`${base}/short`);
    const into = new Uint8Array(5000);
    await short.read(0, into);
    expect(Array.from(into)).toEqual(Array.from(BYTES));
    const shifted = await browserPlatform.open(`${base}/shifted`);
    await expect(shifted.read(0, into)).rejects.toThrow(NetworkError);
  });

  it("tells apart what is not there, refused, unreachable, or without ranges", async () => {
    await expect(browserPlatform.open(`${base}/none`)).rejects.toThrow(NotFoundError);
    await expect(browserPlatform.open(`${base}/secret`)).rejects.toThrow(NetworkError);
    await expect(browserPlatform.open("http://127.0.0.1:1/x")).rejects.toThrow(NetworkError);
    expect((await browserPlatform.open(`${base}/plain`)).size).toBe("everything".length);
  });

  it("lists a file and nothing", async () => {
    expect(await browserPlatform.list(`${base}/file`)).toBe("file");
    expect(await browserPlatform.list(`${base}/none`)).toBeUndefined();
    await expect(browserPlatform.list(`${base}/secret`)).rejects.toThrow(NetworkError);
  });
});

it("lets messages through between turns", async () => {
  let done = false;
  setTimeout(() => {
    done = true;
  }, 0);
  while (!done) await browserPlatform.yieldToEvents();
  expect(done).toBe(true);
});

describe("threads", () => {
  it("of a page that is not isolated are one, and it says why and what to do; not where there is one core", () => {
    vi.stubGlobal("navigator", { hardwareConcurrency: 8 });
    expect(browserPlatform.cores).toBe(1);
    expect(browserPlatform.oneThread).toBe(
      "this page is not cross-origin isolated, so threads cannot share memory. Serve it and its scripts with the headers " +
        "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp",
    );
    vi.stubGlobal("navigator", { hardwareConcurrency: 1 });
    expect(browserPlatform.oneThread).toBeUndefined();
    vi.stubGlobal("navigator", { hardwareConcurrency: 8 });
    vi.stubGlobal("crossOriginIsolated", true);
    expect(browserPlatform.oneThread).toBeUndefined();
    vi.unstubAllGlobals();
  });
});
