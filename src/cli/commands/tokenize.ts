/** `sluice tokenize`: a text's tokens, or the text of token ids. Weights are not read. */
import { type Command, InvalidArgumentError } from "commander";
import type { Tokenizer } from "../../tokenizer/tokenizer.js";
import { EXIT, UsageError } from "../exit.js";
import { counted } from "../figures.js";
import { untilInterrupted } from "../interrupt.js";
import type { Io } from "../io.js";
import { progressLine } from "../load-progress.js";
import { exampleHelp, MODEL_ARGUMENT } from "../model-options.js";
import { pathText } from "../option-values.js";
import { oneLine, styles } from "../style.js";
import { tableLines } from "../table.js";
import { readText } from "../text-input.js";

export interface TokenizeArguments {
  readonly model: string;
  readonly text?: string;
  readonly file?: string;
  readonly decode?: readonly number[];
  /** `--no-special` makes it false. */
  readonly special: boolean;
  readonly json?: boolean;
}

export function tokenizeCommand(command: Command): Command {
  return command
    .description("Show the tokens of a text, or with --decode the text of tokens.")
    .argument("<model>", MODEL_ARGUMENT)
    .argument("[text]", "the text; may also come from --file or standard input")
    .option("-f, --file <file>", "read the text from a UTF-8 file; - is standard input", pathText)
    .option("--decode <id...>", "write the text of these ids, separated by spaces or commas", tokenIds)
    .option("--no-special", "no start or end token; <|im_end|> and the like are plain text (decoding: left out)")
    .option("--json", "write JSON: ids, pieces and texts, or with --decode the text")
    .addHelpText(
      "after",
      exampleHelp([
        'sluice tokenize model.gguf "Hello, world"',
        "sluice tokenize model.gguf --file book.txt --no-special --json",
        "sluice tokenize model.gguf --decode 1 403 407",
      ]),
    );
}

/** @returns the exit code. @throws UsageError, FormatError and the other typed errors */
export async function tokenize(args: TokenizeArguments, io: Io): Promise<number> {
  if (args.decode && (args.text !== undefined || args.file !== undefined)) {
    throw new UsageError("Give a text or --decode, not both.");
  }
  const text = args.decode ? "" : await readText({ text: args.text, file: args.file, textOption: "TEXT" }, io);
  return untilInterrupted(io, async (signal) => {
    const tokenizer = await openTokenizer(args.model, io, signal);
    if (args.decode) await writeText(tokenizer, args.decode, args, io);
    else await writeTokens(tokenizer, text, args, io);
    return EXIT.ok;
  });
}

async function openTokenizer(model: string, io: Io, signal: AbortSignal): Promise<Tokenizer> {
  const progress = progressLine(io, false);
  try {
    const checkpoint = await io.runtime.openCheckpoint(model, { signal, onProgress: progress.onProgress });
    try {
      return await io.runtime.openTokenizer(checkpoint);
    } finally {
      await checkpoint.close();
    }
  } finally {
    await progress.end();
  }
}

async function writeTokens(tokenizer: Tokenizer, text: string, args: TokenizeArguments, io: Io): Promise<void> {
  const ids = [...tokenizer.encode(text, { addSpecial: args.special, parseSpecial: args.special })];
  const pieces = ids.map((id) => tokenizer.tokenText(id));
  if (args.json) {
    const texts = ids.map((id) => textOf(tokenizer, id));
    await io.stdout.write(`${JSON.stringify({ ids, pieces, texts })}\n`);
    return;
  }
  const columns = [
    { header: "id", align: "right" },
    { header: "text", align: "left" },
    { header: "piece", align: "left" },
  ] as const;
  // The text stands in quotes, so that a space at its beginning is seen; in the vocabulary it has a form of its own.
  const rows = ids.map((id, index) => [String(id), quotedText(tokenizer, id), oneLine(pieces[index])]);
  const { bold } = styles(io.stdout, io.env);
  for (const line of tableLines(columns, rows, bold)) await io.stdout.write(`${line}\n`);
  if (io.stderr.isTTY) await io.stderr.write(`${counted(ids.length, "token")}\n`);
}

/**
 * What a token adds to a text, or null for bytes that are no whole character. Alone some tokenizers drop the space before a
 * word, so the token is decoded behind another one.
 */
function textOf(tokenizer: Tokenizer, id: number): string | null {
  const [before] = tokenizer.encode("a", { addSpecial: false, parseSpecial: false });
  if (before === undefined) return tokenizer.decode([id], { special: true });
  const first = tokenizer.decode([before], { special: true });
  const both = tokenizer.decode([before, id], { special: true });
  const text = both.startsWith(first) ? both.slice(first.length) : tokenizer.decode([id], { special: true });
  return text.includes("\ufffd") ? null : text;
}

function quotedText(tokenizer: Tokenizer, id: number): string {
  const text = textOf(tokenizer, id);
  return text === null ? "(part of a character)" : oneLine(JSON.stringify(text));
}

async function writeText(tokenizer: Tokenizer, ids: readonly number[], args: TokenizeArguments, io: Io): Promise<void> {
  const unknown = ids.find((id) => id >= tokenizer.vocabSize);
  if (unknown !== undefined) {
    throw new UsageError(`Token id ${unknown} is not in the vocabulary; expected 0 to ${tokenizer.vocabSize - 1}.`);
  }
  const text = tokenizer.decode(ids, { special: args.special });
  if (args.json) await io.stdout.write(`${JSON.stringify({ ids, text })}\n`);
  // As in `run`: exactly the text, unless a person reads it.
  else await io.stdout.write(io.stdout.isTTY ? `${text}\n` : text);
}

function tokenIds(value: string, gathered: readonly number[] = []): number[] {
  const ids = value.split(",").filter((part) => part.trim() !== "");
  const wrong = ids.find((id) => !/^\s*\d{1,9}\s*$/.test(id));
  if (wrong !== undefined || ids.length === 0) throw new InvalidArgumentError("Expected token ids, such as 1 403 407.");
  return [...gathered, ...ids.map(Number)];
}
