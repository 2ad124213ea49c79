/** The model WordLevel of tokenizer.json: a word is a token, or unknown. */
import type { IdList } from "./id-list.js";
import type { WordEncoder } from "./text-model.js";
import { isSteering, type Vocabulary } from "./vocabulary.js";

export class WholeWords implements WordEncoder {
  constructor(
    readonly vocabulary: Vocabulary,
    readonly unknownId: number | undefined,
  ) {}

  encodeWord(word: string, out: IdList): void {
    const { ids, kinds } = this.vocabulary;
    const id = ids.get(word);
    const known = id !== undefined && !isSteering(kinds[id]) ? id : this.unknownId;
    if (known !== undefined) out.push(known);
  }
}
