/** The text model of a tokenizer.json: normalizer, added tokens of the normalized text, pre-tokenizer, word encoder. */
import { AddedTokens } from "../added-tokens.js";
import type { IdList } from "../id-list.js";
import type { Fields } from "../json-fields.js";
import type { TextModel, TextPlace, WordEncoder } from "../text-model.js";
import { type Normalize, normalizerOf } from "./normalizers.js";
import { type PreTokenization, preTokenizationOf } from "./pre-tokenizers.js";
import type { HfAddedToken } from "./vocabulary.js";

export interface WordEncoding {
  /** The model spells words in byte characters itself, if its last step says so. */
  readonly spellsBytes: boolean;
  /** Makes the word encoder, once the pre-tokenizer has told whether tokens are spelled in byte characters. */
  readonly make: (byteLevel: boolean) => WordEncoder;
}

export class HfTextModel implements TextModel {
  private readonly normalize: Normalize;
  private readonly preTokenization: PreTokenization;
  private readonly normalizedTokens: AddedTokens;
  private readonly encoder: WordEncoder;

  constructor(json: Fields, added: readonly HfAddedToken[], words: WordEncoding) {
    this.normalize = normalizerOf(json.normalizer);
    this.preTokenization = preTokenizationOf(json.pre_tokenizer, words.spellsBytes);
    this.normalizedTokens = new AddedTokens(
      added.filter((token) => token.normalized).map((token) => ({ ...token, text: this.normalize(token.text) })),
    );
    this.encoder = words.make(this.preTokenization.byteLevel);
  }

  encode(text: string, place: TextPlace, out: IdList): void {
    const normalized = this.normalize(text, place.check);
    for (const section of this.normalizedTokens.sections(normalized, place.parseSpecial)) {
      if ("token" in section) out.push(section.token.id);
      else this.encodePlain(section.text, place.first && section.start === 0, place, out);
    }
  }

  private encodePlain(text: string, first: boolean, { check }: TextPlace, out: IdList): void {
    const words = this.preTokenization.words(text, first, check);
    words.forEach((word, i) => {
      if (i % 1024 === 0) check?.();
      this.encoder.encodeWord(word, out, check);
    });
  }
}
