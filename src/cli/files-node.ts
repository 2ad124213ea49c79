/** The files that commands read and write besides models: prompts, texts, transcripts, reports. */
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pathOf } from "../platform/file-node.js";
import { checkWritable, isSameFile, writeFileAtomic } from "../platform/file-writer-node.js";
import { SluiceError } from "../util/errors.js";
import { isStream, writeStream } from "./file-streams-node.js";
import type { Files } from "./files.js";

/** Private texts: for their owner alone. */
const PRIVATE_MODE = 0o600;

export const nodeFiles: Files = {
  exists: async (path) => (await orFileError(path, "read", () => stat(path).catch(ifAbsent))) !== undefined,
  read: (path) => orFileError(path, "read", () => readFile(path)),
  async write(path, content, { secret = false } = {}) {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    if (await isStream(path)) return writeStream(path, bytes);
    return writeFileAtomic(path, [bytes], secret ? { mode: PRIVATE_MODE } : {});
  },
  // Opening a pipe or a device is an act of its own: its reader would see an end.
  checkWritable: async (path) => ((await isStream(path)) ? undefined : checkWritable(path)),
  isSame: (one, other) => isSameFile(pathOf(one), pathOf(other)),
  rescue,
};

/** In a folder of its own below the system's for temporary files. */
async function rescue(path: string, content: string | Uint8Array): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-"));
  const kept = join(folder, basename(path));
  try {
    await writeFile(kept, content, { mode: PRIVATE_MODE, flag: "wx" });
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  return kept;
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
