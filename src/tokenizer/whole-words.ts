/** The model WordLevel of tokenizer.json: a word is a token, or unknown. */
import type { IdList } from "./id-list.js";
import { noTokenFor } from "./no-token.js";
import type { WordEncoder } from "./text-model.js";
import { isSteering, type Vocabulary } from "./vocabulary.js";

export class WholeWords implements WordEncoder {
  constructor(
    readonly vocabulary: Vocabulary,
    readonly unknownId: number | undefined,
  ) {}

  /** @throws FormatError for an unknown word where there is no unknown token */
  encodeWord(word: string, out: IdList): void {
    const { ids, kinds } = this.vocabulary;
    const id = ids.get(word);
    const known = id !== undefined && !isSteering(kinds[id]) ? id : this.unknownId;
    if (known === undefined) throw noTokenFor(word);
    out.push(known);
  }
}
