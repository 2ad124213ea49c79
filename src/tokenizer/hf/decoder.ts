/** The decoder of a tokenizer.json as bytes for each token, so that texts can be decoded as streams. */
import { UnsupportedError } from "../../util/errors.js";
import { type Fields, textOf } from "../json-fields.js";
import { SpelledTokenBytes } from "../token-bytes.js";
import { SPACE_MARK, type Vocabulary } from "../vocabulary.js";
import type { Matcher } from "./expression-program.js";
import { patternOf } from "./pattern.js";
import { schemeOf } from "./pre-tokenizers.js";
import { flattenSteps } from "./steps.js";

/** @throws UnsupportedError for decoders that a stream of tokens can't go through */
export function decoderBytes(decoder: unknown, vocabulary: Vocabulary): SpelledTokenBytes {
  const steps = flattenSteps(decoder, "decoders");
  const types = steps.map((step) => textOf(step.type) ?? "");
  const unknown = types.find((type) => !KNOWN.has(type));
  if (steps.length === 0) throw unsupported(`is missing; known are ${[...KNOWN].join(", ")}`);
  if (unknown !== undefined) throw unsupported(`"${unknown}" isn't supported; known are ${[...KNOWN].join(", ")}`);
  const main = steps.filter((step) => step.type !== "Fuse");
  const [first] = main;
  if (types.includes("ByteLevel")) {
    if (main.length > 1) throw unsupported("has other steps beside ByteLevel");
    return new SpelledTokenBytes({ vocabulary, spelling: "byte-level", stripsLeadingSpace: false });
  }
  if (types.includes("WordPiece")) {
    if (main.length > 1) throw unsupported("has other steps beside WordPiece");
    return new SpelledTokenBytes({
      vocabulary,
      spelling: "word-piece",
      stripsLeadingSpace: true,
      continuingPrefix: textOf(first.prefix) ?? "##",
      cleansSpaces: first.cleanup !== false,
    });
  }
  return pieces(steps, types, vocabulary);
}

const KNOWN = new Set(["ByteLevel", "WordPiece", "Metaspace", "Replace", "ByteFallback", "Fuse", "Strip"]);

/** Replacements token by token, bytes, then all put together, and perhaps a space taken from the front. */
function pieces(steps: readonly Fields[], types: readonly string[], vocabulary: Vocabulary): SpelledTokenBytes {
  const fuse = types.includes("Fuse") ? types.indexOf("Fuse") : types.length;
  const late = types.findIndex((type, i) => i > fuse && type !== "Strip" && type !== "Fuse");
  if (late >= 0) throw unsupported(`has ${types[late]} behind Fuse`);
  const strips = steps.filter((step) => step.type === "Strip");
  strips.forEach((step) => {
    const known = step.content === " " && (step.start === 1 || step.start === 0) && step.stop === 0;
    if (!known || steps.indexOf(step) < fuse) {
      throw unsupported("strips something else than one space from the front of the whole text");
    }
  });
  const spellers = steps.slice(0, fuse).flatMap(speller);
  const metaspace = steps.find((step) => step.type === "Metaspace");
  return new SpelledTokenBytes({
    vocabulary,
    spelling: "space-mark",
    spell: (text) => spellers.reduce((spelled, spell) => spell(spelled), text),
    stripsLeadingSpace: metaspace ? schemeOf(metaspace) !== "never" : strips.some((step) => step.start === 1),
  });
}

function speller(step: Fields): ((text: string) => string)[] {
  if (step.type === "Metaspace") {
    const mark = textOf(step.replacement) ?? SPACE_MARK;
    return [(text) => text.replaceAll(mark, " ")];
  }
  if (step.type !== "Replace") return [];
  const { content } = step;
  if (typeof content !== "string") throw unsupported("has a Replace without content");
  const matcher = patternOf(step.pattern, "the decoder Replace");
  return [(text) => replaced(matcher, text, content)];
}

function replaced(matcher: Matcher, text: string, content: string): string {
  let result = "";
  let last = 0;
  for (const [start, end] of matcher.matches(text)) {
    result += text.slice(last, start) + content;
    last = end;
  }
  return result + text.slice(last);
}

function unsupported(what: string): UnsupportedError {
  return new UnsupportedError(`tokenizer.json: the decoder ${what}.`);
}
