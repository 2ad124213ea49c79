// Models behind URLs: folders, sets of shards, the hub's in a browser, and the ways to write a local file as a URL.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { load } from "../../src/engine/loading/load.js";
import { baseName, joinLocation, parentOf } from "../../src/formats/location.js";
import { openCheckpoint } from "../../src/formats/open.js";
import { resolveReference } from "../../src/formats/reference.js";
import { browserPlatform } from "../../src/platform/browser.js";
import { HttpHub } from "../../src/platform/hub-http.js";
import { nodePlatform } from "../../src/platform/node.js";
import { ArgumentError, NetworkError, NotFoundError } from "../../src/util/errors.js";
import { hfFolder } from "../formats/sample-hf.js";
import { tinyGguf } from "../support/tiny-gguf.js";
import { writeGguf } from "../support/write-gguf.js";
import { FileServer, page, status } from "./file-server.js";
import { HubServer } from "./hub-server.js";

const bytesOf = (content: Uint8Array | string) => (typeof content === "string" ? Buffer.from(content) : content);
const FOLDER = Object.fromEntries(Object.entries(hfFolder()).map(([path, content]) => [path, bytesOf(content)]));
const below = (prefix: string) => Object.fromEntries(Object.entries(FOLDER).map(([p, bytes]) => [prefix + p, bytes]));
const GGUF = tinyGguf();

function shard(no: number): Uint8Array {
  const keys = {
    "general.architecture": "llama",
    "split.no": { type: "u16" as const, value: no },
    "split.count": { type: "u16" as const, value: 2 },
    "split.tensors.count": { type: "i32" as const, value: 2 },
  };
  const values = new Float32Array(4).fill(no);
  return writeGguf({ metadata: keys, tensors: [{ name: `t${no}`, dtype: "f32", rows: 1, cols: 4, values }] });
}

describe("parts of places", () => {
  it.each([
    ["https://host/a/b%20c.gguf?token=x/y", "b c.gguf", "https://host/a?token=x/y"],
    ["https://host/a/b.gguf#/c", "b.gguf", "https://host/a#/c"],
    ["/a/100%.gguf", "100%.gguf", "/a"],
    ["C:\\models\\b?.gguf", "b?.gguf", "C:\\models"],
  ])("%s", (location, name, parent) => {
    expect(baseName(location)).toBe(name);
    expect(parentOf(location)).toBe(parent);
  });

  it("puts names into URLs in front of what is asked", () => {
    expect(joinLocation("https://host/a/?token=x", "b c#.json")).toBe("https://host/a/b%20c%23.json?token=x");
    expect(joinLocation("C:\\models\\", "b.json")).toBe("C:\\models\\b.json");
    expect(joinLocation("", "b.json")).toBe("b.json");
  });
});

describe.each([
  ["Node", nodePlatform],
  ["a browser", browserPlatform],
])("over HTTP in %s", (_, platform) => {
  let server: FileServer;
  let base: string;

  beforeAll(async () => {
    server = new FileServer(
      {
        ...below("/plain/"),
        ...below("/pages/"),
        ...below("/private/"),
        "/set/m-00001-of-00002.gguf": shard(0),
        "/set/m-00002-of-00002.gguf": shard(1),
        "/model without extension": GGUF,
      },
      Object.fromEntries(
        ["tokenizer_config.json", "chat_template.jinja", "generation_config.json", "special_tokens_map.json"].flatMap(
          (name) => [
            [`/pages/hf/${name}`, page],
            [`/private/hf/${name}`, status(403)],
          ],
        ),
      ),
    );
    base = await server.listen();
  });
  afterAll(() => server.close());

  // Servers of pages and of objects answer otherwise for what is not there.
  it.each(["plain/hf", "plain/hf/", "plain/hf/model.safetensors", "pages/hf", "private/hf", "plain/hf?key=1"])(
    "opens the folder %s",
    async (path) => {
      const checkpoint = await openCheckpoint(`${base}/${path}`, platform);
      expect(checkpoint.format).toBe("safetensors");
      expect(checkpoint.tensors.get("blk.0.ffn_down.weight")).toMatchObject({ rows: 8, cols: 12 });
      const into = new Uint8Array(8);
      await checkpoint.tensors.get("token_embd.weight")?.read(4, into);
      expect([...new Float32Array(into.buffer)]).toEqual([1, 2]);
      await checkpoint.close();
    },
  );

  it("opens all shards of a set, asking each as the first was asked", async () => {
    const checkpoint = await openCheckpoint(`${base}/set/m-00002-of-00002.gguf?download=true`, platform);
    expect([...checkpoint.tensors.keys()].sort()).toEqual(["t0", "t1"]);
    await checkpoint.close();
  });

  it("opens a file whose name says nothing", async () => {
    const checkpoint = await openCheckpoint(`${base}/model%20without%20extension`, platform);
    expect(checkpoint.format).toBe("gguf");
    await checkpoint.close();
  });

  it("says what is not there", async () => {
    await expect(openCheckpoint(`${base}/none`, platform)).rejects.toThrow(NotFoundError);
    await expect(openCheckpoint(`${base}/none.gguf`, platform)).rejects.toThrow(/nothing at .*none\.gguf/);
  });
});

