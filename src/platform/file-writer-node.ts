/**
 * Writing local files in Node so that a crash leaves the old file or the new one: the bytes go to a temporary file of the
 * same folder and to the disk, then it is renamed over the old one, which is a single step, and the folder goes to the disk.
 * The new file has the mode of the old one, and its owner where the system allows that.
 */
import type { Stats } from "node:fs";
import {
  access,
  appendFile,
  constants,
  type FileHandle,
  lstat,
  open,
  readlink,
  realpath,
  rename,
  rm,
  stat,
} from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { WriteError } from "../util/errors.js";
import type { FileWriter } from "../util/platform.js";
import { systemCode } from "./file-node.js";
import { makeFolders, syncFolder } from "./folders-node.js";
import { partialPath, removeLeftovers } from "./partial-file-node.js";
import { orWriteError } from "./write-error-node.js";

/** Most bytes of one system call, as in reading. */
const WRITE_BYTES = 2 ** 30;
/** As many links as Linux follows. */
const MOST_LINKS = 40;

type Chunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

export interface WriteOptions {
  /** Mode of a file that is new; default 0o666, less the umask. */
  readonly mode?: number | undefined;
}

export const nodeFileWriter: FileWriter = {
  writeFile: (location, chunks) => writeFileAtomic(location, chunks),
  append: (location, bytes) => orWriteError(location, "written", () => appendFile(location, bytes, { flush: true })),
  makeFolder: (location) => orWriteError(location, "made", () => makeFolders(location)),
  remove: (location) => orWriteError(location, "removed", () => removePath(location)),
  rename: (from, to) => orWriteError(to, "written", () => renamePath(from, to)),
};

/** Writes `chunks` as the whole of a file. @throws WriteError; what `chunks` throws */
export async function writeFileAtomic(location: string, chunks: Chunks, options: WriteOptions = {}): Promise<void> {
  const { path, old } = await orWriteError(location, "written", () => fileTarget(location));
  await removeLeftovers(path);
  const partial = partialPath(path);
  const handle = await orWriteError(location, "written", () => open(partial, "wx", old ? 0o600 : options.mode));
  try {
    try {
      for await (const chunk of chunks) await orWriteError(location, "written", () => writeAll(handle, chunk));
      await orWriteError(location, "written", async () => {
        if (old) await inherit(handle, old);
        await handle.sync();
      });
    } finally {
      await orWriteError(location, "written", () => handle.close());
    }
    await orWriteError(location, "written", () => renamePath(partial, path));
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    throw error;
  }
}

/**
 * For what is written at the end of long work: whether it can be, as things are now. The file itself is not touched; one
 * beside it is made and removed. @throws WriteError
 */
export async function checkWritable(location: string): Promise<void> {
  await orWriteError(location, "written", async () => {
    const { path } = await fileTarget(location);
    const partial = partialPath(path);
    try {
      await (await open(partial, "wx", 0o600)).close();
    } finally {
      await rm(partial, { force: true }).catch(() => {});
    }
  });
}

/** Where writing to a location leads, through links (renaming over a link itself would turn it into a file), and what is there. */
export async function writeTarget(location: string): Promise<{ readonly path: string; readonly found?: Stats }> {
  let path = location;
  for (let links = 0; links < MOST_LINKS; links++) {
    const real = await realpath(path).catch(ifAbsent);
    if (real !== undefined) return { path: real, found: await stat(real) };
    const stats = await lstat(path).catch(ifAbsent);
    if (!stats?.isSymbolicLink()) return { path: await newPath(location, path) };
    // A link to where nothing is: there the file is made.
    path = resolve(dirname(path), await readlink(path));
  }
  return { path };
}

/** A path at which nothing is, with the folder that it lies in as the system knows it. */
async function newPath(location: string, path: string): Promise<string> {
  const folder = /[^/\\]$/.test(path) ? await realpath(dirname(path)).catch(ifAbsent) : undefined;
  if (folder !== undefined) return join(folder, basename(path));
  const message = `'${location}' cannot be written: there is no such folder. Make it first, or check the path.`;
  throw new WriteError(message, { path: location, code: "ENOENT" });
}

/** Whether two paths lead to one file, by links too, or to one where nothing is yet. */
export async function isSameFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([one, other].map((path) => writeTarget(path).catch(() => undefined)));
  if (!a || !b) return false;
  if (!a.found || !b.found) return a.path === b.path;
  return a.found.isFile() && a.found.dev === b.found.dev && a.found.ino === b.found.ino;
}

/** A file that may be written, or nothing. */
async function fileTarget(location: string): Promise<{ readonly path: string; readonly old?: Stats }> {
  const { path, found } = await writeTarget(location);
  if (!found) return { path };
  if (!found.isFile()) {
    const what = found.isDirectory() ? "a folder" : "a device or pipe";
    throw new WriteError(`Expected a file or nothing at '${location}'; found ${what}. Choose another path.`, {
      path: location,
    });
  }
  // Renaming needs no right to write the file that goes; whoever took it away meant it.
  await access(path, constants.W_OK);
  return { path, old: found };
}

function ifAbsent(error: unknown): undefined {
  if (systemCode(error) !== "ENOENT") throw error;
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, done, Math.min(chunk.length - done, WRITE_BYTES));
    done += bytesWritten;
  }
}

/** Gives a file the owner and the mode of the one that it replaces. */
async function inherit(handle: FileHandle, { uid, gid, mode }: Stats): Promise<void> {
  const mine = await handle.stat();
  if (mine.uid !== uid) await handle.chown(uid, mine.gid).catch(() => {});
  if (mine.gid !== gid) await handle.chown(-1, gid).catch(() => {});
  const now = await handle.stat();
  // In another group its rights would go to the wrong people: then the group has those of everybody.
  const rights = now.gid === gid ? mode & 0o777 : (mode & 0o707) | ((mode & 0o7) << 3);
  // File systems without modes refuse; there is nothing to keep.
  if ((now.mode & 0o777) !== rights) await handle.chmod(rights).catch(() => {});
}

async function renamePath(from: string, to: string): Promise<void> {
  await rename(from, to);
  await syncFolder(dirname(to));
  if (dirname(from) !== dirname(to)) await syncFolder(dirname(from));
}

async function removePath(location: string): Promise<void> {
  await rm(location, { recursive: true, force: true });
  await syncFolder(dirname(location));
}
