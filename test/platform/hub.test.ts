import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { HubLimits } from "../../src/platform/hub-fetch-node.js";
import { NodeHub } from "../../src/platform/hub-node.js";
import { ArgumentError, CancelledError, FormatError, NetworkError, NotFoundError } from "../../src/util/errors.js";
import { HubServer } from "./hub-server.js";

const BYTES = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 7 + (i >> 9)) & 255);

let server: HubServer;
let home: string;
let env: Record<string, string>;

beforeEach(async () => {
  server = new HubServer();
  home = await mkdtemp(join(tmpdir(), "sluice-hub-"));
  env = { HF_HOME: home, HF_ENDPOINT: `${await server.listen()}/` };
  server.files.set("model.gguf", BYTES);
  server.files.set("sub/config.json", new TextEncoder().encode("{}"));
});

afterEach(async () => {
  await server.close();
  await rm(home, { recursive: true, force: true });
});

const hub = (more: Record<string, string> = {}) => new NodeHub({ ...env, ...more });
const repoFolder = () => join(home, "hub", "models--user--model");
const blobs = async () => (await readdir(join(repoFolder(), "blobs")).catch(() => [])).sort();

/** vitest compares arrays number by number; these are long. */
const isWhole = async (path: string) => (await readFile(path)).equals(BYTES);

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => "nothing was thrown",
    (error: unknown) => error,
  );
}

describe("fetching from the hub", () => {
  it("lists files", async () => {
    expect(await hub().list("user/model")).toEqual([
      { path: "model.gguf", size: BYTES.length },
      { path: "sub/config.json", size: 2 },
    ]);
  });

  it("puts files where Python's library puts them", async () => {
    const location = await hub().fetch("user/model", "sub/config.json");
    expect(location).toBe(join(repoFolder(), "snapshots", server.commit, "sub", "config.json"));
    expect(await readFile(location, "utf8")).toBe("{}");
    expect(await readFile(join(repoFolder(), "refs", "main"), "utf8")).toBe(server.commit);
    const [blob] = await blobs();
    expect(await readlink(location)).toBe(join("..", "..", "..", "blobs", blob));
  });

  it("tells progress, and asks for the bytes once only", async () => {
    const progress: [number, number][] = [];
    const onProgress = (done: number, total: number) => void progress.push([done, total]);
    const location = await hub().fetch("user/model", "model.gguf", { onProgress });
    expect(await isWhole(location)).toBe(true);
    expect(progress[0]).toEqual([0, BYTES.length]);
    expect(progress.at(-1)).toEqual([BYTES.length, BYTES.length]);
    expect(progress.length).toBeGreaterThan(2);
    expect(await hub().fetch("user/model", "model.gguf")).toBe(location);
    expect(server.contentRequests).toHaveLength(1);
  });

  it("shares content between commits", async () => {
    const first = await hub().fetch("user/model", "model.gguf");
    server.commit = "f".repeat(40);
    const second = await hub().fetch("user/model", "model.gguf");
    expect(second).not.toBe(first);
    expect(await readFile(second)).toHaveLength(BYTES.length);
    expect(server.contentRequests).toHaveLength(1);
  });

  it("keeps the files of one listing to one commit", async () => {
    const one = hub();
    await one.list("user/model");
    const before = server.commit;
    server.commit = "e".repeat(40);
    expect(await one.fetch("user/model", "model.gguf")).toContain(before);
    await one.list("user/model");
    expect(await one.fetch("user/model", "model.gguf")).toContain(server.commit);
  });

  it("honours HF_HUB_CACHE and files whose name is no SHA-256", async () => {
    server.namesBySha = false;
    const cache = join(home, "elsewhere");
    const location = await hub({ HF_HUB_CACHE: cache }).fetch("user/model", "model.gguf");
    expect(dirname(dirname(dirname(location)))).toBe(join(cache, "models--user--model"));
    expect(await readFile(location)).toHaveLength(BYTES.length);
  });

  it("sends HF_TOKEN, or the token that was stored by a login", async () => {
    await hub({ HF_TOKEN: "hf_good" }).fetch("gated/model", "model.gguf");
    await writeFile(join(home, "token"), "hf_stored\n");
    await hub().list("user/model");
    expect(server.requests.at(-1)?.authorization).toBe("Bearer hf_stored");
    expect(await failure(hub({ HF_TOKEN: "secret" }).list("user/model"))).toBeInstanceOf(ArgumentError);
  });
});

