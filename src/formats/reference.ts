/**
 * Model references to local places: a path or URL stays as it is; `hf:user/repo[:quant]` and `hf:user/repo/file.gguf` are
 * fetched from the hub into its cache, all shards and, for safetensors, the config and tokenizer files.
 */
import { ArgumentError, CancelledError, NotFoundError, UnsupportedError } from "../util/errors.js";
import type { Hub, Platform } from "../util/platform.js";
import { INDEX_FILE, readIndex } from "./hf/checkpoint.js";
import {
  chooseFile,
  chooseGguf,
  type HubFile,
  type Listing,
  sideFiles,
  weightFiles,
  withoutModel,
} from "./hub-files.js";
import { isUrl, parentOf } from "./location.js";
import { noSuchPlace } from "./no-such-place.js";
import { parseShardName } from "./shard-name.js";

type Files = Pick<Platform, "open" | "list" | "hub" | "absolute">;

export interface ResolveOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes of all files of the model, downloaded or found in the cache, and in all. */
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

export interface HubReference {
  readonly repo: string;
  readonly quant?: string;
  readonly file?: string;
}

const PREFIX = "hf:";
const REFERENCE = /^([\w-][\w.-]*\/[\w-][\w.-]*)(?:\/([^:]+)|:([\w.-]+))?$/;

/** Reads `hf:user/repo`, `hf:user/repo:quant`, `hf:user/repo/file.gguf`; undefined for anything without `hf:`. */
export function parseHubReference(reference: string): HubReference | undefined {
  if (!reference.startsWith(PREFIX)) return undefined;
  const [, repo, file, quant] = REFERENCE.exec(reference.slice(PREFIX.length)) ?? [];
  const climbs = file?.split("/").some((part) => part === ".." || part === "." || part === "");
  if (repo === undefined || climbs || (file !== undefined && !file.endsWith(".gguf"))) {
    throw new ArgumentError(
      `"${reference}" is not a hub reference; expected hf:user/repo, hf:user/repo:Q4_K_M or hf:user/repo/file.gguf.`,
    );
  }
  return { repo, ...(file !== undefined && { file }), ...(quant !== undefined && { quant }) };
}

/**
 * The local location to give to `openCheckpoint`.
 * @throws NotFoundError that lists what the repository does have, ArgumentError for a malformed or ambiguous reference,
 * CancelledError, UnsupportedError for a hub reference where the platform has no hub
 */
export async function resolveReference(
  reference: string,
  platform: Files,
  options: ResolveOptions = {},
): Promise<string> {
  const parsed = parseHubReference(reference);
  if (!parsed) return localPlace(platform.absolute?.(reference) ?? reference, platform);
  const { hub } = platform;
  if (!hub) {
    throw new UnsupportedError(`${reference}: hub references do not work here; give the URL of the file itself.`);
  }
  const fetcher = new Fetcher(hub, parsed.repo, options);
  if (parsed.file !== undefined) return fetchNamed(fetcher, parsed.file);
  const listing = await fetcher.list();
  const model = chooseGguf(listing, parsed.quant);
  return model ? fetcher.fetchAll(model) : fetchFolder(fetcher, listing, platform);
}

async function localPlace(location: string, platform: Files): Promise<string> {
  if (isUrl(location)) return location;
  if ((await platform.list(location)) !== undefined) return location;
  throw noSuchPlace(location);
}

async function fetchNamed(fetcher: Fetcher, path: string): Promise<string> {
  const shard = parseShardName(path);
  const isSet = shard !== undefined && shard.total > 1;
  // What is only read later is not looked for by fetching it.
  if (isSet || fetcher.isRemote) return fetcher.fetchAll(chooseFile(await fetcher.list(), path), path);
  try {
    // Needs no listing, so a file in the cache also serves offline.
    return await fetcher.fetchOne(path);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    // Says what there is instead, where the repository can be listed.
    const listing = await fetcher.list().catch(() => Promise.reject(error));
    chooseFile(listing, path);
    throw error;
  }
}

async function fetchFolder(fetcher: Fetcher, listing: Listing, platform: Files): Promise<string> {
  const side = sideFiles(listing);
  if (!side) {
    const names = listing.files.map((file) => file.path);
    throw new NotFoundError(`${listing.repo} ${withoutModel(names)}`, { repo: listing.repo });
  }
  const index = listing.files.find((file) => file.path === INDEX_FILE);
  const single = listing.files.filter((file) => /^[^/]+\.safetensors$/.test(file.path));
  const weights = index
    ? weightFiles(listing, (await readIndex(await fetcher.fetchOne(index.path), platform)).values())
    : [single.find((file) => file.path === "model.safetensors") ?? single[0]];
  const location = await fetcher.fetchAll([...side, ...(index ? [index] : []), ...weights]);
  return parentOf(location);
}

/** Fetches files of one repository, one after another, with one account of the progress. */
class Fetcher {
  constructor(
    private readonly hub: Hub,
    private readonly repo: string,
    private readonly options: ResolveOptions,
  ) {}

  get isRemote(): boolean {
    return this.hub.isRemote === true;
  }

  async list(): Promise<Listing> {
    this.checkCancelled();
    return { repo: this.repo, files: await this.hub.list(this.repo, this.options.signal) };
  }

  fetchOne(path: string): Promise<string> {
    this.checkCancelled();
    return this.hub.fetch(this.repo, path, this.options);
  }

  /** Fetches all; resolves to the place of `wanted`, or else of the first. */
  async fetchAll(files: readonly HubFile[], wanted = files[0].path): Promise<string> {
    if (this.isRemote) return this.fetchOne(wanted);
    const { signal, onProgress } = this.options;
    const total = files.reduce((sum, file) => sum + file.size, 0);
    let before = 0;
    let place = "";
    for (const file of files) {
      this.checkCancelled();
      const done = before;
      const location = await this.hub.fetch(this.repo, file.path, {
        signal,
        onProgress: (doneBytes) => onProgress?.(Math.min(done + doneBytes, total), total),
      });
      before += file.size;
      onProgress?.(before, total);
      if (file.path === wanted) place = location;
    }
    return place;
  }

  private checkCancelled(): void {
    if (this.options.signal?.aborted) throw new CancelledError("Fetching the model was cancelled.");
  }
}
