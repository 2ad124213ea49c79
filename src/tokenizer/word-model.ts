/** The text model of GGUF's vocabularies with ranked merges: the pre-tokenizer cuts, each word is merged. */
import type { IdList } from "./id-list.js";
import type { PairMergeModel } from "./pair-merge-model.js";
import type { PreTokenizer } from "./pre-tokenizers.js";
import { splitWords } from "./split-words.js";
import type { TextModel, TextPlace } from "./text-model.js";
import { SPACE_MARK } from "./vocabulary.js";

export class WordModel implements TextModel {
  constructor(
    readonly pre: PreTokenizer,
    readonly merges: PairMergeModel,
  ) {}

  encode(text: string, { check }: TextPlace, out: IdList): void {
    const { splits, marksSpaces } = this.pre;
    const marked = marksSpaces ? text.replaceAll(" ", SPACE_MARK) : text;
    splitWords(marked, splits).forEach((word, i) => {
      if (i % 1024 === 0) check?.();
      this.merges.encodeWord(word, out, check);
    });
  }
}
