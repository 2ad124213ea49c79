/** The text model of a tokenizer.json: normalizer, added tokens of the normalized text, pre-tokenizer, word encoder. */
/// <reference path="./huggingface-modules.d.ts" />
import { SequenceNormalizer, SequencePreTokenizer } from "@huggingface/tokenizers";
import { UnsupportedError } from "../util/errors.js";
import { AddedTokens } from "./added-tokens.js";
import { CharacterMap } from "./character-map.js";
import type { HfAddedToken } from "./hf/vocabulary.js";
import type { IdList } from "./id-list.js";
import { type Fields, fieldsOf, listOf, textOf } from "./json-fields.js";
import type { TextModel, TextPlace } from "./text-model.js";

export interface WordEncoder {
  encodeWord(word: string, out: IdList): void;
}

/** Makes the word encoder, once the pre-tokenizer has told whether tokens are spelled in byte characters. */
export type MakeWordEncoder = (byteLevel: boolean) => WordEncoder;

const NORMALIZERS = new Set(
  "BertNormalizer Precompiled Sequence Replace NFC NFD NFKC NFKD Strip StripAccents Lowercase Prepend".split(" "),
);
const PRE_TOKENIZERS = new Set(
  "BertPreTokenizer Sequence Whitespace WhitespaceSplit Metaspace ByteLevel Split Punctuation Digits Replace FixedLength".split(
    " ",
  ),
);
/** The cut that ByteLevel makes itself, unless told not to. */
const GPT2_SPLIT = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

export class HfTextModel implements TextModel {
  readonly #normalizer: { normalize(text: string): string };
  readonly #preTokenizer: SequencePreTokenizer;
  readonly #normalizedTokens: AddedTokens;
  readonly #encoder: WordEncoder;
  readonly #prefixesSpace: boolean;

  constructor(json: Fields, added: readonly HfAddedToken[], makeEncoder: MakeWordEncoder) {
    const normalizers = steps(json.normalizer, "normalizers").map(normalizerOf);
    this.#normalizer = { normalize: (text) => normalizers.reduce<string>((sum, step) => step.normalize(sum), text) };
    const cuts = steps(json.pre_tokenizer, "pretokenizers");
    const byteLevel = cuts.findLast((step) => step.type === "ByteLevel");
    this.#prefixesSpace = byteLevel?.add_prefix_space === true;
    // The model spells bytes itself, once for each new word: here ByteLevel only cuts.
    const kept = cuts.flatMap((step) => (step === byteLevel ? byteLevelCut(step) : [digitsCut(step)]));
    this.#preTokenizer = new SequencePreTokenizer({
      type: "Sequence",
      pretokenizers: kept.map((step) => known(step, PRE_TOKENIZERS, "pre_tokenizer")),
    });
    this.#normalizedTokens = new AddedTokens(
      added
        .filter((token) => token.normalized)
        .map((token) => ({ ...token, text: this.#normalizer.normalize(token.text) })),
    );
    this.#encoder = makeEncoder(byteLevel !== undefined);
  }

  encode(text: string, place: TextPlace, out: IdList): void {
    const normalized = this.#normalizer.normalize(text);
    for (const section of this.#normalizedTokens.sections(normalized, place.parseSpecial)) {
      if ("token" in section) out.push(section.token.id);
      else this.#encodePlain(section.text, place.first && section.start === 0, out);
    }
  }

  #encodePlain(text: string, first: boolean, out: IdList): void {
    const spaced = this.#prefixesSpace && !text.startsWith(" ") ? ` ${text}` : text;
    const words = this.#preTokenizer.pre_tokenize(spaced, { section_index: first ? 0 : 1 });
    for (const word of words) this.#encoder.encodeWord(word, out);
  }
}

/** The steps of a normalizer or pre-tokenizer, sequences flattened. */
function steps(value: unknown, list: string, depth = 0): Fields[] {
  if (value === undefined || value === null) return [];
  const fields = fieldsOf(value, `tokenizer.json: ${list}`);
  if (fields.type !== "Sequence" || depth > 8) return [fields];
  return listOf(fields[list], `tokenizer.json: ${list}`).flatMap((step) => steps(step, list, depth + 1));
}

/** The library only imitates precompiled maps, so those are read here. */
function normalizerOf(step: Fields): { normalize(text: string): string } {
  const map = step.type === "Precompiled" ? textOf(step.precompiled_charsmap) : undefined;
  if (!map) return new SequenceNormalizer({ type: "Sequence", normalizers: [known(step, NORMALIZERS, "normalizer")] });
  const characters = new CharacterMap(Uint8Array.from(atob(map), (byte) => byte.charCodeAt(0)));
  return { normalize: (text) => characters.normalise(text) };
}

function byteLevelCut(step: Fields): Fields[] {
  if (step.use_regex === false) return [];
  return [{ type: "Split", pattern: { Regex: GPT2_SPLIT }, behavior: "Isolated", invert: false }];
}

/** Digits are all of Unicode's numbers; the library's own step knows 0 to 9 alone. */
function digitsCut(step: Fields): Fields {
  if (step.type !== "Digits") return step;
  const pattern = { Regex: step.individual_digits === true ? "\\p{N}" : "\\p{N}+" };
  return { type: "Split", pattern, behavior: "Isolated", invert: false };
}

function known(step: Fields, types: ReadonlySet<string>, what: string): Fields {
  const type = textOf(step.type) ?? "";
  if (types.has(type)) return step;
  throw new UnsupportedError(`tokenizer.json: the ${what} "${type}" isn't supported.`, { type });
}
