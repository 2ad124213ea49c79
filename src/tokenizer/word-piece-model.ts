/**
 * WordPiece (BERT): each word is covered from the left by the longest tokens that fit; a word that can't be covered is
 * one unknown token. HF vocabularies mark pieces inside a word with "##"; GGUF marks the first piece with U+2581.
 * (Devlin et al. 2019, https://arxiv.org/abs/1810.04805)
 */
import type { IdList } from "./id-list.js";
import { noTokenFor } from "./no-token.js";
import type { TextModel, TextPlace } from "./text-model.js";
import { isSteering, SPACE_MARK, type Vocabulary } from "./vocabulary.js";

export interface WordPieceOptions {
  readonly vocabulary: Vocabulary;
  /** What the first piece of a word begins with. */
  readonly wordPrefix: string;
  /** What every further piece of a word begins with. */
  readonly continuingPrefix: string;
  readonly unknownId: number | undefined;
  /** Longer words (in characters) are unknown. */
  readonly longestWord: number;
}

export class WordPieces {
  private readonly options: WordPieceOptions;
  private readonly longestToken: number;

  constructor(options: WordPieceOptions) {
    this.options = options;
    this.longestToken = options.vocabulary.texts.reduce((most, text) => Math.max(most, text?.length ?? 0), 0);
  }

  /** @throws FormatError for an unknown word where there is no unknown token */
  encodeWord(word: string, out: IdList): void {
    const { wordPrefix, continuingPrefix, unknownId, longestWord } = this.options;
    const start = out.size;
    const text = wordPrefix + word;
    let covered = word.length <= 2 * longestWord && [...word].length <= longestWord;
    let at = 0;
    while (covered && at < text.length) {
      const end = this.longest(text, at, at === 0 ? "" : continuingPrefix, out);
      covered = end > at;
      at = end;
    }
    if (covered) return;
    out.truncate(start);
    if (unknownId === undefined) throw noTokenFor(word);
    out.push(unknownId);
  }

  /** Puts the longest token at a place of the word; returns its end, or the place itself where none fits. */
  private longest(text: string, at: number, prefix: string, out: IdList): number {
    const { ids, kinds } = this.options.vocabulary;
    for (let end = Math.min(text.length, at + this.longestToken); end > at; end--) {
      const id = ids.get(prefix + text.slice(at, end));
      if (id === undefined || isSteering(kinds[id])) continue;
      out.push(id);
      return end;
    }
    return at;
  }
}

/** The text model of GGUF's WordPiece vocabularies. */
export class WordPieceModel implements TextModel {
  private readonly pieces: WordPieces;

  constructor(vocabulary: Vocabulary, unknownId: number | undefined) {
    this.pieces = new WordPieces({
      vocabulary,
      wordPrefix: SPACE_MARK,
      continuingPrefix: "",
      unknownId,
      longestWord: Number.MAX_SAFE_INTEGER,
    });
  }

  encode(text: string, { check }: TextPlace, out: IdList): void {
    bertWords(text).forEach((word, i) => {
      if (i % 1024 === 0) check?.();
      this.pieces.encodeWord(word, out);
    });
  }
}

/** Han characters stand alone, punctuation (with all of ASCII's symbols) too; the rest are runs. */
const BERT_WORD =
  /[\p{P}!-/:-@[-`{-~\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]|[^\p{White_Space}\p{P}!-/:-@[-`{-~\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]+/gu;

/** BERT's uncased words: accents stripped, lower case, control characters dropped. */
function bertWords(text: string): readonly string[] {
  const plain = text
    .normalize("NFD")
    .replace(/\p{Mn}|(?![\t\n\r])\p{C}|\uFFFD/gu, "")
    .toLowerCase();
  return plain.match(BERT_WORD) ?? [];
}
