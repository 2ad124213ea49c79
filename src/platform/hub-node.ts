/**
 * Models of the Hugging Face hub, fetched into the standard cache. Honours HF_HOME, HF_HUB_CACHE, HF_TOKEN,
 * HF_TOKEN_PATH, HF_ENDPOINT and HF_HUB_OFFLINE as Python's huggingface_hub does. Downloads resume where they stopped;
 * files that the hub names by their SHA-256 are checked against it.
 */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type FileDownloadInfoOutput, fileDownloadInfo, listFiles, modelInfo } from "@huggingface/hub";
import { ArgumentError, NetworkError, NotFoundError } from "../util/errors.js";
import type { Hub, HubFetchOptions } from "../util/platform.js";
import { type Environment, fileSize, hubCacheFolder, RepoCache } from "./hub-cache-node.js";
import { downloadBlob } from "./hub-download-node.js";
import { hubError } from "./hub-errors-node.js";
import { ANSWERED, answerFetch, HUB_LIMITS, type HubLimits, listingFetch } from "./hub-fetch-node.js";

const REVISION = "main";
/** No path of a repository is longer. */
const MOST_PATH = 1024;

interface Access {
  readonly hubUrl: string;
  readonly accessToken?: string;
  readonly fetch: typeof fetch;
}

export class NodeHub implements Hub {
  private readonly env: Environment;
  /** The commit of a repository, so that the files of one load are of one commit; a new listing looks again. */
  private readonly commits = new Map<string, string>();

  constructor(
    env: Environment,
    private readonly limits: HubLimits = HUB_LIMITS,
  ) {
    this.env = env;
  }

  async list(repo: string, signal?: AbortSignal): Promise<readonly { readonly path: string; readonly size: number }[]> {
    checkRepo(repo);
    if (this.offline()) return this.listCached(repo);
    this.commits.delete(repo);
    try {
      const access = await this.access(signal);
      const revision = await this.commit(repo, access);
      return await this.listOnline(repo, revision, access);
    } catch (error) {
      const typed = hubError(error, { repo, endpoint: this.endpoint() }, signal);
      // Without a network, what was fetched before can still be used.
      if (!isUnreachable(typed)) throw typed;
      return this.listCached(repo).catch(() => Promise.reject(typed));
    }
  }

  private async listOnline(repo: string, revision: string, access: Access): Promise<{ path: string; size: number }[]> {
    const ask = listingFetch(access.fetch, this.endpoint(), this.limits);
    const files: { path: string; size: number }[] = [];
    let entries = 0;
    for await (const entry of listFiles({ ...access, fetch: ask, repo, revision, recursive: true })) {
      entries += 1;
      if (entries > this.limits.entries) {
        throw new NetworkError(`'${repo}' lists more than ${this.limits.entries} entries: no model has so many.`, {
          repo,
          ...ANSWERED,
        });
      }
      if (isFile(entry)) files.push({ path: entry.path, size: entry.size });
    }
    return files;
  }

  async fetch(repo: string, path: string, options: HubFetchOptions = {}): Promise<string> {
    checkRepo(repo);
    checkPath(path);
    const cache = new RepoCache(hubCacheFolder(this.env), repo);
    if (this.offline()) return this.cached(cache, repo, path);
    try {
      const access = await this.access(options.signal);
      return await this.fetchOnline(cache, repo, path, access, options);
    } catch (error) {
      const typed = hubError(error, { repo, path, endpoint: this.endpoint() }, options.signal);
      if (!isUnreachable(typed)) throw typed;
      return this.cached(cache, repo, path).catch(() => Promise.reject(typed));
    }
  }

  private async fetchOnline(
    cache: RepoCache,
    repo: string,
    path: string,
    access: Access,
    options: HubFetchOptions,
  ): Promise<string> {
    const revision = await this.commit(repo, access);
    const location = cache.location(revision, path);
    const size = await fileSize(location);
    if (size !== undefined) {
      options.onProgress?.(size, size);
      return location;
    }
    const info = await fileDownloadInfo({ ...access, repo, revision, path });
    if (!info)
      throw new NotFoundError(`'${repo}' has no file '${path}'. List its files and check the name.`, { repo, path });
    const etag = checkedEtag(info, repo, path);
    if (!(await cache.hasBlob(etag, info.size))) {
      const { idleMs } = this.limits;
      await downloadBlob({ cache, etag, info, repo, path, revision, access, idleMs }, options);
    }
    const linked = await cache.link(etag, revision, path);
    await cache.setCommit(revision);
    return linked;
  }

