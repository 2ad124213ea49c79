/**
 * Writing local files in Node so that a crash leaves the old file or the new one: the bytes go to a temporary file of the
 * same folder and to the disk, then it is renamed over the old one, which is a single step, and the folder goes to the disk.
 */
import { appendFile, type FileHandle, mkdir, open, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { SluiceError, WriteError } from "../util/errors.js";
import type { FileWriter } from "../util/platform.js";
import { systemCode } from "./file-node.js";

/** Most bytes of one system call, as in reading. */
const WRITE_BYTES = 2 ** 30;

let written = 0;

type Chunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

export const nodeFileWriter: FileWriter = {
  writeFile: writeFileAtomic,
  append: (location, bytes) => typed(location, "written", () => appendFile(location, bytes, { flush: true })),
  makeFolder: (location) => typed(location, "made", () => makeFolder(location)),
  remove: (location) => typed(location, "removed", () => removePath(location)),
  rename: (from, to) => typed(to, "written", () => renamePath(from, to)),
};

/** Writes `chunks` as the whole of a file. @throws WriteError; what `chunks` throws */
export async function writeFileAtomic(location: string, chunks: Chunks): Promise<void> {
  // Where a link leads: renaming over the link itself would turn it into a file.
  const path = await typed(location, "written", () => targetOf(location));
  await removeLeftovers(path);
  const partial = partialName(path, process.pid, ++written);
  const handle = await typed(location, "written", () => open(partial, "wx"));
  try {
    try {
      for await (const chunk of chunks) await typed(location, "written", () => writeAll(handle, chunk));
      await typed(location, "written", () => handle.sync());
    } finally {
      await handle.close();
    }
    await typed(location, "written", () => renamePath(partial, path));
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function targetOf(location: string): Promise<string> {
  try {
    const path = await realpath(location);
    const stats = await stat(path);
    if (stats.isFile()) return path;
    const found = stats.isDirectory() ? "a folder" : "a device or pipe";
    throw new WriteError(`Expected a file or nothing at '${location}'; found ${found}.`, { path: location });
  } catch (error) {
    if (systemCode(error) === "ENOENT") return location;
    throw error;
  }
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, done, Math.min(chunk.length - done, WRITE_BYTES));
    done += bytesWritten;
  }
}

/** The temporary file of a process; the number tells its own files apart. */
function partialName(path: string, pid: number, index: number): string {
  return join(dirname(path), `.${basename(path)}.${pid}-${index}.partial`);
}

/** Temporary files of this file whose process is gone: it was killed while it wrote. */
async function removeLeftovers(path: string): Promise<void> {
  const [start, end] = [`.${basename(path)}.`, ".partial"];
  const entries = await readdir(dirname(path)).catch(() => []);
  for (const name of entries) {
    if (!name.startsWith(start) || !name.endsWith(end)) continue;
    const owner = /^(\d+)-\d+$/.exec(name.slice(start.length, -end.length));
    if (owner && !isAlive(Number(owner[1]))) await rm(join(dirname(path), name), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) !== "ESRCH";
  }
}

async function makeFolder(location: string): Promise<void> {
  const first = await mkdir(location, { recursive: true });
  if (first === undefined) return;
  // Every folder that was made is an entry of the one above it.
  for (let made = location; ; made = dirname(made)) {
    await syncFolder(dirname(made));
    if (made === first || made === dirname(made)) return;
  }
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

/** Brings a folder's entries to the disk, where the system lets a folder be opened: Windows does not. */
async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle;
  try {
    handle = await open(folder, "r");
  } catch {
    return;
  }
  try {
    await handle.sync();
  } catch (error) {
    // Some network and FUSE file systems have no such operation for folders.
    if (!["EINVAL", "EPERM", "EISDIR", "ENOTSUP", "EBADF"].includes(systemCode(error) ?? "")) throw error;
  } finally {
    await handle.close();
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full. Free some space",
  EDQUOT: "the disk quota is used up. Free some space",
  EACCES: "this user may not write there. Check the permissions of the folder",
  EPERM: "this user may not write there. Check the permissions of the folder",
  EROFS: "the file system is read-only. Choose another folder",
  ENOENT: "there is no such folder. Make it first, or check the path",
  ENOTDIR: "a file stands where a folder is expected. Check the path",
  EEXIST: "a file stands where a folder is expected. Check the path",
  ENOTEMPTY: "there is a folder that is not empty. Remove it, or choose another path",
};

/** Runs an operation on files; its errors become typed ones. */
async function typed<R>(path: string, done: string, operation: () => Promise<R>): Promise<R> {
  try {
    return await operation();
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    const code = systemCode(error) ?? "";
    const reason = REASONS[code] ?? (error instanceof Error ? error.message : String(error));
    throw new WriteError(`'${path}' cannot be ${done}: ${reason}.`, { path, code }, { cause: error });
  }
}
