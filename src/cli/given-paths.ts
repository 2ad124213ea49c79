/**
 * Paths as they are given: an empty one, as an unset variable of a shell leaves it, is wrong usage, and so is a result
 * that would be written over what the command reads.
 */
import { type Command, InvalidArgumentError } from "commander";
import { UsageError } from "./exit.js";
import type { Io } from "./io.js";

/** How the help calls the values that are paths. */
const PATHS: ReadonlySet<string> = new Set(["file", "folder", "path", "config"]);

const WEIGHTS = /\.(gguf|safetensors)$/i;

/** Lets a command, and those below it, refuse empty texts where paths are expected. */
export function refuseEmptyPaths(command: Command): void {
  for (const option of command.options) {
    if (PATHS.has(/<(\w+)>/.exec(option.flags)?.[1] ?? "")) option.argParser(notEmpty(option.parseArg));
  }
  for (const argument of command.registeredArguments) {
    if (PATHS.has(argument.name())) argument.argParser(notEmpty(argument.parseArg));
  }
  for (const below of command.commands) refuseEmptyPaths(below);
}

type Parse = (text: string, before: unknown) => unknown;

function notEmpty(parse: Parse | undefined): Parse {
  return (text, before) => {
    if (text === "") throw new InvalidArgumentError("Expected a path; found an empty text.");
    return parse ? parse(text, before) : text;
  };
}

/** @throws UsageError when a result would take the place of one of the files that are read, or of a model's weights */
export async function keepRead(
  io: Io,
  results: readonly string[],
  read: readonly (string | undefined)[],
): Promise<void> {
  for (const result of results.filter((path) => path !== "-")) {
    if (WEIGHTS.test(result) && (await io.files.exists(result))) {
      throw new UsageError(
        `${result} has the weights of a model, and a result would take their place. Choose another path.`,
      );
    }
    for (const path of read) {
      if (path === undefined || path === "-" || !(await io.files.isSame(result, path))) continue;
      const read = result === path ? "is read here" : `is ${path}, which is read here`;
      throw new UsageError(`${result} ${read}, and a result would take its place. Choose another path.`);
    }
  }
}