describe("hub models in a browser", () => {
  let server: HubServer;
  let files: typeof browserPlatform;

  beforeEach(async () => {
    server = new HubServer();
    files = { ...browserPlatform, hub: new HttpHub(await server.listen()) };
  });
  afterEach(() => server.close());

  it("opens the chosen GGUF file of one commit", async () => {
    server.files.set("tiny model-Q8_0.gguf", GGUF);
    server.files.set("tiny model-F16.gguf", GGUF.subarray(0, 100));
    const place = await resolveReference("hf:user/model", files);
    expect(new URL(place).pathname).toBe(`/user/model/resolve/${server.commit}/tiny%20model-Q8_0.gguf`);
    expect(server.contentRequests).toEqual([]);
    const checkpoint = await openCheckpoint(place, files);
    expect(checkpoint.architecture).toBe("llama");
    await checkpoint.close();
  });

  it("opens a folder", async () => {
    for (const [path, bytes] of Object.entries(FOLDER)) server.files.set(path.replace("hf/", ""), bytes);
    const place = await resolveReference("hf:user/model", files);
    const checkpoint = await openCheckpoint(place, files);
    expect(checkpoint.format).toBe("safetensors");
    expect(checkpoint.tensors.size).toBe(12);
    await checkpoint.close();
  });

  it("names what there is instead of a file that is not", async () => {
    server.files.set("a.gguf", GGUF);
    await expect(resolveReference("hf:user/model/b.gguf", files)).rejects.toThrow(/no file b\.gguf.*a\.gguf/);
    await expect(resolveReference("hf:user/model:Q4_0", files)).rejects.toThrow(NotFoundError);
    await expect(resolveReference("hf:user/other", files)).rejects.toThrow(/has no 'user\/other'/);
    await expect(resolveReference("hf:gated/model", files)).rejects.toThrow(NetworkError);
  });

  it("reads a listing of several pages, and ends one without end", async () => {
    const paged = new FileServer(
      {},
      {
        "/api/models/user/model/revision/main": (_, response) => response.end(JSON.stringify({ sha: "a".repeat(40) })),
        [`/api/models/user/model/tree/${"a".repeat(40)}`]: (_, response) => {
          const page = paged.requests.length - 2;
          const link = page < lastPage ? { Link: `<${paged.origin}${paged.requests.at(-1)?.path}>; rel="next"` } : {};
          response.writeHead(200, link).end(JSON.stringify([{ type: "file", path: `${page}.gguf`, size: 1 }]));
        },
      },
    );
    let lastPage = 2;
    const hub = new HttpHub(await paged.listen());
    expect((await hub.list("user/model")).map(({ path }) => path)).toEqual(["0.gguf", "1.gguf", "2.gguf"]);
    lastPage = Number.POSITIVE_INFINITY;
    await expect(hub.list("user/model")).rejects.toThrow(/more than \d+ files/);
    await paged.close();
  });
});

describe("the ways to name a model in Node", () => {
  let folder: string;
  let server: FileServer;
  const name = "100% böse #1?.gguf";

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "sluice url "));
    mkdirSync(join(folder, "sub"));
    writeFileSync(join(folder, "sub", name), GGUF);
    server = new FileServer({ "/my models/tiny.gguf": GGUF });
    await server.listen();
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true });
    await server.close();
  });

  const ways: [string, () => string | URL, () => string][] = [
    ["a path", () => join(folder, "sub", name), () => join(folder, "sub", name)],
    ["a file: URL", () => pathToFileURL(join(folder, "sub", name)), () => join(folder, "sub", name)],
    ["the text of a file: URL", () => pathToFileURL(join(folder, "sub", name)).href, () => join(folder, "sub", name)],
    ["a folder's URL", () => pathToFileURL(join(folder, "sub")), () => join(folder, "sub", name)],
    ["a URL", () => new URL(`${server.origin}/my models/tiny.gguf`), () => `${server.origin}/my%20models/tiny.gguf`],
    ["the text of a URL", () => `${server.origin}/my models/tiny.gguf`, () => `${server.origin}/my models/tiny.gguf`],
  ];

  it.each(ways)("%s", async (_, reference, location) => {
    const model = await load(reference(), { thread: false, backend: "reference" });
    expect([model.info.location, model.info.notes]).toEqual([location(), []]);
    const parts = model.session().generate([1, 2, 3], { temperature: 0, maxTokens: 5, ignoreEnd: true });
    const ids: (number | undefined)[] = [];
    for await (const part of parts) ids.push(part.id);
    const local = await load(join(folder, "sub", name), { thread: false, backend: "reference" });
    const expected: (number | undefined)[] = [];
    const again = local.session().generate([1, 2, 3], { temperature: 0, maxTokens: 5, ignoreEnd: true });
    for await (const part of again) expected.push(part.id);
    expect(ids).toEqual(expected);
    await model.dispose();
    await local.dispose();
  });

  it.each([
    ["file://server/share/model.gguf", ArgumentError, /is no path here/],
    ["s3://bucket/model.gguf", NotFoundError, /kind s3: are not read/],
    ["C:\\none\\model.gguf", NotFoundError, /no file or folder C:/],
    [new URL("file:///none/model.gguf"), NotFoundError, /no file or folder \/none\/model\.gguf/],
  ])("refuses %s", async (reference, type, message) => {
    const loaded = load(reference, { thread: false });
    await expect(loaded).rejects.toThrow(type);
    await expect(loaded).rejects.toThrow(message);
  });
});
