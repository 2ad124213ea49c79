/** The files that commands read and write besides models: prompts, texts, transcripts, reports. */
import { open, readFile, realpath, stat, unlink, writeFile } from "node:fs/promises";
import { SluiceError } from "../util/errors.js";
import type { Files } from "./io.js";

export const nodeFiles: Files = {
  exists: async (path) => (await orFileError(path, "read", () => stat(path).catch(ifAbsent))) !== undefined,
  read: (path) => orFileError(path, "read", () => readFile(path)),
  write: (path, content) => orFileError(path, "written", () => writeFile(path, content)),
  checkWritable: (path) => orFileError(path, "written", () => tryToOpen(path)),
};

/** Opens a file for writing and leaves everything as it was: content stays, a file that was not there is gone again. */
async function tryToOpen(path: string): Promise<void> {
  const found = await stat(path).catch(ifAbsent);
  // Opening a pipe or a device is an act of its own: its reader would see an end.
  if (found && !found.isFile() && !found.isDirectory()) return;
  const handle = await open(path, found ? "r+" : "a");
  await handle.close();
  // `path` may be a link to a place where nothing was.
  if (!found) await unlink(await realpath(path));
}

function ifAbsent(error: unknown): undefined {
  if (errnoCode(error) !== "ENOENT") throw error;
}

async function orFileError<T>(path: string, verb: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(path, verb, error);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder",
  EACCES: "permission is denied",
  EPERM: "permission is denied",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of the path is no folder",
  ENOSPC: "the disk is full",
  EROFS: "the file system is read-only",
};

/** @param name a path, or what else was read or written. @param verb "read" or "written" */
export function fileError(name: string, verb: string, cause: unknown): SluiceError {
  const reason = REASONS[errnoCode(cause)] ?? (cause instanceof Error ? cause.message : String(cause));
  return new SluiceError("file", `${name} cannot be ${verb}: ${reason}.`, { path: name }, { cause });
}

/** "ENOENT" and the like; empty for other errors. */
export function errnoCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
