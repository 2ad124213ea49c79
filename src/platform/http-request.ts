/**
 * One HTTP request for bytes, whole or by range (RFC 9110, section 14), with typed errors. What passes by itself (no answer,
 * overload, a connection that breaks) is tried again after a pause that grows.
 */
import { CancelledError, NetworkError, NotFoundError, SluiceError } from "../util/errors.js";

/** The pause before the first further try; each next one is four times as long. */
const FIRST_PAUSE_MS = 250;
const TRIES = 4;
/** A server may ask for a longer pause, up to this. */
const LONGEST_PAUSE_MS = 20_000;
/** Timeout, too early, too many requests, and what a server says of itself that may pass. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

/** So long without an answer, or a further piece of it, a server is given up (and tried again). */
export const IDLE_MS = 30_000;

export interface RequestOptions {
  /** First byte and the one behind the last; default: the whole. */
  readonly range?: { readonly start: number; readonly end: number };
  readonly signal?: AbortSignal | undefined;
  /** Default IDLE_MS. */
  readonly idleMs?: number | undefined;
}

/**
 * The answer: 2xx, or 416 for a range that is not there.
 * @throws NotFoundError for 404 and 410, NetworkError for other refusals and when there is no answer, CancelledError
 */
export async function request(url: string, options: RequestOptions = {}): Promise<Response> {
  const { range, signal, idleMs = IDLE_MS } = options;
  const stalled = new AbortController();
  let response: Response;
  try {
    const headers = range ? { Range: `bytes=${range.start}-${range.end - 1}` } : undefined;
    // A browser's cache would answer for a file that has changed, and keep a second copy of what is stored.
    const asked = fetch(url, {
      cache: "no-store",
      ...(headers && { headers }),
      signal: either(signal, stalled.signal),
    });
    response = await withinIdle(asked, idleMs);
  } catch (error) {
    stalled.abort();
    throw connectionError(url, error, signal);
  }
  const { status } = response;
  if (response.ok || status === 416) return response;
  await discard(response);
  if (status === 404 || status === 410)
    throw new NotFoundError(`There is nothing at '${url}' (status ${status}). Check the address.`, { url, status });
  const login = status === 401 || status === 403 ? ": it may need a login, or the address has expired" : "";
  const pauseMs = 1000 * Number(response.headers.get("Retry-After") ?? Number.NaN);
  throw new NetworkError(`The server refuses '${url}' (status ${status})${login}.`, {
    url,
    status,
    ...(pauseMs > 0 && { pauseMs }),
  });
}

/** Aborted with either; engines without `any` keep the caller's. */
function either(given: AbortSignal | undefined, own: AbortSignal): AbortSignal {
  if (!given) return own;
  return "any" in AbortSignal ? AbortSignal.any([given, own]) : given;
}

/** What a promise resolves to. @throws NetworkError when that takes too long */
export async function withinIdle<T>(work: Promise<T>, idleMs: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const idle = new Promise<never>((_, reject) => {
    const message = `The server sent nothing for ${idleMs / 1000} seconds. Try again: a download goes on where it was.`;
    timer = setTimeout(() => reject(new NetworkError(message, { idleMs })), idleMs);
  });
  try {
    return await Promise.race([work, idle]);
  } finally {
    clearTimeout(timer);
    // Where the time was over, nobody waits for it any more.
    work.catch(() => {});
  }
}

/** The pieces of a body, each within the time; it is let go of at the end, however that comes. */
export async function* piecesOf(response: Response, idleMs = IDLE_MS): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      const { value } = await withinIdle(reader.read(), idleMs);
      if (!value) return;
      yield value;
    }
  } finally {
    void reader.cancel().catch(() => {});
  }
}

/** The typed form of what `fetch` or the reading of its body throws. */
export function connectionError(url: string, error: unknown, signal: AbortSignal | undefined): SluiceError {
  if (signal?.aborted) return new CancelledError(`Reading '${url}' was cancelled.`, { url });
  if (error instanceof SluiceError) return error;
  return new NetworkError(
    `'${url}' cannot be reached: ${reason(error)}. Check the network; in a page, a server of another origin must also ` +
      "allow it to read the file (CORS).",
    { url },
    { cause: error },
  );
}

/** Node's fetch says only "fetch failed"; its cause says why. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.cause.message !== "" ? error.cause.message : error.message;
}

/** Lets go of a body that nobody reads. */
export async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => {});
}

/** Whether the same may go well a little later. */
export function mayPass(error: unknown): boolean {
  if (!(error instanceof NetworkError)) return false;
  const { status, changed } = error.details;
  return changed !== true && (status === undefined || PASSING.has(Number(status)));
}

/** Tries again, at most `TRIES` times in all, while `again` says so of the error. @throws the last error, CancelledError */
export async function withRetries<T>(
  action: () => Promise<T>,
  again: (error: unknown) => boolean,
  signal: AbortSignal | undefined,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await action();
    } catch (error) {
      if (tries === TRIES || !again(error)) throw error;
      const asked = error instanceof NetworkError ? Number(error.details.pauseMs ?? 0) : 0;
      await pause(Math.max(FIRST_PAUSE_MS * 4 ** (tries - 1), Math.min(asked, LONGEST_PAUSE_MS)), signal);
    }
  }
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancelled = () => {
      clearTimeout(timer);
      reject(new CancelledError("Reading was cancelled while waiting for a server."));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", cancelled);
      resolve();
    }, ms);
    if (signal?.aborted) cancelled();
    else signal?.addEventListener("abort", cancelled, { once: true });
  });
}
