// Files behind URLs, from servers as they are met in the field. Fetch is the same in browsers and Node.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BLOCK_BYTES } from "../../src/platform/block-source.js";
import { browserPlatform } from "../../src/platform/browser.js";
import { nodePlatform } from "../../src/platform/node.js";
import { openRemote } from "../../src/platform/remote-file.js";
import {
  CancelledError,
  FormatError,
  MemoryError,
  NetworkError,
  NotFoundError,
  type SluiceError,
} from "../../src/util/errors.js";
import * as serve from "./file-server.js";

const BYTES = Uint8Array.from({ length: 600_000 }, (_, i) => (i * 7 + (i >> 8)) & 255);
const LARGE = new Uint8Array(3 * BLOCK_BYTES + 1000).map((_, i) => (i * 5 + (i >> 10)) & 255);
const SMALL = BYTES.subarray(0, 500);

/** Of two requests, the first is answered otherwise. */
function first(answer: serve.Answer, then: serve.Answer = serve.ranged, times = 1): serve.Answer {
  let count = 0;
  return (request, response, bytes) => (count++ < times ? answer : then)(request, response, bytes);
}

/** The probe is answered well, the request behind it with `answer`, and then all well again. */
function second(answer: serve.Answer): serve.Answer {
  return first(serve.ranged, first(answer));
}

const broken: serve.Answer = (request, response, bytes) => {
  const [from, to] = serve.rangeOf(request, bytes.length);
  response.writeHead(206, { ETag: '"one"', "Content-Range": `bytes ${from}-${to}/${bytes.length}` });
  response.write(bytes.subarray(from, from + 100_000), () => response.destroy());
};

const cut: serve.Answer = (_, response) => response.destroy();

const WELL: Record<string, serve.Answer> = {
  "with ranges": serve.ranged,
  "that take one byte for all": serve.wholeForOneByte,
  "without ranges": serve.withoutRanges,
  "without ranges or a length": serve.chunked,
  "that compress, ranges too": serve.gzipped,
  "that send at most 70,000 bytes at once": serve.sparing(70_000),
  "that answer ranges with 416": (request, response, bytes) =>
    (request.range ? serve.status(416) : serve.withoutRanges)(request, response, bytes),
  "that answer HEAD wrongly": (request, response, bytes) =>
    (request.method === "HEAD" ? serve.status(405) : serve.ranged)(request, response, bytes),
  "that hide how long the file is": (request, response, bytes) => {
    const [from, to] = serve.rangeOf(request, bytes.length);
    if (!request.range) return response.writeHead(200).end(bytes);
    return response.writeHead(206, { "Content-Range": `bytes ${from}-${to}/*` }).end(bytes.subarray(from, to + 1));
  },
  "that send partial content without saying which": (request, response, bytes) =>
    request.range ? response.writeHead(206).end(bytes.subarray(0, 100)) : serve.withoutRanges(request, response, bytes),
  "that are overloaded at first": first(serve.status(503, { "Retry-After": "0" })),
  "that are overloaded later": second(serve.status(429)),
  "whose connection breaks in the middle": second(broken),
  "whose connection breaks before anything came": second(cut),
  "whose connection breaks, without ranges": first((_, response, bytes) => {
    response.writeHead(200, { "Content-Length": bytes.length });
    response.write(bytes.subarray(0, 1000), () => response.destroy());
  }, serve.withoutRanges),
  "that refuse ranges as a wrong request": (request, response, bytes) =>
    (request.range ? serve.status(400) : serve.withoutRanges)(request, response, bytes),
  "that refuse ranges as something they do not do": (request, response, bytes) =>
    (request.range ? serve.status(501) : serve.withoutRanges)(request, response, bytes),
  "that weaken the ETag of some answers": first(
    serve.rangedWith(() => ({ ETag: 'W/"one"' })),
    serve.rangedWith(() => ({ ETag: '"one"' })),
  ),
  "that name a time instead of an ETag": serve.rangedWith(() => ({ "Last-Modified": "Mon, 30 Nov 2026 10:00:00 GMT" })),
};

