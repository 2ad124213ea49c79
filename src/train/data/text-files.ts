/**
 * Training texts: files and folders of .txt, .md and .jsonl, read in pieces, so that a file may be larger than memory.
 */
import { FormatError, NotFoundError } from "../../util/errors.js";
import type { ByteSource, Platform } from "../../util/platform.js";

export const TEXT_ENDINGS = [".txt", ".md", ".jsonl"] as const;

/** Deeper folders are links that lead in circles. */
const DEEPEST_FOLDER = 32;
const READ_BYTES = 2 ** 20;
/** A piece is given as soon as it has so many characters; a line of JSON may have many more. */
const PIECE_CHARACTERS = 2 ** 20;
/** A line of JSON, or a text without a place to cut. */
const LONGEST_PIECE = 2 ** 28;

/** A stretch of a document. */
export interface TextPiece {
  readonly text: string;
  /** The document ends here. */
  readonly last: boolean;
}

/**
 * The text files at a location: itself, or all below a folder, in the order of their names. A file that is named itself
 * may have any ending. @throws NotFoundError where there are none
 */
export async function textFiles(location: string, platform: Pick<Platform, "list">): Promise<readonly string[]> {
  const found = await platform.list(location);
  if (found === undefined) throw new NotFoundError(`There is nothing at '${location}'. Check the path.`);
  if (found === "file") return [location];
  const files = await filesBelow(location, found, platform, DEEPEST_FOLDER);
  if (files.length > 0) return files;
  throw new NotFoundError(`The folder '${location}' has no texts: no file ends in ${TEXT_ENDINGS.join(", ")}.`);
}

async function filesBelow(
  folder: string,
  names: readonly string[],
  platform: Pick<Platform, "list">,
  depth: number,
): Promise<string[]> {
  if (depth === 0) throw new FormatError(`'${folder}' lies more than ${DEEPEST_FOLDER} folders deep.`);
  const files: string[] = [];
  for (const name of [...names].sort()) {
    const path = `${folder.replace(/\/$/, "")}/${name}`;
    const found = await platform.list(path);
    if (found === "file") {
      if (TEXT_ENDINGS.some((ending) => name.toLowerCase().endsWith(ending))) files.push(path);
    } else if (found) files.push(...(await filesBelow(path, found, platform, depth - 1)));
  }
  return files;
}

/**
 * The documents of a file, in pieces: one document, or one for each line of a .jsonl file, its field "text". Pieces are cut
 * before a white space that follows a letter or a digit, where byte-level tokenizers cut anyway: their tokens are those of
 * the whole. @throws NotFoundError, FormatError
 */
export async function* textPieces(
  location: string,
  platform: Pick<Platform, "open">,
): AsyncGenerator<TextPiece, void, undefined> {
  const source = await platform.open(location);
  try {
    if (location.toLowerCase().endsWith(".jsonl")) yield* jsonLines(source);
    else yield* plainPieces(source);
  } finally {
    await source.close();
  }
}

async function* plainPieces(source: ByteSource): AsyncGenerator<TextPiece, void, undefined> {
  let text = "";
  for await (const part of decoded(source)) {
    const known = text.length < PIECE_CHARACTERS ? 0 : text.length;
    text += part;
    const end = text.length >= PIECE_CHARACTERS ? cutAt(text, known) : 0;
    if (end > 0) yield { text: text.slice(0, end), last: false };
    text = text.slice(end);
    if (text.length > LONGEST_PIECE) {
      throw new FormatError(
        `'${source.name}' has more than ${LONGEST_PIECE} characters without a letter or a digit before a space or a line's end.`,
      );
    }
  }
  yield { text, last: true };
}

const WORD_AND_SPACE = /[\p{L}\p{N}]\p{White_Space}/u;

/**
 * The last place before a white space behind a letter or a digit; 0 for none. Punctuation may keep the white space behind it.
 * @param known so many characters have none
 */
function cutAt(text: string, known: number): number {
  for (let i = text.length - 1; i >= Math.max(1, known); i--)
    if (WORD_AND_SPACE.test(text.slice(i - 1, i + 1))) return i;
  return 0;
}

async function* jsonLines(source: ByteSource): AsyncGenerator<TextPiece, void, undefined> {
  let text = "";
  let line = 0;
  for await (const part of decoded(source)) {
    const lines = part.split("\n");
    lines[0] = text + lines[0];
    text = lines.pop() ?? "";
    for (const json of lines) yield* jsonLine(json, `${source.name}, line ${++line}`);
    if (text.length > LONGEST_PIECE) {
      throw new FormatError(`${source.name}, line ${line + 1} has more than ${LONGEST_PIECE} characters.`);
    }
  }
  yield* jsonLine(text, `${source.name}, line ${line + 1}`);
}

function* jsonLine(json: string, place: string): Generator<TextPiece, void, undefined> {
  if (json.trim() === "") return;
  const value = parsed(json, place);
  const text = typeof value === "object" && value !== null && "text" in value ? value.text : undefined;
  if (typeof text !== "string") {
    throw new FormatError(`${place}: expected an object with a field "text" that is a text.`);
  }
  yield { text, last: true };
}

function parsed(json: string, place: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new FormatError(`${place} is no JSON: ${error instanceof Error ? error.message : String(error)}.`);
  }
}

/** A file's text, megabyte by megabyte. */
async function* decoded(source: ByteSource): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (let at = 0; at < source.size; at += READ_BYTES) {
    const bytes = new Uint8Array(Math.min(READ_BYTES, source.size - at));
    await source.read(at, bytes);
    try {
      yield decoder.decode(bytes, { stream: at + bytes.length < source.size });
    } catch {
      throw new FormatError(`'${source.name}' is no UTF-8 text (near byte ${at}). Convert it first.`, { offset: at });
    }
  }
}
