/** The pre-tokenizers of tokenizer.json, as Hugging Face's library has them: each right, or refused by name. */
import { FormatError, UnsupportedError } from "../../util/errors.js";
import { toByteLevel } from "../byte-level.js";
import { type Fields, textOf } from "../json-fields.js";
import { SPACE_MARK } from "../vocabulary.js";
import { compileExpression, compileText } from "./expression.js";
import type { Matcher } from "./expression-program.js";
import { arrange, type Behavior, behaviorOf, patternOf, stretches } from "./pattern.js";
import { scriptOf } from "./scripts.js";
import { flattenSteps } from "./steps.js";

/** A word on its way, and whether it begins the whole input. */
export interface Word {
  readonly text: string;
  readonly first: boolean;
}

type Check = (() => void) | undefined;
type Step = (word: Word, check: Check) => readonly Word[];

/** The cut that ByteLevel makes itself, unless told not to. */
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

export interface PreTokenization {
  /** The words of a text, in order. */
  words(text: string, first: boolean, check: Check): readonly string[];
  /** The last step spells words in byte characters and leaves it to the model, which does it once for each new word. */
  readonly byteLevel: boolean;
}

/** `spellsBytes`: the model spells bytes. @throws UnsupportedError for unknown steps, FormatError for broken ones */
export function preTokenizationOf(value: unknown, spellsBytes: boolean): PreTokenization {
  const all = flattenSteps(value, "pretokenizers");
  const byteLevel = spellsBytes && all.at(-1)?.type === "ByteLevel";
  const steps = all.map((step, i) => stepOf(step, byteLevel && i === all.length - 1));
  return {
    byteLevel,
    words(text, first, check) {
      let words: readonly Word[] = text === "" ? [] : [{ text, first }];
      for (const step of steps) {
        words = words.flatMap((word, i) => {
          if (i % 1024 === 0) check?.();
          return step(word, check);
        });
      }
      return words.map((word) => word.text);
    },
  };
}

function stepOf(step: Fields, bytesLater: boolean): Step {
  const type = textOf(step.type) ?? "";
  switch (type) {
    case "ByteLevel":
      return byteLevel(step, bytesLater);
    case "Metaspace":
      return metaspace(step);
    case "Split":
      return splitStep(step);
    case "Digits":
      return cuts("\\p{N}", step.individual_digits === true ? "Isolated" : "Contiguous");
    case "Punctuation":
      return cuts(PUNCTUATION, step.behavior === undefined ? "Isolated" : behaviorOf(step.behavior, "Punctuation"));
    case "Whitespace":
      // \w of Rust, which has the joiners.
      return cuts("[\\w\\x{200c}\\x{200d}]+|[^\\w\\x{200c}\\x{200d}\\s]+", "Removed", true);
    case "WhitespaceSplit":
      return cuts("\\s", "Removed");
    case "BertPreTokenizer":
      return chain(cuts("\\s", "Removed"), cuts(PUNCTUATION, "Isolated"));
    case "CharDelimiterSplit":
      return cutting(compileText(characterOf(step.delimiter, "CharDelimiterSplit: delimiter")), "Removed", false);
    case "FixedLength":
      return fixedLength(step);
    case "UnicodeScripts":
      return unicodeScripts;
    default:
      throw new UnsupportedError(`tokenizer.json: the pre_tokenizer "${type}" isn't supported.`, { type });
  }
}

/** ASCII's symbols count as punctuation. */
const PUNCTUATION = "[!-/:-@\\[-`{-~\\p{P}]";

const cuts = (expression: string, behavior: Behavior, invert = false): Step =>
  cutting(compileExpression(expression), behavior, invert);

function cutting(matcher: Matcher, behavior: Behavior, invert: boolean): Step {
  return ({ text, first }, check) => {
    const all = stretches(matcher, text, check);
    const turned = invert ? all.map((stretch) => ({ ...stretch, matched: !stretch.matched })) : all;
    return arrange(turned, behavior).map(({ start, end }) => ({
      text: text.slice(start, end),
      first: first && start === 0,
    }));
  };
}

