/**
 * How a reader starts Sluice, so that hints can be run as they are shown: `sluice` is a command of the shell only where the
 * package is installed for all; beside a project it is `npx sluice`.
 */
export type CommandName = "sluice" | "npx sluice";

/** @param script what Node was started with (argv[1]): the link of an installation for all, or a file within a project */
export function commandName(script: string): CommandName {
  return /[\\/]node_modules[\\/]/.test(script) || !/[\\/]sluice$/.test(script) ? "npx sluice" : "sluice";
}

/** Command lines in a text: not the synopsis, and not what says `npx` already. */
const LINES =
  /(?<![\w./\\-]|npx |Usage: )sluice (?=(?:run|chat|stream|inspect|tokenize|demo|pull|eval|train|export|help)\b)/g;

/** A text with its command lines as they can be run here. */
export function runnable(text: string, { command }: { readonly command: CommandName }): string {
  return text.replace(LINES, `${command} `);
}
