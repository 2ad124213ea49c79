/** The normalizers of tokenizer.json, as Hugging Face's library has them: each right, or refused by name. */
import { FormatError, UnsupportedError } from "../../util/errors.js";
import { toByteLevel } from "../byte-level.js";
import { CharacterMap } from "../character-map.js";
import { type Fields, textOf } from "../json-fields.js";
import { patternOf } from "./pattern.js";
import { flattenSteps } from "./steps.js";

export type Normalize = (text: string, check?: () => void) => string;

/** What a text may grow to: one step may replace a letter by a sentence, thirty of them fill the memory. */
const MOST_GROWTH = 64;
const LEAST_LIMIT = 1 << 20;
/** Longer texts are normalised in pieces between which the caller is asked. */
const PIECE = 1 << 16;

/** All steps one after the other. @throws UnsupportedError for unknown ones, FormatError for broken ones */
export function normalizerOf(value: unknown): Normalize {
  const steps = flattenSteps(value, "normalizers").map(stepOf);
  return (text, check) => {
    const limit = Math.max(LEAST_LIMIT, MOST_GROWTH * text.length);
    return steps.reduce((sum, step) => {
      check?.();
      const next = step(sum, check);
      if (next.length <= limit) return next;
      throw new UnsupportedError(
        `tokenizer.json: the normalizer makes ${next.length} characters of a text of ${text.length}; at most ` +
          `${limit} are supported.`,
      );
    }, text);
  };
}

function stepOf(step: Fields): Normalize {
  const type = textOf(step.type) ?? "";
  switch (type) {
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return (text) => text.normalize(type);
    case "Lowercase":
      return lowercase;
    case "StripAccents":
      return (text) => text.replace(/\p{M}/gu, "");
    case "Strip":
      return strip(step.strip_left === true, step.strip_right === true);
    case "Prepend":
      return prepend(step);
    case "Replace":
      return replace(step);
    case "Nmt":
      return nmt;
    case "Precompiled":
      return precompiled(step);
    case "BertNormalizer":
      return bert(step);
    case "ByteLevel":
      return toByteLevel;
    default:
      throw new UnsupportedError(`tokenizer.json: the normalizer "${type}" isn't supported.`, { type });
  }
}

/** Letter by letter, so a final sigma is one like any other. */
const lowercase: Normalize = (text) => text.replace(/\p{Changes_When_Lowercased}/gu, (letter) => letter.toLowerCase());

function strip(left: boolean, right: boolean): Normalize {
  return (text) => {
    const from = left ? text.search(/\P{White_Space}/u) : 0;
    if (from < 0) return "";
    return right ? text.slice(from).replace(/(?<!\p{White_Space})\p{White_Space}+$/u, "") : text.slice(from);
  };
}

function prepend(step: Fields): Normalize {
  const { prepend } = step;
  if (typeof prepend !== "string")
    throw new FormatError('tokenizer.json: the normalizer Prepend needs a text "prepend".');
  return (text) => (text === "" ? "" : prepend + text);
}

function replace(step: Fields): Normalize {
  const { content } = step;
  if (typeof content !== "string")
    throw new FormatError('tokenizer.json: the normalizer Replace needs a text "content".');
  const pattern = patternOf(step.pattern, "the normalizer Replace");
  return (text, check) => {
    const parts: string[] = [];
    let length = 0;
    let last = 0;
    const limit = Math.max(LEAST_LIMIT, MOST_GROWTH * text.length);
    for (const [start, end] of pattern.matches(text, check)) {
      parts.push(text.slice(last, start), content);
      length += start - last + content.length;
      // What is beyond is refused by its length; the rest need not be made.
      if (length > limit) return "\0".repeat(limit + 1);
      last = end;
    }
    return last === 0 && parts.length === 0 ? text : parts.join("") + text.slice(last);
  };
}

/** SentencePiece's nmt_nfkc without NFKC: control characters go, odd spaces become spaces. */
const nmt: Normalize = (text) =>
  text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is removed
    .replace(/[\u0001-\u0008\u000b\u000e-\u001f\u007f\u008f\u009f]/g, "")
    .replace(/[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g, " ");

function precompiled(step: Fields): Normalize {
  const map = textOf(step.precompiled_charsmap);
  if (!map) return (text) => text;
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.from(atob(map), (byte) => byte.charCodeAt(0));
  } catch {
    throw new FormatError("tokenizer.json: the precompiled_charsmap of the normalizer is not Base64.");
  }
  const characters = new CharacterMap(bytes);
  return (text, check) => inPieces(text, (piece) => characters.normalise(piece), check);
}

/** Cut between a space and the next character, where no replacement reaches over. */
function inPieces(text: string, normalize: (piece: string) => string, check?: () => void): string {
  if (text.length <= PIECE) return normalize(text);
  const parts: string[] = [];
  for (let start = 0; start < text.length; ) {
    check?.();
    const space = text.indexOf(" ", start + PIECE);
    const end = space < 0 ? text.length : space;
    parts.push(normalize(text.slice(start, end)));
    start = end;
  }
  return parts.join("");
}

const HAN =
  /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu;

function bert(step: Fields): Normalize {
  const lower = step.lowercase !== false;
  const accents = typeof step.strip_accents === "boolean" ? step.strip_accents : lower;
  return (text) => {
    let clean = text;
    if (step.clean_text !== false) {
      clean = clean.replace(/(?![\t\n\r])[\p{C}\ufffd]/gu, "").replace(/\p{White_Space}/gu, " ");
    }
    if (step.handle_chinese_chars !== false) clean = clean.replace(HAN, " $& ");
    if (accents) clean = clean.normalize("NFD").replace(/\p{Mn}/gu, "");
    return lower ? lowercase(clean) : clean;
  };
}
