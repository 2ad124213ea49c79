/**
 * A file behind a URL: random access by range requests where the server answers them, and as a whole, held in memory, where
 * it does not. The first request, for the beginning of the file, tells which.
 */
import { FormatError, MemoryError, NetworkError, NotFoundError } from "../util/errors.js";
import { connectionError, discard, mayPass, piecesOf, request, withRetries } from "./http-request.js";

/**
 * How much the first request asks for: more than one byte, which Vite's servers take for all, and enough for small files.
 */
export const PROBE_BYTES = 256 * 1024;
/** Where the file is kept already, only what it is now is asked for. */
const KNOWN_PROBE_BYTES = 2;
/** Most bytes of a file that is held as a whole: what one buffer may have in all browsers. */
const WHOLE_BYTES = 2 ** 31 - 2 ** 16;

/** What the first answer told of a file. */
export interface RemoteFile {
  readonly url: string;
  readonly size: number;
  /** Tells versions of the file apart: the server's ETag, or else its time of change; undefined where it names neither. */
  readonly version: string | undefined;
  /** Fills `into` from `offset`; the range lies in the file. @throws NetworkError, CancelledError */
  read(offset: number, into: Uint8Array, signal: AbortSignal): Promise<void>;
  close?(): Promise<void>;
}

/** A version of a file of which something is kept. */
export interface KnownFile {
  readonly size: number;
  readonly version: string;
}

export interface RemoteOptions {
  readonly signal?: AbortSignal | undefined;
  readonly known?: KnownFile | undefined;
  /** So long without a byte the server is given up; default as of every request. */
  readonly idleMs?: number | undefined;
}

/** @throws NotFoundError, NetworkError, MemoryError for a file without ranges that is too large, CancelledError */
export async function openRemote(url: string, options: RemoteOptions = {}): Promise<RemoteFile> {
  const { signal, known, idleMs } = options;
  const isRefusal = (error: unknown) => mayPass(error) && error instanceof NetworkError && "status" in error.details;
  const probeBytes = known ? KNOWN_PROBE_BYTES : PROBE_BYTES;
  const probe = { range: { start: 0, end: probeBytes }, signal, idleMs };
  const response = await withRetries(() => request(url, probe), isRefusal, signal).catch((error: unknown) => {
    if (!refusesRanges(error)) throw error;
    return request(url, { signal, idleMs });
  });
  const range = contentRange(response);
  if (response.status === 206 && range?.start === 0 && range.total !== undefined && !isEncoded(response)) {
    const length = Math.min(probeBytes, range.end, range.total);
    const first = await firstBytes(response, length, options);
    checkNoPage(url, response, first);
    // A server that ends early here has said nothing wrong of ranges: the rest is asked for when it is read.
    return new RangedFile(url, range.total, versionOf(response), first, idleMs);
  }
  if (response.status === 416 && range?.total === 0) return new WholeFile(url, new Uint8Array(0), versionOf(response));
  if (response.status === 200) {
    const isKnown = known && versionOf(response) === known.version && toldLength(response) === known.size;
    return isKnown ? new UnreadFile(url, known, response) : await wholeFile(url, response, options);
  }
  await discard(response);
  return await wholeFile(url, await request(url, { signal, idleMs }), options);
}

/** Servers that know no ranges should ignore them; some refuse the request. */
function refusesRanges(error: unknown): boolean {
  return error instanceof NetworkError && [400, 405, 501].includes(Number(error.details.status));
}

/** What a Content-Range header says; the end is the byte behind the last. */
function contentRange(response: Response) {
  const match = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(response.headers.get("Content-Range") ?? "");
  if (!match) return undefined;
  const [, start, last, total] = match;
  return { start: Number(start ?? 0), end: Number(last ?? -1) + 1, total: total === "*" ? undefined : Number(total) };
}

/** Ranges of a compressed body are no ranges of the file. */
function isEncoded(response: Response): boolean {
  return !/^(identity)?$/i.test(response.headers.get("Content-Encoding") ?? "");
}

