/**
 * A tokenizer from the files of a Hugging Face folder: tokenizer.json, tokenizer_config.json, special_tokens_map.json.
 * `clean_up_tokenization_spaces` is not applied: it would change the text that the model wrote.
 */
import { FormatError, UnsupportedError } from "../util/errors.js";
import { AddedTokens } from "./added-tokens.js";
import { endIds } from "./end-tokens.js";
import { decoderBytes } from "./hf/decoder.js";
import { aroundText, withToken } from "./hf/post-processor.js";
import { HfTextModel, type WordEncoding } from "./hf/text-model.js";
import { readVocabulary, scoredTokens } from "./hf/vocabulary.js";
import { type Fields, fieldsOf, isFields, listOf, nameOf, optionalFields, textOf } from "./json-fields.js";
import { PairMergeModel } from "./pair-merge-model.js";
import type { HfTokenizerSource } from "./source.js";
import type { Tokenizer } from "./tokenizer.js";
import { Unigram } from "./unigram-model.js";
import type { Vocabulary } from "./vocabulary.js";
import { VocabularyTokenizer } from "./vocabulary-tokenizer.js";
import { WholeWords } from "./whole-words.js";
import { WordPieces } from "./word-piece-model.js";

/**
 * `rows`: those of the embedding, if known.
 * @throws FormatError for broken files, UnsupportedError for kinds of models, normalizers, decoders that are not known
 */
export function tokenizerFromHf(source: HfTokenizerSource, rows?: number): Tokenizer {
  const json = fieldsOf(source.tokenizerJson, "tokenizer.json");
  const config = optionalFields(source.tokenizerConfig, "tokenizer_config.json") ?? {};
  const specials = optionalFields(source.specialTokensMap, "special_tokens_map.json") ?? {};
  const model = fieldsOf(json.model, "tokenizer.json: model");
  const kind = modelKind(model);
  const chatTemplate = chatTemplateOf(config.chat_template);
  const named = { startId: source.startId, endIds: source.endIds ?? [] };
  const read = readVocabulary({ json, model, config, specials, chatTemplate, rows, ...named });
  const { vocabulary, added, eosId } = read;
  const text = new HfTextModel(json, added, {
    spellsBytes: kind === "BPE",
    make: wordEncoder(kind, model, vocabulary),
  });
  const around = aroundText(json.post_processor, vocabulary);
  const prefix = withToken(around.prefix, read.bosId, config.add_bos_token, "start");
  return new VocabularyTokenizer({
    vocabulary,
    addedTokens: new AddedTokens(added.filter((token) => token.special || !token.normalized)),
    model: text,
    bytes: decoderBytes(json.decoder, vocabulary),
    // What the post-processor puts first is the start token, named or not.
    bosId: read.bosId ?? prefix[0],
    eosId,
    endIds: endIds(vocabulary, [eosId, ...named.endIds]),
    prefix,
    suffix: withToken(around.suffix, eosId, config.add_eos_token, "end"),
    chatTemplate,
    notes: read.notes,
  });
}

const MODEL_KINDS = ["BPE", "WordPiece", "Unigram", "WordLevel"] as const;
type ModelKind = (typeof MODEL_KINDS)[number];

/** @throws UnsupportedError for others */
function modelKind(model: Fields): ModelKind {
  const kind = textOf(model.type) ?? (model.merges === undefined ? "WordPiece" : "BPE");
  const known = MODEL_KINDS.find((name) => name === kind);
  if (known) return known;
  throw new UnsupportedError(
    `tokenizer.json: the model is of the type "${kind}"; ${MODEL_KINDS.join(", ")} are supported.`,
    { type: kind },
  );
}

/** What encodes the words that the pre-tokenizer makes. */
function wordEncoder(kind: ModelKind, model: Fields, vocabulary: Vocabulary): WordEncoding["make"] {
  if (kind === "Unigram") {
    const scores = scoredTokens(listOf(model.vocab, "tokenizer.json: model.vocab")).map(([, score]) => score);
    const byteFallback = model.byte_fallback === true;
    const unknown = unknownOfUnigram(model.unk_id, scores.length);
    return () => new Unigram({ vocabulary, scores, unknownId: unknown, byteFallback });
  }
  const unknownName = textOf(model.unk_token) ?? USUAL_UNKNOWN[kind];
  const unknownId = unknownName === undefined ? undefined : vocabulary.ids.get(unknownName);
  if (kind === "WordPiece") {
    const longest = model.max_input_chars_per_word;
    return () =>
      new WordPieces({
        vocabulary,
        wordPrefix: "",
        continuingPrefix: textOf(model.continuing_subword_prefix) ?? "##",
        unknownId,
        longestWord: typeof longest === "number" ? longest : 100,
      });
  }
  if (kind === "WordLevel") return () => new WholeWords(vocabulary, unknownId);
  if (typeof model.dropout === "number" && model.dropout > 0) {
    throw new UnsupportedError(
      `tokenizer.json: BPE with dropout ${model.dropout} gives other tokens each time; take it out.`,
    );
  }
  const affix = textOf(model.end_of_word_suffix) || textOf(model.continuing_subword_prefix);
  if (affix) throw new UnsupportedError(`tokenizer.json: BPE with the affix "${affix}" on words isn't supported.`);
  return (byteLevel) =>
    new PairMergeModel({
      vocabulary,
      merges: mergesOf(model.merges),
      byteLevel,
      byteFallback: model.byte_fallback === true,
      ignoreMerges: model.ignore_merges === true,
      unknownId: unknownName === undefined ? undefined : (unknownId ?? "missing"),
      fuseUnknown: model.fuse_unk === true,
      mergesThroughOthers: false,
    });
}

/** The unknown token where the file names none. */
const USUAL_UNKNOWN: Readonly<Partial<Record<ModelKind, string>>> = { WordPiece: "[UNK]", WordLevel: "<unk>" };

function unknownOfUnigram(id: unknown, pieces: number): number | undefined {
  if (id === undefined || id === null) return undefined;
  if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id < pieces) return id;
  throw new FormatError(
    `tokenizer.json: model.unk_id must be null or the id of one of the ${pieces} pieces; found ${JSON.stringify(id)}.`,
  );
}

function mergesOf(value: unknown): (readonly [string, string])[] {
  return listOf(value, "tokenizer.json: model.merges").map((merge, rank) => {
    const pair = typeof merge === "string" ? merge.split(" ") : merge;
    if (Array.isArray(pair) && pair.length === 2) {
      const [left, right] = pair;
      if (typeof left === "string" && typeof right === "string" && left !== "" && right !== "") return [left, right];
    }
    throw new FormatError(`tokenizer.json: merge ${rank} is ${JSON.stringify(merge)}; expected two tokens.`, {
      merge: rank,
    });
  });
}

/** A template, or a list of named ones: then the one named "default". */
function chatTemplateOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) {
    throw new FormatError(`tokenizer_config.json: chat_template must be a text or a list; found ${nameOf(value)}.`);
  }
  const named = value.filter(isFields);
  const chosen = named.find((item) => item.name === "default") ?? named[0];
  return textOf(chosen?.template);
}
