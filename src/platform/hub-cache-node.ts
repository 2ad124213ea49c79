/**
 * The standard cache of the hub on disk, shared with Python's huggingface_hub: blobs/<etag>, snapshots/<commit>/<path>
 * linking to them, refs/main naming the commit. A download grows under a name of its own and is renamed when it is
 * whole, so that no half file is taken for a whole one.
 */
import { mkdir, readdir, readFile, rename, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { homedir, hostname } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import process from "node:process";

/** Environment variables, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

const COMMIT = /^[0-9a-f]{40}$/;
const PARTIAL = "sluice-partial";
let downloads = 0;

/** HF_HUB_CACHE, or below HF_HOME, or ~/.cache/huggingface/hub. */
export function hubCacheFolder(env: Environment): string {
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || "~/.cache", "huggingface");
  const folder = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, "hub");
  return resolve(folder.replace(/^~(?=$|[/\\])/, homedir()));
}

/** A file that is being downloaded: `bytes` of it are there from an earlier try. */
export interface PartialFile {
  readonly path: string;
  readonly bytes: number;
}

/** The part of the cache that holds one model repository. */
export class RepoCache {
  private readonly folder: string;

  /** @param repo a checked name, "user/name" or "name" */
  constructor(cacheFolder: string, repo: string) {
    this.folder = join(cacheFolder, ["models", ...repo.split("/")].join("--"));
  }

  /** The commit that `main` was when it was last fetched. */
  async commit(): Promise<string | undefined> {
    const text = await readFile(this.ref(), "utf8").catch(() => "");
    return COMMIT.test(text.trim()) ? text.trim() : undefined;
  }

  async setCommit(commit: string): Promise<void> {
    if ((await this.commit()) === commit) return;
    await mkdir(dirname(this.ref()), { recursive: true });
    const draft = `${this.ref()}.${owner()}`;
    await writeFile(draft, commit);
    await rename(draft, this.ref());
  }

  /** Where a file of a commit lies, whether it is there or not. */
  location(commit: string, path: string): string {
    return join(this.folder, "snapshots", commit, ...path.split("/"));
  }

  /** Names and sizes of the files of a commit that are there. */
  async files(commit: string): Promise<{ path: string; size: number }[]> {
    const folder = join(this.folder, "snapshots", commit);
    const names = await readdir(folder, { recursive: true }).catch(() => []);
    const files = await Promise.all(
      names.sort().map(async (name) => ({ path: name.split(sep).join("/"), size: await fileSize(join(folder, name)) })),
    );
    return files.flatMap(({ path, size }) => (size === undefined ? [] : [{ path, size }]));
  }

  /** Whether the content with this etag is there and whole. */
  async hasBlob(etag: string, size: number): Promise<boolean> {
    return (await fileSize(this.blob(etag))) === size;
  }

  /** Makes the content with this etag a file of the commit; returns its location. */
  async link(etag: string, commit: string, path: string): Promise<string> {
    const location = this.location(commit, path);
    if ((await fileSize(location)) !== undefined) return location;
    await mkdir(dirname(location), { recursive: true });
    // A link to content that was deleted.
    await rm(location, { force: true });
    try {
      await symlink(relative(dirname(location), this.blob(etag)), location);
    } catch (error) {
      // Another process was faster, or links are not allowed (Windows): then the file itself goes there.
      if ((await fileSize(location)) === undefined)
        await rename(this.blob(etag), location).catch(() => Promise.reject(error));
    }
    return location;
  }

  /** A file of this process alone to download into: what an earlier try left, or an empty one. */
  async claimPartial(etag: string): Promise<PartialFile> {
    await mkdir(join(this.folder, "blobs"), { recursive: true });
    const path = `${this.blob(etag)}.${owner()}.${PARTIAL}`;
    for (const name of await this.abandoned(etag)) {
      const claimed = await rename(join(this.folder, "blobs", name), path).then(
        () => true,
        () => false,
      );
      if (claimed) return { path, bytes: (await fileSize(path)) ?? 0 };
    }
    await writeFile(path, "");
    return { path, bytes: 0 };
  }

  /** Keeps what was downloaded for the next try. */
  async releasePartial(etag: string, partial: PartialFile): Promise<void> {
    await rename(partial.path, `${this.blob(etag)}.${PARTIAL}`).catch(() => {});
  }

  /** Throws away what was downloaded: it is not what it should be. */
  async emptyPartial(partial: PartialFile): Promise<PartialFile> {
    await truncate(partial.path, 0);
    return { path: partial.path, bytes: 0 };
  }

  /** The download is whole. */
  async finishPartial(etag: string, partial: PartialFile): Promise<void> {
    await rename(partial.path, this.blob(etag));
  }

  private ref(): string {
    return join(this.folder, "refs", "main");
  }

  private blob(etag: string): string {
    return join(this.folder, "blobs", etag);
  }

  /** Partial files of this etag that nobody is writing: released ones, and those of processes of this machine that died. */
  private async abandoned(etag: string): Promise<string[]> {
    const mine = `${hostname()}-`;
    const names = await readdir(join(this.folder, "blobs"));
    return names.filter((name) => {
      if (!name.startsWith(`${etag}.`) || !name.endsWith(PARTIAL)) return false;
      const middle = name.slice(etag.length + 1, -PARTIAL.length);
      if (middle === "") return true;
      const pid = middle.startsWith(mine) ? /^(\d+)-\d+\.$/.exec(middle.slice(mine.length))?.[1] : undefined;
      return pid !== undefined && !isRunning(Number(pid));
    });
  }
}

/** Size of a file (links followed); undefined when there is none. */
export async function fileSize(path: string): Promise<number | undefined> {
  const stats = await stat(path).catch(() => undefined);
  return stats?.isFile() ? stats.size : undefined;
}

/** A name for files of this process, this download. */
function owner(): string {
  return `${hostname()}-${process.pid}-${downloads++}`;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it runs, but belongs to somebody else.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