const ILL: Record<string, [serve.Answer, new (...args: never[]) => SluiceError, RegExp]> = {
  "an HTML page": [serve.page, NotFoundError, /HTML page instead of a model/],
  "404": [serve.nothing, NotFoundError, /nothing at .*404/],
  "410": [serve.status(410), NotFoundError, /410/],
  "403": [serve.status(403), NetworkError, /refuses .*403.*login/],
  "a length that no memory holds": [
    (_, response) => {
      response.writeHead(200, { "Content-Length": 2 ** 40 }).write("GGUF");
    },
    MemoryError,
    /range requests.*1099511627776 bytes/,
  ],
};

const LATER: Record<string, [serve.Answer, new (...args: never[]) => SluiceError, RegExp]> = {
  "another version of the file": [
    serve.rangedWith(() => ({ ETag: '"two"' })),
    NetworkError,
    /was changed on the server while it was read. Load it again/,
  ],
  "another size": [
    (request, response) => serve.ranged(request, response, LARGE.subarray(0, BYTES.length + 1)),
    NetworkError,
    /was changed/,
  ],
  "other bytes than were asked for": [
    (request, response, bytes) => {
      const [from, to] = serve.rangeOf(request, bytes.length);
      const range = `bytes ${from + 1}-${to}/${bytes.length}`;
      return response.writeHead(206, { "Content-Range": range }).end(bytes.subarray(from + 1, to + 1));
    },
    NetworkError,
    /other bytes than were asked for/,
  ],
  "the whole file": [serve.withoutRanges, NetworkError, /other bytes than were asked for.*status 200/],
};

let server: serve.FileServer;
let base: string;
const pathOf = (name: string) => `/${name.replace(/\W+/g, "-")}.bin`;

beforeAll(async () => {
  const answers = [
    ...Object.entries(WELL),
    ...Object.entries(ILL).map(([name, [answer]]): [string, serve.Answer] => [name, answer]),
    ...Object.entries(LATER).map(([name, [answer]]): [string, serve.Answer] => [name, first(serve.ranged, answer)]),
  ];
  const files = Object.fromEntries(answers.map(([name]) => [pathOf(name), BYTES]));
  server = new serve.FileServer(
    {
      ...files,
      "/large.bin": LARGE,
      "/small.bin": SMALL,
      "/sub/my file 100%.bin": BYTES,
      "/empty.bin": SMALL.subarray(0, 0),
    },
    {
      ...Object.fromEntries(answers.map(([name, answer]) => [pathOf(name), answer])),
      "/moved.bin": serve.status(302, { Location: "/large.bin" }),
      "/hangs.bin": first(serve.ranged, (_, response) => response.writeHead(206).write("x")),
    },
  );
  base = await server.listen();
});

afterAll(() => server.close());

async function wholeOf(url: string, platform = nodePlatform): Promise<Uint8Array> {
  const source = await platform.open(url);
  const into = new Uint8Array(new SharedArrayBuffer(source.size));
  await source.read(0, into);
  await source.close();
  return into.slice();
}

const isSame = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

describe.each([
  ["Node", nodePlatform],
  ["a browser", browserPlatform],
])("in %s", (where, platform) => {
  // Each is answered once or twice otherwise: one platform has it.
  const names = Object.keys(WELL).filter((name) => where === "Node" || !/overloaded|breaks/.test(name));

  it.each(names)("reads files of servers %s", async (name) => {
    expect(isSame(await wholeOf(base + pathOf(name), platform), BYTES)).toBe(true);
  });

  it.each(Object.entries(ILL))("says what is wrong when %s comes", async (name, [, type, message]) => {
    const opened = platform.open(base + pathOf(name));
    await expect(opened).rejects.toThrow(type);
    await expect(opened).rejects.toThrow(message);
  });

  it("follows redirects, and takes names with spaces and percent signs", async () => {
    expect(isSame(await wholeOf(`${base}/moved.bin`, platform), LARGE)).toBe(true);
    expect(isSame(await wholeOf(`${base}/sub/my%20file%20100%25.bin`, platform), BYTES)).toBe(true);
    expect((await platform.open(`${base}/empty.bin`)).size).toBe(0);
  });
});

