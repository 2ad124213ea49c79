/**
 * fetch as the hub's questions use it, with an end in any case: a server that sends nothing for long, answers without end,
 * or lists page after page, perhaps in a circle, is given up with an error that says so.
 */
import { NetworkError } from "../util/errors.js";
import { counted } from "../util/figures.js";
import { withinIdle } from "./http-request.js";

export interface HubLimits {
  /** So long without a byte a server is given up. */
  readonly idleMs: number;
  /** An answer to a question (not a file), and a listing of all its pages, takes at most so long, a page so many bytes. */
  readonly answerMs: number;
  readonly answerBytes: number;
  /** More pages and entries than a listing of any model has. */
  readonly pages: number;
  readonly entries: number;
}

export const HUB_LIMITS: HubLimits = {
  idleMs: 60_000,
  answerMs: 300_000,
  answerBytes: 2 ** 24,
  pages: 500,
  entries: 100_000,
};

/** Details of an error of a server that did answer: what was fetched before takes its place only where none does. */
export const ANSWERED = { answered: true };

/** For questions whose answers are read whole. */
export function answerFetch(limits: HubLimits, signal: AbortSignal | undefined): typeof fetch {
  return async (input, init) => {
    const given = new AbortController();
    const until = AbortSignal.timeout(limits.answerMs);
    const signals = [given.signal, until, ...(signal ? [signal] : [])];
    const ask = fetch(input, { ...init, signal: AbortSignal.any(signals) });
    try {
      const response = await withinIdle(ask, limits.idleMs);
      return bounded(response, limits, until);
    } catch (error) {
      given.abort();
      throw until.aborted ? tooSlow(limits) : error;
    }
  };
}

/** For the pages of one listing: each is asked for once, of the same server. */
export function listingFetch(ask: typeof fetch, endpoint: string, limits: HubLimits): typeof fetch {
  const asked = new Set<string>();
  const began = performance.now();
  return (input, init) => {
    if (performance.now() - began > limits.answerMs) throw tooSlow(limits);
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.origin !== new URL(endpoint).origin) {
      // The token would go along.
      throw new NetworkError(
        `The listing of ${endpoint} goes on at another server, ${url.origin}: it is not followed.`,
        ANSWERED,
      );
    }
    if (asked.has(url.href))
      throw new NetworkError(`The listing of ${endpoint} leads in a circle: ${url.href} again.`, ANSWERED);
    asked.add(url.href);
    if (asked.size <= limits.pages) return ask(input, init);
    throw new NetworkError(
      `The listing of ${endpoint} has more than ${limits.pages} pages: no model has so many files.`,
      ANSWERED,
    );
  };
}

/** The same response, whose body ends with an error where it breaks a limit. */
function bounded(response: Response, limits: HubLimits, until: AbortSignal): Response {
  if (!response.body) return response;
  const reader = response.body.getReader();
  let bytes = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { value } = await withinIdle(reader.read(), limits.idleMs);
        if (!value) return controller.close();
        bytes += value.length;
        if (bytes > limits.answerBytes) throw tooLong(limits);
        controller.enqueue(value);
      } catch (error) {
        void reader.cancel().catch(() => {});
        controller.error(until.aborted ? tooSlow(limits) : error);
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
  const { status, statusText, headers, url } = response;
  // A response that is made has no URL of its own, and the library asks for it.
  return Object.defineProperty(new Response(body, { status, statusText, headers }), "url", { value: url });
}

function tooLong({ answerBytes }: HubLimits): NetworkError {
  return new NetworkError(
    `The server's answer has more than ${counted(answerBytes, "byte")}: no hub says so much. Check HF_ENDPOINT.`,
    ANSWERED,
  );
}

function tooSlow({ answerMs }: HubLimits): NetworkError {
  return new NetworkError(`The server's answer was not whole after ${answerMs / 1000} seconds. Try again later.`);
}
