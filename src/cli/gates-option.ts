/** `--gates FILE`: gates of a model's heads, by the names that `duo:NAME` policies use. */
import { basename } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { GATES_NAME } from "../context/gates/index.js";
import { parsePolicy } from "../context/policy-text.js";
import { pathText } from "./option-values.js";

export interface GatesFlags {
  /** Files by name. */
  readonly gates?: Readonly<Record<string, string>>;
}

export function addGatesOption(command: Command): Command {
  return command.option(
    "--gates <file>",
    "gates of the model's heads for duo policies, which call them by the file's name; NAME=FILE gives another; may be repeated",
    gatherGates,
  );
}

/** `FILE` or `NAME=FILE`, gathered over several options. */
function gatherGates(text: string, gathered: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf("=");
  const path = pathText(text.slice(at + 1));
  const name = at < 0 ? basename(path) : text.slice(0, at);
  if (!GATES_NAME.test(name)) {
    throw new InvalidArgumentError(
      `Gates cannot be called "${name}" in a policy: a name has letters, digits, ".", "_" and "-". Give them one: NAME=FILE.`,
    );
  }
  if (Object.hasOwn(gathered, name)) {
    throw new InvalidArgumentError(
      `Two files of gates cannot both be called "${name}". Give one another name: NAME=FILE.`,
    );
  }
  return { ...gathered, [name]: path };
}

/** Before a model is loaded: whether policies call only gates that are given. @throws PolicyError */
export function checkGates({ gates = {} }: GatesFlags, contexts: readonly (string | undefined)[]): void {
  const known = new Map(Object.keys(gates).map((name) => [name, null]));
  for (const context of contexts) if (context !== undefined) parsePolicy(context, { gates: known });
}

/** Whether a policy, not `auto`, has heads that free nothing: its text ends at contextLength. */
export function keepsAll(context: string): boolean {
  const { budget, wholePrompts } = parsePolicy(context);
  return budget === undefined && !wholePrompts;
}

/** The files that are read. */
export function gatesPaths({ gates = {} }: GatesFlags): string[] {
  return Object.values(gates);
}
