/** Files behind URLs, for browsers and Node: read in large blocks, and in browsers kept for the next visit. */
import { NetworkError, NotFoundError } from "../util/errors.js";
import type { ByteSource, OpenOptions } from "../util/platform.js";
import { BlockSource } from "./block-source.js";
import type { Shelf } from "./block-store-browser.js";
import { type KnownFile, openRemote, PROBE_BYTES, type RemoteFile } from "./remote-file.js";

/** A relative URL as an absolute one: a worker would resolve it against its own script. Hub references stay. */
export function absoluteUrl(location: string): string {
  const hasScheme = /^[a-z][a-z\d+.-]+:/i.test(location);
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  if (hasScheme || base === undefined || !URL.canParse(location, base)) return location;
  return new URL(location, base).href;
}

/** Opens a URL. @throws NotFoundError, NetworkError, MemoryError, CancelledError */
export async function openUrl(url: string, options: OpenOptions = {}, shelf?: Shelf): Promise<ByteSource> {
  const { signal, onNote = () => {} } = options;
  const known = shelf?.known;
  const file = await openRemote(url, { signal, known }).catch((error) => keptFile(url, error, known, onNote));
  // The first answer had all of a small file.
  const blocks = file.size > PROBE_BYTES ? await shelf?.open(file, onNote) : undefined;
  return new BlockSource(file, blocks, signal);
}

/** Without an answer, what is kept may still be all that is needed. */
function keptFile(url: string, error: unknown, known: KnownFile | undefined, note: (text: string) => void): RemoteFile {
  const isUnreachable = error instanceof NetworkError && error.details.status === undefined;
  if (!known || !isUnreachable) throw error;
  note(`${url} cannot be reached; what was stored of it is used.`);
  return { url, ...known, read: () => Promise.reject(error) };
}

/** "file" when the URL answers, undefined when it says that nothing is there. */
export async function listUrl(url: string, options: OpenOptions = {}): Promise<"file" | undefined> {
  // Who opens it will see.
  if (/^(blob|data):|\.(gguf|safetensors)([?#]|$)/i.test(url)) return "file";
  try {
    await (await openRemote(url, { signal: options.signal })).close?.();
    return "file";
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}
