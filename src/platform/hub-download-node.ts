/**
 * Downloads one file of the hub into the cache: appends to what an earlier try left, checks size and SHA-256, and only
 * then gives it its name.
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { downloadFile, type FileDownloadInfoOutput } from "@huggingface/hub";
import { FormatError, NetworkError } from "../util/errors.js";
import { counted } from "../util/figures.js";
import type { HubFetchOptions } from "../util/platform.js";
import { withinIdle } from "./http-request.js";
import type { PartialFile, RepoCache } from "./hub-cache-node.js";

/** Progress is told every so many bytes. */
const PROGRESS_BYTES = 2 ** 20;

export interface BlobRequest {
  readonly cache: RepoCache;
  readonly repo: string;
  readonly path: string;
  readonly revision: string;
  /** The content's name; its SHA-256 where it has 64 hexadecimal digits. */
  readonly etag: string;
  readonly info: FileDownloadInfoOutput;
  readonly access: { readonly hubUrl: string; readonly accessToken?: string };
  /** So long without a byte the server is given up. */
  readonly idleMs: number;
}

/** @throws NetworkError when the connection ends early, FormatError when the content is not what the hub announced */
export async function downloadBlob(request: BlobRequest, options: HubFetchOptions): Promise<void> {
  const { cache, etag } = request;
  let partial = await cache.claimPartial(etag);
  try {
    if (!(await isWholeAfter(request, partial, options))) {
      // What was there did not fit: once more from the start.
      if (partial.bytes === 0) throw mismatch(request);
      partial = await cache.emptyPartial(partial);
      if (!(await isWholeAfter(request, partial, options))) throw mismatch(request);
    }
  } catch (error) {
    if (error instanceof FormatError) await cache.emptyPartial(partial);
    await cache.releasePartial(etag, partial);
    throw error;
  }
  await cache.finishPartial(etag, partial);
}

/** Downloads what is missing; false when the result is not what the hub announced. */
async function isWholeAfter(request: BlobRequest, partial: PartialFile, options: HubFetchOptions): Promise<boolean> {
  const { size } = request.info;
  if (partial.bytes > size) return false;
  const hash = /^[0-9a-f]{64}$/.test(request.etag) ? createHash("sha256") : undefined;
  if (hash && partial.bytes > 0) for await (const chunk of createReadStream(partial.path)) hash.update(chunk);
  const file = await open(partial.path, "a");
  try {
    const done = await append(request, partial, file, hash, options);
    if (done < size) throw endedEarly(request, done);
    if (done > size) return false;
    await file.sync();
  } finally {
    await file.close();
  }
  return !hash || hash.digest("hex") === request.etag;
}

/** Appends what the hub sends; returns the bytes that are there then (at most one chunk more than announced). */
async function append(
  request: BlobRequest,
  partial: PartialFile,
  file: FileHandle,
  hash: Hash | undefined,
  { signal, onProgress }: HubFetchOptions,
): Promise<number> {
  const { size } = request.info;
  let done = partial.bytes;
  let told = done;
  onProgress?.(done, size);
  if (done === size) return done;
  const reader = (await contentFrom(request, done, signal)).getReader();
  // The reader is cancelled as well: not every way to download watches the signal.
  const cancel = () => void reader.cancel().catch(() => {});
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    while (done <= size) {
      const { value } = await withinIdle(reader.read(), request.idleMs);
      signal?.throwIfAborted();
      if (!value) break;
      await file.appendFile(value);
      hash?.update(value);
      done += value.length;
      if (done - told < PROGRESS_BYTES && done < size) continue;
      told = done;
      onProgress?.(Math.min(done, size), size);
    }
  } finally {
    signal?.removeEventListener("abort", cancel);
    cancel();
  }
  return done;
}

async function contentFrom(
  request: BlobRequest,
  offset: number,
  signal: AbortSignal | undefined,
): Promise<ReadableStream<Uint8Array>> {
  const { access, repo, path, revision, info } = request;
  const fetchWithSignal: typeof fetch = (input, init) => fetch(input, { ...init, ...(signal ? { signal } : {}) });
  const blob = await downloadFile({
    hubUrl: access.hubUrl,
    ...(access.accessToken !== undefined && { accessToken: access.accessToken }),
    repo,
    path,
    revision,
    downloadInfo: info,
    // For the hub's chunked storage the library picks a fetch of its own that is faster.
    ...(info.xet ? {} : { fetch: fetchWithSignal }),
  });
  if (!blob) throw new NetworkError(`The hub sent nothing for '${path}' of '${repo}'.`, { repo, path });
  return (offset === 0 ? blob : blob.slice(offset)).stream();
}

function endedEarly({ repo, path, info }: BlobRequest, done: number): NetworkError {
  return new NetworkError(
    `The connection ended after ${done} of ${counted(info.size, "byte")} of '${path}' of '${repo}'. Try again: it goes on from there.`,
    { repo, path, doneBytes: done, totalBytes: info.size },
  );
}

function mismatch({ repo, path, info }: BlobRequest): FormatError {
  return new FormatError(
    `What the hub sent for '${path}' of '${repo}' is not what it announced (${counted(info.size, "byte")}, or its SHA-256). Try again.`,
    { repo, path, totalBytes: info.size },
  );
}
