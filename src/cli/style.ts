/** Colours where a terminal shows them (NO_COLOR and TERM=dumb are respected), and texts of others made safe to print. */
import type { Output } from "./io.js";

export interface Styles {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** https://no-color.org: any value but the empty one turns colours off. */
export function styles(output: Output, env: Environment): Styles {
  const on = output.isTTY && !env.NO_COLOR && env.TERM !== "dumb";
  const wrap = (open: number, close: number) => (text: string) => (on ? `\x1b[${open}m${text}\x1b[${close}m` : text);
  return { bold: wrap(1, 22), dim: wrap(2, 22), red: wrap(31, 39) };
}

/**
 * Text from a file or a model for a report: control characters (terminal escapes among them) become \uXXXX; line ends
 * and tabs stay.
 */
export function plainText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, escapeCharacter);
}

/** The same on one line: line ends and tabs are escaped too. */
export function oneLine(text: string): string {
  return plainText(text).replaceAll("\n", "\\n").replaceAll("\t", "\\t");
}

function escapeCharacter(character: string): string {
  if (character === "\r") return "\\r";
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
