/** Where a command's text comes from: an option, a file, or standard input (`-`, or a pipe when nothing is given). */
import { UsageError } from "./exit.js";
import type { Input, Io } from "./io.js";
import { decodeUtf8 } from "./utf8.js";

export interface TextChoice {
  /** The text itself; may be empty. */
  readonly text?: string | undefined;
  /** A path, or `-` for standard input. */
  readonly file?: string | undefined;
  /** A newline at the end of a pipe, which `echo` puts there, is not part of the text; default: it is. */
  readonly endsLine?: boolean;
  /** How the text is given on the command line, for messages: `--prompt TEXT`. */
  readonly textOption: string;
}

/** @throws UsageError when two are given, or none and nothing is piped in; SluiceError (bad_text) for a text that is not UTF-8 */
export async function readText(choice: TextChoice, io: Io): Promise<string> {
  const { text, file, endsLine = false, textOption } = choice;
  if (text !== undefined && file !== undefined) throw new UsageError(`Give ${textOption} or --file, not both.`);
  if (text !== undefined) return text;
  if (file === undefined && io.stdin.isTTY) {
    throw new UsageError(`There is no text: give ${textOption}, --file FILE, or pipe the text in.`);
  }
  if (file !== undefined) return readTextFile(file, io);
  const piped = await readTextFile("-", io);
  return endsLine ? piped.replace(/\r?\n$/, "") : piped;
}

/** The text of a file, or of standard input for `-`. @throws SluiceError (file, bad_text) */
export async function readTextFile(path: string, io: Io): Promise<string> {
  if (path === "-") return decodeUtf8(await readAll(io.stdin), "Standard input");
  return decodeUtf8(await io.files.read(path), path);
}

async function readAll(input: Input): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of input) {
    chunks.push(chunk);
    size += chunk.length;
  }
  const all = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.length;
  }
  return all;
}
