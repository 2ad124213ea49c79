/** The text model of a GGUF vocabulary of the kind "t5": SentencePiece's normalisation, then Unigram over its words. */
import type { CharacterMap } from "./character-map.js";
import type { IdList } from "./id-list.js";
import { crossesWords, spaceMarkWords } from "./space-mark-words.js";
import type { TextModel, TextPlace } from "./text-model.js";
import type { Unigram } from "./unigram-model.js";
import { SPACE_MARK, type Vocabulary } from "./vocabulary.js";
import { WordCache } from "./word-cache.js";

export interface UnigramTextOptions {
  readonly vocabulary: Vocabulary;
  readonly unigram: Unigram;
  readonly characters: CharacterMap | undefined;
  /** A space goes before the text. */
  readonly addSpacePrefix: boolean;
  /** Runs of spaces count as one, and those around the text as none. */
  readonly mergeSpaces: boolean;
}

export class UnigramText implements TextModel {
  private readonly options: UnigramTextOptions;
  private readonly cutsAtSpaces: boolean;
  private readonly cache = new WordCache();

  constructor(options: UnigramTextOptions) {
    this.options = options;
    this.cutsAtSpaces = !options.vocabulary.texts.some((text) => text !== undefined && crossesWords(text));
  }

  encode(text: string, { check }: TextPlace, out: IdList): void {
    const marked = this.marked(text);
    if (marked === "") return;
    let words = 0;
    for (const word of this.cutsAtSpaces ? spaceMarkWords(marked) : [marked]) {
      if (words++ % 1024 === 0) check?.();
      const known = this.cache.get(word);
      if (known) {
        out.pushAll(known);
        continue;
      }
      const start = out.size;
      this.options.unigram.encodeWord(word, out, check);
      if (this.cutsAtSpaces) this.cache.set(word, out.from(start));
    }
  }

  /** The normalised text with U+2581 for spaces. */
  private marked(text: string): string {
    const { characters, addSpacePrefix, mergeSpaces } = this.options;
    const normal = characters ? characters.normalise(text) : text.normalize("NFKC");
    if (mergeSpaces) {
      const words = normal.split(" ").filter((word) => word !== "");
      return words.map((word) => SPACE_MARK + word).join("");
    }
    return normal === "" ? "" : (addSpacePrefix ? SPACE_MARK : "") + normal.replaceAll(" ", SPACE_MARK);
  }
}
