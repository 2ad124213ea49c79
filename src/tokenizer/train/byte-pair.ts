/**
 * Trains a byte-level byte-pair vocabulary (Sennrich et al. 2016, 1508.07909; bytes as in GPT-2) and gives it as a
 * tokenizer.json: special tokens first, then the 256 bytes, then one token for each merge. Numbers are cut into digits, as
 * SmolLM and StarCoder do, so that a model reads and copies them digit by digit.
 *
 * The same words give the same vocabulary, in whatever order they come: of pairs that are equally frequent, the one whose
 * left token has the lower id is merged, then the one whose right token has. A pair that spells a token which is there
 * already (another way to it, or a special token) isn't merged.
 */
import { ArgumentError } from "../../util/errors.js";
import { charOfByte } from "../byte-level.js";
import { PairCounts } from "./pair-counts.js";
import type { Pair } from "./pair-heap.js";
import { type ByteLevelJson, byteLevelJson } from "./tokenizer-json.js";
import { WordCounter } from "./word-counter.js";

export interface BytePairOptions {
  /** Tokens in all: special ones, 256 bytes and merges. Fewer come out where the texts have no more pairs. */
  readonly vocabularySize: number;
  /** Texts of the tokens that steer the model, such as `<|endoftext|>`; their ids are 0, 1, ... */
  readonly specialTokens: readonly string[];
  /** A pair that occurs more rarely isn't merged; default 2. */
  readonly leastCount?: number;
  /** Called now and then; what it throws ends the training. */
  readonly onProgress?: (tokens: number, vocabularySize: number) => void | Promise<void>;
}

const BYTES = 256;
/** What pairs of ids are counted by, and readers support. */
const MOST_TOKENS = 2 ** 20;
const PROGRESS_EVERY = 64;

const encoder = new TextEncoder();

/**
 * Trains on texts, or on words that were counted before (texts that don't fit into memory together).
 * @throws ArgumentError for sizes and special tokens that make no vocabulary
 */
export async function trainBytePair(
  texts: Iterable<string> | WordCounter,
  options: BytePairOptions,
): Promise<ByteLevelJson> {
  const { vocabularySize, specialTokens, leastCount = 2, onProgress } = options;
  checkOptions(options);
  const { counts } = texts instanceof WordCounter ? texts : WordCounter.of(texts);
  const tokens = [...specialTokens, ...Array.from({ length: BYTES }, (_, byte) => charOfByte(byte))];
  const known = new Set(tokens);
  const merges: [string, string][] = [];
  const words = Array.from(counts.keys(), (word) => byteIds(word, specialTokens.length));
  const pairs = new PairCounts(words, [...counts.values()]);
  while (tokens.length < vocabularySize) {
    const pair = mostFrequentNew(pairs, tokens, known);
    if (!pair || pair.count < leastCount) break;
    const text = tokens[pair.left] + tokens[pair.right];
    pairs.merge(pair, tokens.length);
    merges.push([tokens[pair.left], tokens[pair.right]]);
    known.add(text);
    tokens.push(text);
    if (tokens.length % PROGRESS_EVERY === 0) await onProgress?.(tokens.length, vocabularySize);
  }
  await onProgress?.(tokens.length, vocabularySize);
  return byteLevelJson(tokens, merges, specialTokens.length);
}

function mostFrequentNew(pairs: PairCounts, tokens: readonly string[], known: ReadonlySet<string>): Pair | undefined {
  let pair = pairs.takeMostFrequent();
  while (pair && known.has(tokens[pair.left] + tokens[pair.right])) pair = pairs.takeMostFrequent();
  return pair;
}

function byteIds(word: string, firstId: number): Int32Array {
  return Int32Array.from(encoder.encode(word), (byte) => firstId + byte);
}

function checkOptions({ vocabularySize, specialTokens }: BytePairOptions): void {
  const least = BYTES + specialTokens.length;
  if (!Number.isInteger(vocabularySize) || vocabularySize < least || vocabularySize > MOST_TOKENS) {
    throw new ArgumentError(
      `A vocabulary of 256 bytes and ${specialTokens.length} special tokens has ${least} to ${MOST_TOKENS} tokens; ` +
        `found ${vocabularySize}.`,
      { vocabularySize, least },
    );
  }
  const bad = specialTokens.find((text, i) => text.length < 2 || specialTokens.indexOf(text) !== i);
  if (bad !== undefined) {
    throw new ArgumentError(
      `Special tokens have two characters at least and differ from each other; found ${JSON.stringify(bad)}. ` +
        "Use a form that no text has, such as <|endoftext|>.",
    );
  }
}