function chain(one: Step, other: Step): Step {
  return (word, check) => one(word, check).flatMap((part) => other(part, check));
}

function splitStep(step: Fields): Step {
  if (typeof step.invert !== "boolean" && step.invert !== undefined) {
    throw new FormatError("tokenizer.json: the pre_tokenizer Split has an invert that is neither true nor false.");
  }
  const behavior = behaviorOf(step.behavior, "the pre_tokenizer Split");
  return cutting(patternOf(step.pattern, "the pre_tokenizer Split"), behavior, step.invert === true);
}

function byteLevel(step: Fields, bytesLater: boolean): Step {
  const spaced = (text: string) => (step.add_prefix_space !== false && !text.startsWith(" ") ? ` ${text}` : text);
  const cut: Step = step.use_regex === false ? (word) => [word] : cuts(GPT2, "Isolated");
  const spelled = ({ text, first }: Word): Word => ({ text: bytesLater ? text : toByteLevel(text), first });
  return ({ text, first }, check) => cut({ text: spaced(text), first }, check).map(spelled);
}

function metaspace(step: Fields): Step {
  const mark = step.replacement === undefined ? SPACE_MARK : characterOf(step.replacement, "Metaspace: replacement");
  const scheme = schemeOf(step);
  const cut: Step = step.split === false ? (word) => [word] : cutting(compileText(mark), "MergedWithNext", false);
  return ({ text, first }, check) => {
    const marked = text.replaceAll(" ", mark);
    const wanted = scheme === "always" || (scheme === "first" && first);
    return cut({ text: wanted && !marked.startsWith(mark) ? mark + marked : marked, first }, check);
  };
}

/** Older files say `add_prefix_space` instead. */
export function schemeOf(step: Fields): "always" | "first" | "never" {
  const scheme = step.prepend_scheme ?? (step.add_prefix_space === false ? "never" : "always");
  if (scheme === "always" || scheme === "first" || scheme === "never") {
    if (step.add_prefix_space === false && scheme !== "never") {
      throw new FormatError("tokenizer.json: Metaspace says both add_prefix_space: false and another prepend_scheme.");
    }
    return scheme;
  }
  throw new UnsupportedError(
    `tokenizer.json: Metaspace has the prepend_scheme ${JSON.stringify(scheme)}; always, first, never are supported.`,
  );
}

function characterOf(value: unknown, name: string): string {
  if (typeof value === "string" && [...value].length === 1) return value;
  throw new FormatError(`tokenizer.json: ${name} must be one character; found ${JSON.stringify(value)}.`);
}

function fixedLength(step: Fields): Step {
  const length = step.length ?? 5;
  if (typeof length !== "number" || !Number.isInteger(length) || length < 1) {
    throw new FormatError(
      `tokenizer.json: FixedLength needs a whole length from 1 on; found ${JSON.stringify(length)}.`,
    );
  }
  return ({ text, first }) => {
    const characters = [...text];
    const words: Word[] = [];
    for (let i = 0; i < characters.length; i += length) {
      words.push({ text: characters.slice(i, i + length).join(""), first: first && i === 0 });
    }
    return words;
  };
}

/** Cuts where the script changes. Spaces belong to what is before them; in front of all the library drops them. */
const unicodeScripts: Step = ({ text, first }) => {
  const words: Word[] = [];
  let start = -1;
  let at = 0;
  let last: string | undefined;
  for (const character of text) {
    const script = scriptOf(character);
    if (script !== undefined && last !== script) {
      if (start >= 0) words.push({ text: text.slice(start, at), first: first && start === 0 });
      start = at;
    }
    last = script ?? last;
    at += character.length;
  }
  if (start >= 0) words.push({ text: text.slice(start), first: first && start === 0 });
  return words;
};
