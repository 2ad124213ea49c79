/**
 * Ids of words seen before: natural text repeats its words, so most of a book is looked up instead of merged. Two
 * generations bound it: when the young one is full it becomes the old one, and what is used again moves back.
 */
const WORDS = 16_384;
const LONGEST_WORD = 32;

export class WordCache {
  private young = new Map<string, readonly number[]>();
  private old = new Map<string, readonly number[]>();

  get(word: string): readonly number[] | undefined {
    const young = this.young.get(word);
    if (young) return young;
    const old = this.old.get(word);
    if (old) this.add(word, old);
    return old;
  }

  set(word: string, ids: readonly number[]): void {
    if (word.length <= LONGEST_WORD) this.add(word, ids);
  }

  private add(word: string, ids: readonly number[]): void {
    if (this.young.size >= WORDS) {
      this.old = this.young;
      this.young = new Map();
    }
    this.young.set(ownCopy(word), ids);
  }
}

/** A slice of a string keeps the whole string alive; a cached word must not keep a book. */
function ownCopy(word: string): string {
  const units: number[] = [];
  for (let i = 0; i < word.length; i++) units.push(word.charCodeAt(i));
  return String.fromCharCode(...units);
}
