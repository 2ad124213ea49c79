/** A server of one file that behaves as servers do: well, or in one of the ways that are met in the field. Counts requests. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";

export interface FileRequest {
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
}

export type Answer = (request: FileRequest, response: ServerResponse, bytes: Uint8Array) => unknown;

export class FileServer {
  readonly requests: FileRequest[] = [];
  origin = "";
  readonly #server: Server;

  /** `files`: the bytes of each path; `answers`: who answers for a path, default: as it should be. */
  constructor(
    readonly files: Readonly<Record<string, Uint8Array>>,
    private readonly answers: Readonly<Record<string, Answer>> = {},
  ) {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (typeof address !== "object" || !address) throw new Error("no address");
    this.origin = `http://127.0.0.1:${address.port}`;
    return this.origin;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer({ method = "", url = "", headers }: IncomingMessage, response: ServerResponse): unknown {
    const path = decodeURIComponent(new URL(url, "http://server").pathname);
    const request = { method, path, range: headers.range };
    this.requests.push(request);
    const bytes = this.files[path];
    const answer = this.answers[path] ?? (bytes ? ranged : nothing);
    return answer(request, response, bytes ?? new Uint8Array(0));
  }
}

/** First and last byte of a range request. */
export function rangeOf({ range }: FileRequest, length: number): [number, number] {
  const [, from = "0", to = String(length - 1)] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
  return [Number(from), Math.min(Number(to), length - 1)];
}

export const nothing: Answer = (_, response) => response.writeHead(404).end("nothing");

export const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    response.writeHead(code, headers).end();

/** As it should be, with an ETag and, where given, other headers. */
export const rangedWith =
  (headers: (request: FileRequest) => Record<string, string>): Answer =>
  (request, response, bytes) => {
    const [from, to] = rangeOf(request, bytes.length);
    if (!request.range) return response.writeHead(200, headers(request)).end(bytes);
    if (from >= bytes.length) return response.writeHead(416, { "Content-Range": `bytes */${bytes.length}` }).end();
    const range = `bytes ${from}-${to}/${bytes.length}`;
    return response.writeHead(206, { ...headers(request), "Content-Range": range }).end(bytes.subarray(from, to + 1));
  };

export const ranged = rangedWith(() => ({ ETag: '"one"' }));

/** Takes "bytes=0-0" for all, as Vite's servers do. */
export const wholeForOneByte: Answer = (request, response, bytes) =>
  ranged(
    request.range === "bytes=0-0" ? { ...request, range: `bytes=0-${bytes.length - 1}` } : request,
    response,
    bytes,
  );

export const withoutRanges: Answer = (_, response, bytes) =>
  response.writeHead(200, { ETag: '"one"', "Content-Length": bytes.length }).end(bytes);

/** Without ranges or length. */
export const chunked: Answer = (_, response, bytes) => {
  response.writeHead(200).write(bytes.subarray(0, 1000));
  response.end(bytes.subarray(1000));
};

/** Ranges of the compressed file, as some servers send, or all of it compressed. */
export const gzipped: Answer = (request, response, bytes) => {
  const packed = gzipSync(bytes);
  if (!request.range) return response.writeHead(200, { "Content-Encoding": "gzip" }).end(packed);
  const [from, to] = rangeOf(request, packed.length);
  const range = `bytes ${from}-${to}/${packed.length}`;
  const headers = { "Content-Encoding": "gzip", "Content-Range": range };
  return response.writeHead(206, headers).end(packed.subarray(from, to + 1));
};

/** At most `most` bytes at once. */
export const sparing =
  (most: number): Answer =>
  (request, response, bytes) => {
    const [from, to] = rangeOf(request, bytes.length);
    ranged({ ...request, range: `bytes=${from}-${Math.min(to, from + most - 1)}` }, response, bytes);
  };

/** The page of an application, whatever was asked for. */
export const page: Answer = (_, response) =>
  response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" }).end("<!doctype html><title>App</title>");