/** The length of the file that is coming, where the header says it. */
function toldLength(response: Response): number | undefined {
  const told = response.headers.get("Content-Length");
  return told === null || isEncoded(response) || !/^\d+$/.test(told) ? undefined : Number(told);
}

function versionOf(response: Response): string | undefined {
  // A weak ETag and a strong one of the same text are of one version: servers weaken those of answers that they compress.
  return response.headers.get("ETag")?.replace(/^W\//, "") ?? response.headers.get("Last-Modified") ?? undefined;
}

/** Servers of single-page applications answer unknown paths with their page. @throws NotFoundError */
function checkNoPage(url: string, response: Response, first: Uint8Array): void {
  if (!/^\s*text\/html/i.test(response.headers.get("Content-Type") ?? "")) return;
  if (!/^\s*<(!doctype|!--|html|head|\?xml)/i.test(new TextDecoder().decode(first.subarray(0, 256)))) return;
  throw new NotFoundError(
    `Expected a file at '${url}'; the server sent an HTML page instead of a model (status ${response.status}), as many ` +
      "servers do for paths that they do not have. Check the address, and whether the file is where the server looks.",
    { url, status: response.status, contentType: response.headers.get("Content-Type") },
  );
}

/** Up to `length` bytes from the body, whose rest is not fetched. */
async function firstBytes(response: Response, length: number, options: RemoteOptions): Promise<Uint8Array> {
  const into = new Uint8Array(length);
  const done = await fill(response, into, options);
  return into.subarray(0, done);
}

/**
 * Copies the body piece by piece (`into` may view shared memory); returns the bytes that came, at most those that fit, also
 * when the connection broke behind them.
 */
async function fill(response: Response, into: Uint8Array, { signal, idleMs }: RemoteOptions): Promise<number> {
  let done = 0;
  try {
    for await (const value of piecesOf(response, idleMs)) {
      const piece = value.subarray(0, into.length - done);
      into.set(piece, done);
      done += piece.length;
      if (done === into.length) break;
    }
  } catch (error) {
    if (done === 0 || signal?.aborted) throw connectionError(response.url, error, signal);
  }
  return done;
}

/** A file whose server answers range requests. */
class RangedFile implements RemoteFile {
  private readonly first: Uint8Array;

  constructor(
    readonly url: string,
    readonly size: number,
    readonly version: string | undefined,
    first: Uint8Array,
    private readonly idleMs: number | undefined,
  ) {
    this.first = first;
  }

  async read(offset: number, into: Uint8Array, signal: AbortSignal): Promise<void> {
    const known = this.first.subarray(offset, offset + into.length);
    into.set(known);
    for (let done = known.length; done < into.length; ) {
      const rest = into.subarray(done);
      // A server may send less than was asked for: what is missing is asked for anew.
      done += await withRetries(() => this.readSome(offset + done, rest, signal), mayPass, signal);
    }
  }

  /** At least one byte. */
  private async readSome(start: number, into: Uint8Array, signal: AbortSignal): Promise<number> {
    const { idleMs } = this;
    const response = await request(this.url, { range: { start, end: start + into.length }, signal, idleMs });
    const range = contentRange(response);
    try {
      this.check(response, start, range);
      const done = await fill(response, into, { signal, idleMs });
      if (done > 0) return done;
    } catch (error) {
      await discard(response);
      throw error;
    }
    throw new NetworkError(`The server of '${this.url}' sent nothing where bytes from ${start} on were asked for.`, {
      url: this.url,
      offset: start,
    });
  }

  /** @throws NetworkError when the file is no longer the one that was opened, or the bytes are others than were asked for */
  private check(response: Response, start: number, range: ReturnType<typeof contentRange>): void {
    const version = versionOf(response);
    const sizeChanged = range?.total !== undefined && range.total !== this.size;
    if (sizeChanged || (version !== undefined && this.version !== undefined && version !== this.version)) {
      throw changed(this.url, start);
    }
    if (response.status === 206 && range?.start === start && !isEncoded(response)) return;
    throw new NetworkError(
      `The server of '${this.url}' sent other bytes than were asked for (from byte ${start}): status ${response.status}, ` +
        `Content-Range '${response.headers.get("Content-Range") ?? ""}'.`,
      { url: this.url, status: response.status, offset: start },
    );
  }
}

/** A file that was fetched as a whole. */
class WholeFile implements RemoteFile {
  private readonly bytes: Uint8Array;

  constructor(
    readonly url: string,
    bytes: Uint8Array,
    readonly version: string | undefined,
  ) {
    this.bytes = bytes;
  }

  get size(): number {
    return this.bytes.length;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    into.set(this.bytes.subarray(offset, offset + into.length));
  }
}

/** A file of a server without ranges, of which all blocks may be kept: the answer is read when one is not. */
class UnreadFile implements RemoteFile {
  private readonly response: Response;
  private whole: Promise<RemoteFile> | undefined;

  constructor(
    readonly url: string,
    private readonly known: KnownFile,
    response: Response,
  ) {
    this.response = response;
  }

  get size(): number {
    return this.known.size;
  }

  get version(): string {
    return this.known.version;
  }

  async read(offset: number, into: Uint8Array, signal: AbortSignal): Promise<void> {
    this.whole ??= wholeFile(this.url, this.response, { signal });
    const whole = await this.whole;
    if (whole.size !== this.size || whole.version !== this.version) throw changed(this.url, offset);
    await whole.read(offset, into, signal);
  }

  async close(): Promise<void> {
    if (!this.whole) await discard(this.response);
  }
}

/** Reads all of the body; when its connection breaks, the file is asked for anew. */
async function wholeFile(url: string, first: Response, options: RemoteOptions): Promise<RemoteFile> {
  const { signal, idleMs } = options;
  let next: Response | undefined = first;
  return await withRetries(
    async () => {
      const response = next ?? (await request(url, { signal, idleMs }));
      next = undefined;
      const bytes = await wholeBody(url, response, options);
      checkNoPage(url, response, bytes);
      return new WholeFile(url, bytes, versionOf(response));
    },
    mayPass,
    signal,
  );
}

async function wholeBody(url: string, response: Response, { signal, idleMs }: RemoteOptions): Promise<Uint8Array> {
  const told = toldLength(response);
  if (told !== undefined && told > WHOLE_BYTES) {
    await discard(response);
    throw tooLarge(url, told);
  }
  // What the header says is a good guess and no more: an encoding may be hidden from pages of other origins.
  let bytes = new Uint8Array(told ?? PROBE_BYTES);
  let done = 0;
  try {
    for await (const piece of piecesOf(response, idleMs)) {
      if (done + piece.length > WHOLE_BYTES) throw tooLarge(url, null);
      if (done + piece.length > bytes.length) bytes = grown(bytes, done, done + piece.length);
      bytes.set(piece, done);
      done += piece.length;
    }
  } catch (error) {
    throw connectionError(url, error, signal);
  }
  return done === bytes.length ? bytes : bytes.slice(0, done);
}

function grown(bytes: Uint8Array, done: number, least: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.min(WHOLE_BYTES, Math.max(2 * bytes.length, least)));
  larger.set(bytes.subarray(0, done));
  return larger;
}

function tooLarge(url: string, neededBytes: number | null): MemoryError {
  const found = neededBytes === null ? "an unknown length, and more than that came" : `${neededBytes} bytes`;
  return new MemoryError(
    `The server of '${url}' does not answer range requests (or does not show Content-Range to other origins), and a file ` +
      `that is held as a whole may have ${WHOLE_BYTES} bytes; this one has ${found}. Serve it from one that does, ` +
      "with Access-Control-Expose-Headers: Content-Range, ETag.",
    { neededBytes, availableBytes: WHOLE_BYTES },
  );
}

function changed(url: string, offset: number): NetworkError {
  const message = `'${url}' was changed on the server while it was read. Load it again.`;
  return new NetworkError(message, { url, changed: true, offset });
}

/** The error for bytes that the file does not have. */
export function endsEarly(file: { readonly url: string; readonly size: number }, offset: number, length: number) {
  return new FormatError(
    `'${file.url}' ends too early: expected ${length} bytes at offset ${offset}; it has ${file.size}.`,
    { offset, expectedBytes: length, fileBytes: file.size, truncated: true },
  );
}
