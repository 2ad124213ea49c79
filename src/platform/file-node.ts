/**
 * Local files for Node: random access that reads straight into the view given (which may be shared memory), and what
 * lies at a path.
 */
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { ArgumentError, FormatError, NotFoundError, SluiceError } from "../util/errors.js";
import type { ByteSource } from "../util/platform.js";

/** Most bytes of one system call: below the 2 GiB that a read can return at most. */
const READ_BYTES = 2 ** 30;

/** The path that a file: URL stands for; all else stays. @throws ArgumentError for one that is no path here */
export function pathOf(location: string): string {
  if (!/^file:/i.test(location)) return location;
  try {
    return fileURLToPath(location);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ArgumentError(`'${location}' is no path here: ${reason}. Expected file:///folder/model.gguf.`);
  }
}

/** Opens a file for reading. @throws NotFoundError, FormatError for what is not a file of bytes */
export async function openFile(path: string): Promise<ByteSource> {
  try {
    // Before opening: that of a named pipe would wait for its writer.
    const { size } = regularFile(path, await stat(path));
    return new FileSource(path, size, await open(path, "r"));
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Names of a folder's entries, sorted; "file" for a file; undefined for nothing. */
export async function listPath(path: string): Promise<readonly string[] | "file" | undefined> {
  try {
    return (await stat(path)).isDirectory() ? (await readdir(path)).sort() : "file";
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG") return undefined;
    throw fileError(path, error);
  }
}

class FileSource implements ByteSource {
  private readonly handle: FileHandle;

  constructor(
    readonly name: string,
    readonly size: number,
    handle: FileHandle,
  ) {
    this.handle = handle;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + into.length > this.size)
      throw this.missing(offset, into);
    for (let done = 0; done < into.length; ) {
      const length = Math.min(into.length - done, READ_BYTES);
      const { bytesRead } = await this.handle.read(into, done, length, offset + done);
      // The file was cut while it was open.
      if (bytesRead === 0) throw this.missing(offset, into);
      done += bytesRead;
    }
  }

  async close(): Promise<void> {
    await this.handle.close();
  }

  private missing(offset: number, into: Uint8Array): FormatError {
    return new FormatError(
      `'${this.name}' ends too early: expected ${into.length} bytes at offset ${offset}, the file has ${this.size}. ` +
        "It may be truncated: download or copy it again.",
      { offset, expectedBytes: into.length, fileBytes: this.size, truncated: true },
    );
  }
}

function regularFile<S extends { isFile(): boolean; isDirectory(): boolean }>(path: string, stats: S): S {
  if (stats.isFile()) return stats;
  const found = stats.isDirectory() ? "a folder" : "a device or pipe";
  throw new FormatError(`Expected a file at '${path}'; found ${found}.`);
}

/** The typed form of an error of the file system. */
function fileError(path: string, error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const code = systemCode(error);
  const cause = { cause: error };
  if (code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG") {
    return new NotFoundError(`There is no file '${path}'. Check the path.`, { path }, cause);
  }
  if (code === "EACCES" || code === "EPERM") {
    return new NotFoundError(`'${path}' may not be read by this user. Check its permissions.`, { path }, cause);
  }
  return new NotFoundError(
    `'${path}' cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    { path },
    cause,
  );
}

/** The code of a system error, such as "ENOENT". */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