it.each(Object.entries(LATER))("notices when %s comes while the file is read", async (name, [, type, message]) => {
  const read = wholeOf(base + pathOf(name));
  await expect(read).rejects.toThrow(type);
  await expect(read).rejects.toThrow(message);
});

it("says who cannot be reached, and what pages need", async () => {
  await expect(nodePlatform.open("http://127.0.0.1:1/x.gguf")).rejects.toThrow(/cannot be reached.*CORS/);
});

describe("a server that falls silent", () => {
  const silent: serve.Answer = () => {};
  const silentBody: serve.Answer = (request, response, bytes) => {
    const [from, to] = serve.rangeOf(request, bytes.length);
    response.writeHead(206, { ETag: '"one"', "Content-Range": `bytes ${from}-${to}/${bytes.length}` });
    response.write(bytes.subarray(from, from + 1000));
  };
  const silentWhole: serve.Answer = (_, response, bytes) => {
    response.writeHead(200, { "Content-Length": bytes.length });
    response.write(bytes.subarray(0, 1000));
  };

  it.each([
    ["in its first answer", first(silentBody)],
    ["before a later answer", second(silent)],
    ["in a later answer", second(silentBody)],
    ["in the whole file", first(silentWhole, serve.withoutRanges)],
  ])("%s is asked again", async (_, answer) => {
    const quiet = new serve.FileServer({ "/a.bin": BYTES }, { "/a.bin": answer });
    const origin = await quiet.listen();
    try {
      const file = await openRemote(`${origin}/a.bin`, { idleMs: 300 });
      const into = new Uint8Array(file.size);
      await file.read(0, into, new AbortController().signal);
      expect(isSame(into, BYTES)).toBe(true);
    } finally {
      await quiet.close();
    }
  });

  it("is an error that says so, and cancelling does not wait for it", async () => {
    const quiet = new serve.FileServer({ "/a.bin": BYTES }, { "/a.bin": silent });
    const url = `${await quiet.listen()}/a.bin`;
    await expect(openRemote(url, { idleMs: 100 })).rejects.toThrow(NetworkError);
    await expect(openRemote(url, { idleMs: 100 })).rejects.toThrow(/sent nothing for 0.1 seconds/);
    const abort = new AbortController();
    const opened = openRemote(url, { signal: abort.signal });
    abort.abort();
    await expect(opened).rejects.toThrow(CancelledError);
    await quiet.close();
  });
});

describe("large files", () => {
  it("reads hundreds of tensors in parallel with one request for each 16 MiB", async () => {
    server.requests.splice(0);
    const source = await nodePlatform.open(`${base}/large.bin`);
    const length = 100_000;
    const starts = Array.from({ length: Math.ceil(LARGE.length / length) }, (_, i) => i * length);
    let wrong = 0;
    const lane = async () => {
      for (let at = starts.shift(); at !== undefined; at = starts.shift()) {
        const into = new Uint8Array(Math.min(length, LARGE.length - at));
        await source.read(at, into);
        if (!isSame(into, LARGE.subarray(at, at + into.length))) wrong++;
      }
    };
    await Promise.all([lane(), lane(), lane(), lane()]);
    await source.close();
    expect(wrong).toBe(0);
    expect(server.requests).toHaveLength(1 + 4);
  });

  it("asks once for a small file", async () => {
    server.requests.splice(0);
    expect(isSame(await wholeOf(`${base}/small.bin`), SMALL)).toBe(true);
    expect(server.requests).toHaveLength(1);
  });

  it("refuses what lies beyond the end", async () => {
    const source = await nodePlatform.open(`${base}/small.bin`);
    await expect(source.read(450, new Uint8Array(51))).rejects.toThrow(FormatError);
    await expect(source.read(-1, new Uint8Array(1))).rejects.toThrow(FormatError);
  });
});

describe("cancelling", () => {
  it("ends opening and reading", async () => {
    await expect(nodePlatform.open(`${base}/large.bin`, { signal: AbortSignal.abort() })).rejects.toThrow(
      CancelledError,
    );
    const abort = new AbortController();
    const source = await nodePlatform.open(`${base}/large.bin`, { signal: abort.signal });
    const read = source.read(0, new Uint8Array(LARGE.length));
    abort.abort();
    await expect(read).rejects.toThrow(CancelledError);
  });
});
