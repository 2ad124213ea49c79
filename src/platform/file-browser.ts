/**
 * Files behind URLs, for browsers: random access by HTTP range requests (RFC 9110, section 14).
 */
import { FormatError, NetworkError, NotFoundError, UnsupportedError } from "../util/errors.js";
import type { ByteSource } from "../util/platform.js";

/** A relative URL as an absolute one: a worker would resolve it against its own script. Hub references stay. */
export function absoluteUrl(location: string): string {
  const hasScheme = /^[a-z][a-z\d+.-]*:/i.test(location);
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  if (hasScheme || base === undefined || !URL.canParse(location, base)) return location;
  return new URL(location, base).href;
}

/** Opens a URL: one request for one byte tells the size. @throws NotFoundError, NetworkError, UnsupportedError */
export async function openUrl(url: string): Promise<ByteSource> {
  const response = await request(url, 0, 1);
  await response.body?.cancel();
  if (response.status === 416 && /^bytes \*\/0$/.test(response.headers.get("Content-Range") ?? "")) {
    return new UrlSource(url, 0);
  }
  const size = Number(/^bytes 0-0\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "")?.[1] ?? Number.NaN);
  if (response.status !== 206 || !Number.isSafeInteger(size)) {
    throw new UnsupportedError(
      `The server of '${url}' does not answer range requests (status ${response.status}). Serve the model from one that ` +
        "does, and expose the Content-Range header to other origins.",
      { url, status: response.status },
    );
  }
  return new UrlSource(url, size);
}

/** "file" when the URL answers, undefined when it says that nothing is there. Folders cannot be listed over HTTP. */
export async function listUrl(url: string): Promise<"file" | undefined> {
  try {
    const response = await request(url, 0, 1);
    await response.body?.cancel();
    return "file";
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

class UrlSource implements ByteSource {
  constructor(
    readonly name: string,
    readonly size: number,
  ) {}

  async read(offset: number, into: Uint8Array): Promise<void> {
    if (into.length === 0) return;
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + into.length > this.size)
      throw this.#missing(offset, into, 0);
    const response = await request(this.name, offset, into.length);
    const range = response.headers.get("Content-Range") ?? "";
    if (response.status !== 206 || !range.startsWith(`bytes ${offset}-${offset + into.length - 1}/`)) {
      await response.body?.cancel();
      throw new NetworkError(`The server of '${this.name}' sent other bytes than were asked for ('${range}').`, {
        status: response.status,
        offset,
      });
    }
    const done = await fill(response, into);
    if (done !== into.length) throw this.#missing(offset, into, done);
  }

  async close(): Promise<void> {}

  #missing(offset: number, into: Uint8Array, done: number): FormatError {
    return new FormatError(
      `'${this.name}' ends too early: expected ${into.length} bytes at offset ${offset}, found ${done}; it has ${this.size}.`,
      { offset, expectedBytes: into.length, fileBytes: this.size },
    );
  }
}

/** Copies the body piece by piece (`into` may view shared memory); returns the bytes that came, at most those that fit. */
async function fill(response: Response, into: Uint8Array): Promise<number> {
  const reader = response.body?.getReader();
  let done = 0;
  while (reader && done < into.length) {
    const { value } = await reader.read();
    if (!value) break;
    const piece = value.subarray(0, into.length - done);
    into.set(piece, done);
    done += piece.length;
  }
  await reader?.cancel();
  return done;
}

/** @throws NotFoundError for 404 and 410, NetworkError for other refusals and when there is no answer */
async function request(url: string, offset: number, length: number): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { headers: { Range: `bytes=${offset}-${offset + length - 1}` } });
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new NetworkError(
      `'${url}' cannot be reached: ${message}. A server of another origin must also allow this page to read it (CORS).`,
      { url },
      { cause },
    );
  }
  const { status } = response;
  if (response.ok || status === 416) return response;
  await response.body?.cancel();
  if (status === 404 || status === 410)
    throw new NotFoundError(`There is nothing at '${url}' (status ${status}).`, { url, status });
  throw new NetworkError(`The server refuses '${url}' (status ${status}).`, { url, status });
}
