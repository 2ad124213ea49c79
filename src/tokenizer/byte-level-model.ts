/** The text model of GGUF's byte-level vocabularies: pre-tokenizer splits, then ranked merges. */
import type { IdList } from "./id-list.js";
import type { PairMergeModel } from "./pair-merge-model.js";
import { splitWords } from "./pre-tokenizers.js";
import type { TextModel } from "./text-model.js";

export class ByteLevelModel implements TextModel {
  constructor(
    readonly splits: readonly RegExp[],
    readonly merges: PairMergeModel,
  ) {}

  encode(text: string, _place: unknown, out: IdList): void {
    for (const word of splitWords(text, this.splits)) this.merges.encodeWord(word, out);
  }
}