  /** The commit that `main` is. */
  private async commit(repo: string, access: Access): Promise<string> {
    const known = this.commits.get(repo);
    if (known) return known;
    const { sha } = await modelInfo({ ...access, name: repo, revision: REVISION, additionalFields: ["sha"] });
    if (typeof sha !== "string" || !/^[0-9a-f]{40}$/.test(sha)) {
      throw new NetworkError(`The hub named no commit for '${repo}'. Check HF_ENDPOINT.`, { repo });
    }
    this.commits.set(repo, sha);
    return sha;
  }

  private async cached(cache: RepoCache, repo: string, path: string): Promise<string> {
    const commit = await cache.commit();
    const location = commit === undefined ? undefined : cache.location(commit, path);
    if (location !== undefined && (await fileSize(location)) !== undefined) return location;
    throw new NotFoundError(
      `'${path}' of '${repo}' is not in the cache '${hubCacheFolder(this.env)}', and HF_HUB_OFFLINE forbids to fetch it. ` +
        "Unset HF_HUB_OFFLINE and try again.",
      { repo, path },
    );
  }

  private async listCached(repo: string): Promise<readonly { readonly path: string; readonly size: number }[]> {
    const cache = new RepoCache(hubCacheFolder(this.env), repo);
    const commit = await cache.commit();
    const files = commit === undefined ? [] : await cache.files(commit);
    if (files.length > 0) return files;
    throw new NotFoundError(
      `Nothing of '${repo}' is in the cache '${hubCacheFolder(this.env)}', and HF_HUB_OFFLINE forbids to fetch it. ` +
        "Unset HF_HUB_OFFLINE and try again.",
      { repo },
    );
  }

  private async access(signal: AbortSignal | undefined): Promise<Access> {
    signal?.throwIfAborted();
    const accessToken = await this.token();
    return {
      hubUrl: this.endpoint(),
      ...(accessToken === undefined ? {} : { accessToken }),
      fetch: answerFetch(this.limits, signal),
    };
  }

  private async token(): Promise<string | undefined> {
    const file =
      this.env.HF_TOKEN_PATH ||
      join(dirname(hubCacheFolder({ ...this.env, HF_HUB_CACHE: "", HUGGINGFACE_HUB_CACHE: "" })), "token");
    const token = (this.env.HF_TOKEN || (await readFile(file, "utf8").catch(() => ""))).trim();
    if (token === "") return undefined;
    if (token.startsWith("hf_")) return token;
    throw new ArgumentError("A token of the hub begins with 'hf_'. Check HF_TOKEN.");
  }

  private endpoint(): string {
    return (this.env.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, "");
  }

  private offline(): boolean {
    return /^(1|on|yes|true)$/i.test(this.env.HF_HUB_OFFLINE ?? "");
  }
}

/** @throws NetworkError for what is no entry of a listing */
function isFile(entry: unknown): entry is { path: string; size: number } {
  if (typeof entry === "object" && entry !== null && "type" in entry && "path" in entry) {
    const { type, path } = entry;
    if (type !== "file") return false;
    const size = "size" in entry ? entry.size : undefined;
    const isSize = typeof size === "number" && Number.isSafeInteger(size) && size >= 0;
    if (typeof path === "string" && path.length <= MOST_PATH && isSize) return true;
  }
  throw new NetworkError(
    `The hub listed what is no file: ${JSON.stringify(entry)?.slice(0, 80)}. Check HF_ENDPOINT.`,
    ANSWERED,
  );
}

/** There was no answer at all. */
function isUnreachable(error: Error): boolean {
  return error instanceof NetworkError && error.details.status === undefined && error.details.answered !== true;
}

/** The name of the content. It becomes the name of a file, and comes from the server. */
function checkedEtag(info: FileDownloadInfoOutput, repo: string, path: string): string {
  const etag = info.etag.replace(/^W\//, "").replace(/^"(.*)"$/, "$1");
  if (/^[\w-]{1,128}$/.test(etag) && Number.isSafeInteger(info.size) && info.size >= 0) return etag;
  throw new NetworkError(`The hub gave no usable size and etag for '${path}' of '${repo}'.`, { repo, path });
}

function checkRepo(repo: string): void {
  const parts = repo.split("/");
  if (parts.length <= 2 && parts.every((part) => /^\w[\w.-]{0,95}$/.test(part) && !/--|\.\./.test(part))) return;
  throw new ArgumentError(`Expected a repository of the hub as 'user/name'; found '${repo}'.`);
}

/** Paths become paths of the cache: none may lead out of it. */
function checkPath(path: string): void {
  const parts = path.split("/");
  if (
    path.length <= MOST_PATH &&
    parts.every((part) => part !== "" && part !== "." && part !== ".." && !/[\\:\0]/.test(part))
  )
    return;
  throw new ArgumentError(`Expected a path inside a repository; found '${path}'.`);
}
