/**
 * Serves a folder and single files to a browser, with ranges (RFC 9110, section 14) and the headers that a page needs for
 * threads, or without them.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript" };

/** Those of docs/browser.md. */
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};
const POLICY =
  "default-src 'self'; connect-src 'self' blob:; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:";

/** For pages of other origins. */
const SHARED_FILE = { "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Content-Range, ETag" };

export interface StaticServerOptions {
  readonly folder: string;
  /** Paths of the URL to files elsewhere, which pages of other origins may read. */
  readonly files: Readonly<Record<string, string>>;
  /** Sends what cross-origin isolation needs. */
  readonly isolated: boolean;
  /** Content-Security-Policy; default: as strict as can be. */
  readonly policy?: string;
  /** Requests whose path matches are answered with 404. */
  readonly missing?: RegExp;
  /** Ranges are not heeded. */
  readonly withoutRanges?: boolean;
}

export class StaticServer {
  /** Path and range of each request. */
  readonly requests: { readonly path: string; readonly range: string | undefined }[] = [];
  /** Ranges that begin here or later are never answered. */
  holdsFrom = Number.POSITIVE_INFINITY;
  private readonly server: Server = createServer((request, response) => this.answer(request, response));

  constructor(private readonly options: StaticServerOptions) {}

  /** Resolves to the origin. */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    const address = this.server.address();
    if (typeof address !== "object" || !address) throw new Error("no address");
    return `http://127.0.0.1:${address.port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private answer(request: IncomingMessage, response: ServerResponse): unknown {
    const path = new URL(request.url ?? "", "http://server").pathname;
    const { range } = request.headers;
    this.requests.push({ path, range });
    const { files, folder, isolated, missing, policy = POLICY } = this.options;
    const isFile = Object.hasOwn(files, path);
    const headers = { ...(isolated && ISOLATION), ...(isFile && SHARED_FILE), "Content-Security-Policy": policy };
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (missing?.test(path)) return response.writeHead(404).end();
    const file = isFile ? files[path] : join(folder, normalize(path));
    let bytes: Buffer;
    try {
      bytes = readFileSync(file);
    } catch {
      return response.writeHead(404).end();
    }
    response.setHeader("Content-Type", TYPES[extname(file)] ?? "application/octet-stream");
    response.setHeader("ETag", `"${createHash("sha256").update(bytes).digest("hex")}"`);
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
    if (Number(from) >= this.holdsFrom) return undefined;
    if (from === undefined || this.options.withoutRanges) return response.writeHead(200).end(bytes);
    const part = bytes.subarray(Number(from), Number(to) + 1);
    const last = Number(from) + part.length - 1;
    return response.writeHead(206, { "Content-Range": `bytes ${from}-${last}/${bytes.length}` }).end(part);
  }
}
