/** What the system says when a file cannot be written, as a typed error that tells what to do. */
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { SluiceError, WriteError } from "../util/errors.js";
import { systemCode } from "./file-node.js";

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full. Free some space",
  EDQUOT: "the disk quota is used up. Free some space",
  EFBIG: "it is larger than a file may be there. Choose another place",
  EACCES: "this user may not write there. Check the permissions of the file and of its folder",
  EPERM: "this user may not write there. Check the permissions of the file and of its folder",
  EROFS: "the file system is read-only. Choose another folder",
  EBUSY: "the system uses it, as it does with a file that is a mount of its own. Choose another path",
  ENOENT: "there is no such folder. Make it first, or check the path",
  ENOTDIR: "a part of the path is a file, not a folder. Check the path",
  EISDIR: "it is a folder. Choose another path",
  ELOOP: "its links lead in a circle. Check the path",
  ENAMETOOLONG: "its name is too long. Choose a shorter one",
  EEXIST: "a file stands where a folder is expected. Check the path",
  ENOTEMPTY: "there is a folder that is not empty. Remove it, or choose another path",
  EPIPE: "its reader went away",
  ENXIO: "nobody reads this pipe",
};
const NO_FILES = "its folder takes no new files, as those of the system's own (/proc) do. Choose another folder";

/** Runs an operation on files; its errors become typed ones. @param done "written", "made" and the like */
export async function orWriteError<R>(path: string, done: string, operation: () => Promise<R>): Promise<R> {
  try {
    return await operation();
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw await writeError(path, done, error);
  }
}

async function writeError(path: string, done: string, cause: unknown): Promise<WriteError> {
  const code = systemCode(cause) ?? "";
  // A folder that is there and yet "not found" is one in which nothing can be made; folders are made with those above them.
  const refused = code === "ENOENT" && (done === "made" || (await isFolder(dirname(path))));
  const reason = refused ? NO_FILES : (REASONS[code] ?? (cause instanceof Error ? cause.message : String(cause)));
  return new WriteError(`'${path}' cannot be ${done}: ${reason}.`, { path, code }, { cause });
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}
