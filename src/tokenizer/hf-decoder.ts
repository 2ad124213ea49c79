/** The decoder of a tokenizer.json as bytes for each token, so that texts can be decoded as streams. */
import { UnsupportedError } from "../util/errors.js";
import { type Fields, fieldsOf, listOf, optionalFields, textOf } from "./json-fields.js";
import { SpelledTokenBytes } from "./token-bytes.js";
import { SPACE_MARK, type Vocabulary } from "./vocabulary.js";

/** @throws UnsupportedError for decoders whose tokens don't stand for themselves */
export function decoderBytes(decoder: unknown, vocabulary: Vocabulary): SpelledTokenBytes {
  const steps = flatten(optionalFields(decoder, "tokenizer.json: decoder"));
  const types = steps.map((step) => textOf(step.type) ?? "");
  const has = (type: string) => types.includes(type);
  const unsupported = types.find((type) => !KNOWN.has(type));
  if (steps.length === 0 || unsupported !== undefined) {
    throw new UnsupportedError(
      `tokenizer.json: the decoder ${unsupported === undefined ? "is missing" : `"${unsupported}" isn't supported`}; ` +
        `supported are ${[...KNOWN].join(", ")}.`,
    );
  }
  if (has("ByteLevel")) return new SpelledTokenBytes({ vocabulary, spelling: "byte-level", stripsLeadingSpace: false });
  const wordPiece = steps.find((step) => step.type === "WordPiece");
  if (wordPiece) {
    return new SpelledTokenBytes({
      vocabulary,
      spelling: "word-piece",
      stripsLeadingSpace: true,
      continuingPrefix: textOf(wordPiece.prefix) ?? "##",
      cleansSpaces: wordPiece.cleanup !== false,
    });
  }
  const metaspace = steps.find((step) => step.type === "Metaspace");
  const stripsLeadingSpace = metaspace ? metaspace.prepend_scheme !== "never" : steps.some(stripsSpace);
  const replace = steps.find((step) => step.type === "Replace");
  const mark = metaspace ? metaspace.replacement : replace && fieldsOf(replace.pattern, "decoder.pattern").String;
  if (mark !== undefined && mark !== SPACE_MARK) {
    throw new UnsupportedError(
      `tokenizer.json: the decoder takes ${JSON.stringify(mark)} for a space; expected U+2581.`,
    );
  }
  return new SpelledTokenBytes({ vocabulary, spelling: "space-mark", stripsLeadingSpace });
}

const KNOWN = new Set(["ByteLevel", "WordPiece", "Metaspace", "Replace", "ByteFallback", "Fuse", "Strip"]);

const stripsSpace = (step: Fields) => step.type === "Strip" && step.content === " " && step.start === 1;

function flatten(decoder: Fields | undefined, depth = 0): Fields[] {
  if (!decoder) return [];
  if (decoder.type !== "Sequence" || depth > 8) return [decoder];
  const list = listOf(decoder.decoders, "tokenizer.json: decoder.decoders");
  return list.flatMap((step) => flatten(fieldsOf(step, "tokenizer.json: decoder.decoders"), depth + 1));
}
