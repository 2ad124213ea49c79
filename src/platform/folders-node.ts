/** Folders in Node: made one by one, so that a failure leaves none behind, and brought to the disk. */
import { type FileHandle, mkdir, open, rmdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { systemCode } from "./file-node.js";

/**
 * Makes a folder and those above it. Node's own recursive way never ends in /proc, and hides why a step failed.
 * @returns those that were made, the topmost first
 */
export async function makeFolders(location: string): Promise<string[]> {
  const missing: string[] = [];
  for (let folder = resolve(location); !(await isThere(folder)); folder = dirname(folder)) missing.unshift(folder);
  const made: string[] = [];
  try {
    for (const folder of missing) {
      if (await makeOne(folder)) made.push(folder);
      // Every folder that was made is an entry of the one above it.
      await syncFolder(dirname(folder));
    }
  } catch (error) {
    await removeEmptyFolders(made);
    throw error;
  }
  return made;
}

/** Removes folders, the last first, as far as they are empty. */
export async function removeEmptyFolders(folders: readonly string[]): Promise<void> {
  for (const folder of folders.toReversed()) {
    const removed = await rmdir(folder).then(
      () => true,
      (error: unknown) => systemCode(error) === "ENOENT",
    );
    if (!removed) return;
  }
}

/** Whether anything can be reached there. A part of the path that is a file, or forbidden, is the error of `stat`. */
async function isThere(path: string): Promise<boolean> {
  try {
    const stats = await stat(path);
    if (stats.isDirectory()) return true;
    throw Object.assign(new Error(`${path} is no folder`), { code: "EEXIST" });
  } catch (error) {
    if (systemCode(error) === "ENOENT" && path !== dirname(path)) return false;
    throw error;
  }
}

/** False where another process was faster. */
async function makeOne(folder: string): Promise<boolean> {
  try {
    await mkdir(folder);
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST" && (await isThere(folder))) return false;
    throw error;
  }
}

/** Brings a folder's entries to the disk, where the system lets a folder be opened: Windows does not. */
export async function syncFolder(folder: string): Promise<void> {
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
    if (!["EINVAL", "EPERM", "EISDIR", "ENOTSUP", "EBADF", "EROFS"].includes(systemCode(error) ?? "")) throw error;
  } finally {
    await handle.close();
  }
}
