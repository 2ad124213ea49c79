/** The end of the demonstration: after the whole stream, the model writes on, as it would after any number of tokens. */
import type { Model, Session } from "../../engine/api.js";
import { formatCount } from "../figures.js";
import type { Io, Output } from "../io.js";
import type { EncodedText } from "../stream/encoded-text.js";
import { plainText, styles } from "../style.js";
import { describeContext } from "../usage-line.js";
import type { Written } from "./report.js";
import { WordWrap } from "./word-wrap.js";

const WRITTEN_TOKENS = 240;
/** Always the same text with one model. */
const SEED = 1;
/** Tokens and characters of the text just read that are shown before what is written. */
const TAIL_TOKENS = 80;
const TAIL_CHARACTERS = 240;

export interface WritingOptions {
  readonly output: Output;
  readonly signal: AbortSignal;
  /** Asked after each part: no time is left. */
  readonly late: () => boolean;
}

/** @param tokens of the text that the session has read */
export async function writeOn(
  io: Io,
  model: Model,
  session: Session,
  { text, tokens }: { readonly text: EncodedText; readonly tokens: number },
  { output, signal, late }: WritingOptions,
): Promise<Written> {
  const { bold, dim } = styles(output, io.env);
  const tail = await endOf(model, text.ids.subarray(0, text.opening + tokens));
  await output.write(`\n${bold(`The text, up to token ${formatCount(tokens)}:`)}\n`);
  await wrapped(output, plainText(tail), dim);
  await output.write(`\n${bold(`The model writes on, under ${session.context}:`)}\n`);
  const wrap = new WordWrap(output);
  let written = "";
  const options = { maxTokens: WRITTEN_TOKENS, temperature: 0.8, seed: SEED, ignoreEnd: true, signal };
  try {
    for await (const part of session.generate("", options)) {
      written += part.text;
      await wrap.write(plainText(part.text));
      if (late()) break;
    }
  } finally {
    await wrap.end();
    await output.write("\n");
  }
  await output.write("\n");
  await wrapped(output, describeContext(session.usage));
  return { context: session.context, text: written, usage: session.usage };
}

/** A paragraph. */
async function wrapped(output: Output, text: string, style?: (text: string) => string): Promise<void> {
  const wrap = new WordWrap(output, style);
  await wrap.write(text);
  await wrap.end();
  await output.write("\n");
}

/** The last words of the text. */
async function endOf(model: Model, ids: Int32Array): Promise<string> {
  const text = await model.decode(ids.subarray(-TAIL_TOKENS));
  const end = text.slice(-TAIL_CHARACTERS);
  // The first word may be cut, and so may a character in it.
  return `...${end.slice(Math.max(0, end.indexOf(" ")))}`.trimEnd();
}