describe("a download that is interrupted", () => {
  it("leaves no file, and goes on where it stopped", async () => {
    server.cutAfter = 1_000_000;
    const error = await failure(hub().fetch("user/model", "model.gguf"));
    expect(error).toBeInstanceOf(NetworkError);
    expect(await readdir(repoFolder())).toEqual(["blobs"]);
    const [partial] = await blobs();
    expect(partial).toMatch(/^[0-9a-f]{64}\.sluice-partial$/);
    server.cutAfter = undefined;
    const location = await hub().fetch("user/model", "model.gguf");
    expect(await isWhole(location)).toBe(true);
    expect(server.contentRequests.at(-1)?.range).toMatch(/^bytes=[1-9]\d*-2999999$/);
    expect(await blobs()).toHaveLength(1);
  });

  it("is noticed by the size alone, when the server ended it in due form", async () => {
    server.endsEarly = true;
    server.namesBySha = false;
    const error = await failure(hub().fetch("user/model", "model.gguf"));
    expect(error).toBeInstanceOf(NetworkError);
    expect(error).toMatchObject({ details: { doneBytes: BYTES.length - 1, totalBytes: BYTES.length } });
    expect(await readdir(repoFolder())).toEqual(["blobs"]);
  });

  it("takes over from a process that died, not from one that runs", async () => {
    const first = await hub().fetch("user/model", "model.gguf");
    const [name = ""] = await blobs();
    await rm(join(repoFolder(), "blobs", name));
    const { hostname } = await import("node:os");
    const alive = `${name}.${hostname()}-${process.pid}-99.sluice-partial`;
    const dead = `${name}.${hostname()}-99999999-0.sluice-partial`;
    await writeFile(join(repoFolder(), "blobs", alive), BYTES.subarray(0, 7));
    await writeFile(join(repoFolder(), "blobs", dead), BYTES.subarray(0, 1234));
    expect(await hub().fetch("user/model", "model.gguf")).toBe(first);
    expect(server.contentRequests.at(-1)?.range).toBe("bytes=1234-2999999");
    expect(await blobs()).toEqual([name, alive].sort());
  });

  it("starts over when the server ignores ranges, or what was there is wrong", async () => {
    for (const left of [BYTES.subarray(0, 1000), new Uint8Array(1000), new Uint8Array(4_000_000)]) {
      await rm(repoFolder(), { recursive: true, force: true });
      const { createHash } = await import("node:crypto");
      const name = createHash("sha256").update(BYTES).digest("hex");
      await mkdir(join(repoFolder(), "blobs"), { recursive: true });
      await writeFile(join(repoFolder(), "blobs", `${name}.sluice-partial`), left);
      server.ignoresRanges = left[1] === BYTES[1];
      const location = await hub().fetch("user/model", "model.gguf");
      expect(await isWhole(location)).toBe(true);
    }
  });

  it("refuses content that is not what was announced", async () => {
    server.damages = true;
    expect(await failure(hub().fetch("user/model", "model.gguf"))).toBeInstanceOf(FormatError);
    expect(await readdir(repoFolder())).toEqual(["blobs"]);
    server.damages = false;
    expect(await readFile(await hub().fetch("user/model", "model.gguf"))).toHaveLength(BYTES.length);
  });

  it("is cancelled by its signal", async () => {
    const abort = new AbortController();
    const onProgress = (done: number) => done > 0 && abort.abort();
    const error = await failure(hub().fetch("user/model", "model.gguf", { signal: abort.signal, onProgress }));
    expect(error).toBeInstanceOf(CancelledError);
    expect((await blobs())[0]).toMatch(/\.sluice-partial$/);
    expect(await failure(hub().list("user/model", AbortSignal.abort()))).toBeInstanceOf(CancelledError);
  });

  it("is cancelled while the server hangs", async () => {
    server.hangs = true;
    const abort = new AbortController();
    const fetching = failure(hub().fetch("user/model", "model.gguf", { signal: abort.signal }));
    while (server.contentRequests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    abort.abort();
    expect(await fetching).toBeInstanceOf(CancelledError);
  });

  it("lets several fetch the same file at once", async () => {
    const locations = await Promise.all([1, 2, 3].map(() => hub().fetch("user/model", "model.gguf")));
    expect(new Set(locations).size).toBe(1);
    expect(await isWhole(locations[0])).toBe(true);
    expect(await blobs()).toHaveLength(1);
  });
});

describe("a hub that does not come to an end", () => {
  const limits: HubLimits = { idleMs: 300, answerMs: 2000, answerBytes: 100_000, pages: 20, entries: 500 };
  const limited = (signal?: AbortSignal) => new NodeHub(env, limits).list("user/model", signal);
  const tree = () => `${env.HF_ENDPOINT}api/models/user/model/tree/${server.commit}`;
  const page = (entries: unknown, next?: string) => (_: number, response: ServerResponse) =>
    response.writeHead(200, next === undefined ? {} : { Link: `<${next}>; rel="next"` }).end(JSON.stringify(entries));
  const entry = (type: string, at: number) => ({ type, path: `p${at}`, size: 1, oid: "0" });
  const many = (type: string, count: number) => Array.from({ length: count }, (_, at) => entry(type, at));

  it.each<[string, () => HubServer["listing"], RegExp]>([
    [
      "lists page after page",
      () => (at, response) => page(many("file", 1), `${tree()}?page=${at + 1}`)(at, response),
      /more than 20 pages/,
    ],
    ["leads in a circle", () => page(many("file", 1), `${tree()}?page=1`), /leads in a circle/],
    ["leads to itself", () => page([], `${tree()}?recursive=true&expand=false`), /leads in a circle/],
    ["goes on at another server", () => page([], "http://127.0.0.1:9/x"), /another server, http:\/\/127/],
    ["lists too many files", () => page(many("file", 501)), /more than 500 entries/],
    ["lists too many folders", () => page(many("directory", 501)), /more than 500 entries/],
    ["says too much", () => page([entry("file", 1), "x".repeat(200_000)]), /more than 100,000 bytes/],
    ["lists what is no file", () => page([null]), /listed what is no file: null/],
    ["lists files without a size", () => page([{ type: "file", path: "a" }]), /listed what is no file/],
    [
      "lists names without end",
      () => page([{ type: "file", path: "a/".repeat(1000), size: 1 }]),
      /listed what is no file/,
    ],
    ["sends no list", () => page(7), /no hub gives/],
    ["sends no JSON", () => (_, response) => response.end("<html>"), /no hub gives/],
  ])("%s", async (_, listing, message) => {
    // What was fetched before does not take the place of an answer that is wrong.
    await hub().fetch("user/model", "model.gguf");
    server.listing = listing();
    const error = await failure(limited());
    expect(error).toBeInstanceOf(NetworkError);
    expect(error).toMatchObject({ message: expect.stringMatching(message) });
    expect(server.requests.length).toBeLessThan(40);
  });

  it("is given up when it sends nothing, or always a little", async () => {
    server.listing = () => {};
    expect(await failure(limited())).toMatchObject({
      code: "network",
      message: expect.stringMatching(/nothing for 0.3/),
    });
    server.listing = (_, response) => void response.write("[");
    expect(await failure(limited())).toMatchObject({
      code: "network",
      message: expect.stringMatching(/nothing for 0.3/),
    });
    let drip: NodeJS.Timeout | undefined;
    server.listing = (_, response) => {
      drip = setInterval(() => response.write(" "), 50);
    };
    expect(await failure(limited())).toMatchObject({
      code: "network",
      message: expect.stringMatching(/not whole after 2 /),
    });
    clearInterval(drip);
    // Each page in time, and the listing never whole.
    server.listing = (at, response) =>
      void setTimeout(() => page(many("file", 1), `${tree()}?page=${at + 1}`)(at, response), 150);
    expect(await failure(limited())).toMatchObject({
      code: "network",
      message: expect.stringMatching(/not whole after 2 /),
    });
  });

  it("sends everybody in circles", async () => {
    server.redirects = true;
    expect(await failure(limited())).toMatchObject({ code: "network", message: expect.stringMatching(/redirect/) });
  });

  it("can be left at any time", async () => {
    server.listing = () => {};
    const abort = new AbortController();
    const listing = failure(new NodeHub(env).list("user/model", abort.signal));
    while (!server.requests.some(({ path }) => path.includes("/tree/")))
      await new Promise((resolve) => setTimeout(resolve, 5));
    abort.abort();
    expect(await listing).toBeInstanceOf(CancelledError);
  });

  it("keeps what came of a file until it sent nothing more, and goes on there", async () => {
    server.cutAfter = 1_000_000;
    server.hangs = true;
    const error = await failure(new NodeHub(env, limits).fetch("user/model", "model.gguf"));
    expect(error).toMatchObject({ code: "network", message: expect.stringMatching(/nothing for 0.3 seconds/) });
    server.cutAfter = undefined;
    server.hangs = false;
    expect(await isWhole(await hub().fetch("user/model", "model.gguf"))).toBe(true);
    expect(server.contentRequests.at(-1)?.range).toMatch(/^bytes=[1-9]\d*-2999999$/);
  });
});

describe("without the hub", () => {
  it("uses what is cached when HF_HUB_OFFLINE is set, and asks nothing", async () => {
    const location = await hub().fetch("user/model", "model.gguf");
    const asked = server.requests.length;
    const offline = hub({ HF_HUB_OFFLINE: "1" });
    expect(await offline.fetch("user/model", "model.gguf")).toBe(location);
    expect(await offline.list("user/model")).toEqual([{ path: "model.gguf", size: BYTES.length }]);
    expect(server.requests).toHaveLength(asked);
  });

  it("says so when it is not cached", async () => {
    const offline = hub({ HF_HUB_OFFLINE: "TRUE" });
    // One at a time: a rejection that nobody waits for yet fails the run.
    for (const ask of [() => offline.fetch("user/model", "model.gguf"), () => offline.list("user/model")]) {
      const error = await failure(ask());
      expect(error).toBeInstanceOf(NotFoundError);
      expect(error).toMatchObject({ message: expect.stringContaining("HF_HUB_OFFLINE") });
    }
  });

  it("falls back to the cache when the network is gone", async () => {
    const location = await hub().fetch("user/model", "model.gguf");
    const gone = hub({ HF_ENDPOINT: "http://127.0.0.1:1" });
    expect(await gone.fetch("user/model", "model.gguf")).toBe(location);
    expect(await gone.list("user/model")).toHaveLength(1);
    expect(await failure(gone.fetch("user/model", "sub/config.json"))).toBeInstanceOf(NetworkError);
  });
});

describe("refusals", () => {
  it.each([
    ["user/none", "model.gguf", NotFoundError, 404],
    ["user/model", "none.gguf", NotFoundError, undefined],
    ["gated/model", "model.gguf", NetworkError, 401],
    ["forbidden/model", "model.gguf", NetworkError, 403],
    ["broken/model", "model.gguf", NetworkError, 503],
  ])("%s %s", async (repo, path, kind, status) => {
    const error = await failure(hub().fetch(repo, path));
    expect(error).toBeInstanceOf(kind);
    if (status !== undefined) expect(error).toMatchObject({ details: { status, repo } });
    if (status === 401) expect(error).toMatchObject({ message: expect.stringContaining("HF_TOKEN") });
  });

  it("fails when the content is refused after the question for it was answered", async () => {
    server.refuseContent = 500;
    expect(await failure(hub().fetch("user/model", "model.gguf"))).toBeInstanceOf(NetworkError);
    expect(await readdir(repoFolder())).toEqual(["blobs"]);
  });

  it.each(["../x", "/etc/passwd", "a//b", "a/../../b", "a\\b", "C:x", "", "a/."])("no path %j", async (path) => {
    expect(await failure(hub().fetch("user/model", path))).toBeInstanceOf(ArgumentError);
  });

  it.each(["..", "a/b/c", "", "user/../x", "us er/x", "user/a--b"])("no repository %j", async (repo) => {
    expect(await failure(hub().list(repo))).toBeInstanceOf(ArgumentError);
    expect(await failure(hub().fetch(repo, "f"))).toBeInstanceOf(ArgumentError);
  });
});
