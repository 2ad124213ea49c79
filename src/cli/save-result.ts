/**
 * What a command writes at its end: a session, figures, a plot. Work of hours is not lost with a full disk: what cannot go
 * where it should is kept in the system's folder for temporary files, and the error says so.
 */
import { WriteError } from "../util/errors.js";
import { UsageError } from "./exit.js";
import type { FileWriteOptions } from "./files.js";
import { keepRead } from "./given-paths.js";
import type { Io } from "./io.js";
import { pathText } from "./option-values.js";

/** The value of an option for a result: `-` is standard output, by whatever name systems call it. */
export function outputPath(text: string): string {
  const path = pathText(text);
  return path === "/dev/stdout" || path === "/dev/fd/1" ? "-" : path;
}

/** @throws WriteError, whose message says where the content lies instead */
export async function saveResult(
  io: Io,
  path: string,
  content: string | Uint8Array,
  options: FileWriteOptions = {},
): Promise<void> {
  try {
    await io.files.write(path, content, options);
  } catch (error) {
    if (!(error instanceof WriteError)) throw error;
    const kept = await io.files.rescue(path, content).catch(() => undefined);
    const rest =
      kept === undefined
        ? "There is no room for it in the folder for temporary files either."
        : `It is kept in ${kept}: move it to where it belongs.`;
    throw new WriteError(`${error.message}\n${rest}`, { ...error.details, kept: kept ?? null }, { cause: error });
  }
}

/** For a result that is text: `-` is standard output. */
export async function saveText(io: Io, path: string, text: string): Promise<void> {
  if (path === "-") await io.stdout.write(text);
  else await saveResult(io, path, text);
}

/** Of several, each is saved whatever becomes of the others; those without a path are left out. @throws WriteError */
export async function saveTexts(
  io: Io,
  results: readonly (readonly [path: string | undefined, text: () => string])[],
): Promise<void> {
  const failures: WriteError[] = [];
  for (const [path, text] of results) {
    if (path === undefined) continue;
    try {
      await saveText(io, path, text());
    } catch (error) {
      if (!(error instanceof WriteError)) throw error;
      failures.push(error);
    }
  }
  if (failures.length <= 1) for (const failure of failures) throw failure;
  else throw new WriteError(failures.map(({ message }) => message).join("\n"));
}

/**
 * Before long work: whether its results can be written, each to a place of its own, and none over what is read.
 * @throws WriteError, UsageError
 */
export async function checkResults(
  io: Io,
  paths: readonly (string | undefined)[],
  read: readonly (string | undefined)[],
): Promise<void> {
  const given = paths.filter((path) => path !== undefined);
  for (const [at, path] of given.entries()) {
    for (const before of given.slice(0, at)) {
      if (before === path || (path !== "-" && before !== "-" && (await io.files.isSame(before, path))))
        throw new UsageError(`Two results cannot both be written to ${path}: give each its own.`);
    }
  }
  await keepRead(io, given, read);
  for (const path of given) if (path !== "-") await io.files.checkWritable(path);
}
