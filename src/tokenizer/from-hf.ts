/**
 * A tokenizer from the files of a Hugging Face folder: tokenizer.json, tokenizer_config.json, special_tokens_map.json.
 * Normalizers and pre-tokenizers are @huggingface/tokenizers' own; merging and decoding are ours (ids instead of strings,
 * and streams). `clean_up_tokenization_spaces` is not applied: it would change the text that the model wrote.
 */
import { FormatError, UnsupportedError } from "../util/errors.js";
import { type AddedToken, AddedTokens } from "./added-tokens.js";
import { endIds } from "./end-tokens.js";
import { decoderBytes } from "./hf-decoder.js";
import { HfTextModel, type MakeWordEncoder } from "./hf-text-model.js";
import { type Fields, fieldsOf, isFields, listOf, nameOf, optionalFields, textOf, tokenName } from "./json-fields.js";
import { PairMergeModel } from "./pair-merge-model.js";
import type { HfTokenizerSource } from "./source.js";
import type { Tokenizer } from "./tokenizer.js";
import { Unigram } from "./unigram-model.js";
import { makeVocabulary, TokenKind, textsById, type Vocabulary } from "./vocabulary.js";
import { VocabularyTokenizer } from "./vocabulary-tokenizer.js";
import { WordPieces } from "./word-piece-model.js";

/** @throws FormatError for broken files, UnsupportedError for kinds of models, normalizers, decoders that are not known */
export function tokenizerFromHf(source: HfTokenizerSource): Tokenizer {
  const json = fieldsOf(source.tokenizerJson, "tokenizer.json");
  const config = optionalFields(source.tokenizerConfig, "tokenizer_config.json") ?? {};
  const specials = optionalFields(source.specialTokensMap, "special_tokens_map.json") ?? {};
  const model = fieldsOf(json.model, "tokenizer.json: model");
  const added = addedTokensOf(json);
  const kind = modelKind(model);
  const vocabulary = vocabularyOf(model, added, hasByteFallback(model, json));
  const id = (name: string) => vocabulary.ids.get(tokenName(config[name]) ?? tokenName(specials[name]) ?? "");
  const bosId = id("bos_token");
  const eosId = id("eos_token");
  const text = new HfTextModel(json, added, wordEncoder(kind, model, vocabulary));
  const around = aroundText(json.post_processor, vocabulary);
  return new VocabularyTokenizer({
    vocabulary,
    addedTokens: new AddedTokens(added.filter((token) => !token.normalized)),
    model: text,
    bytes: decoderBytes(json.decoder, vocabulary),
    bosId,
    eosId,
    endIds: endIds(vocabulary, [eosId]),
    prefix: withToken(around.prefix, bosId, config.add_bos_token, "start"),
    suffix: withToken(around.suffix, eosId, config.add_eos_token, "end"),
    chatTemplate: chatTemplateOf(config.chat_template),
  });
}

export interface HfAddedToken extends AddedToken {
  /** Looked for in the normalized text. */
  readonly normalized: boolean;
}

function addedTokensOf(json: Fields): HfAddedToken[] {
  const list = json.added_tokens === undefined ? [] : listOf(json.added_tokens, "tokenizer.json: added_tokens");
  return list.map((item, i) => {
    const token = fieldsOf(item, `tokenizer.json: added_tokens[${i}]`);
    const { id, content } = token;
    if (typeof id !== "number" || typeof content !== "string") {
      throw new FormatError(`tokenizer.json: added_tokens[${i}] needs a number "id" and a text "content".`);
    }
    const special = token.special === true;
    return {
      id,
      text: content,
      special,
      lstrip: token.lstrip === true,
      rstrip: token.rstrip === true,
      singleWord: token.single_word === true,
      normalized: typeof token.normalized === "boolean" ? token.normalized : !special,
    };
  });
}

function vocabularyOf(model: Fields, added: readonly HfAddedToken[], byteFallback: boolean): Vocabulary {
  const entries = Array.isArray(model.vocab)
    ? scoredTokens(model.vocab).map(([text], id) => [text, id] as const)
    : Object.entries(fieldsOf(model.vocab, "tokenizer.json: model.vocab"));
  // Added tokens last: where both name an id, theirs is the text.
  const texts = textsById([...entries, ...added.map((token) => [token.text, token.id] as const)]);
  const kinds = new Uint8Array(texts.length).fill(TokenKind.normal);
  if (byteFallback) {
    texts.forEach((text, id) => {
      if (text !== undefined && /^<0x[0-9A-F]{2}>$/.test(text)) kinds[id] = TokenKind.byte;
    });
  }
  for (const token of added) kinds[token.id] = token.special ? TokenKind.control : TokenKind.userDefined;
  return makeVocabulary(texts, kinds);
}

/** Unigram lists its tokens with their scores, in the order of their ids. */
function scoredTokens(vocab: readonly unknown[]): (readonly [text: string, score: number])[] {
  return vocab.map((entry, id) => {
    const [text, score] = Array.isArray(entry) ? entry : [];
    if (typeof text === "string" && typeof score === "number") return [text, score];
    throw new FormatError(`tokenizer.json: model.vocab[${id}] must be a text and its score.`, { token: id });
  });
}

function hasByteFallback(model: Fields, json: Fields): boolean {
  return model.byte_fallback === true || JSON.stringify(json.decoder ?? null).includes('"ByteFallback"');
}

const MODEL_KINDS = ["BPE", "WordPiece", "Unigram"] as const;
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
function wordEncoder(kind: ModelKind, model: Fields, vocabulary: Vocabulary): MakeWordEncoder {
  if (kind === "Unigram") {
    const scores = scoredTokens(listOf(model.vocab, "tokenizer.json: model.vocab")).map(([, score]) => score);
    const byteFallback = model.byte_fallback === true;
    const unknown = typeof model.unk_id === "number" ? model.unk_id : undefined;
    return () => new Unigram({ vocabulary, scores, unknownId: unknown, byteFallback });
  }
  const unknownId = vocabulary.ids.get(textOf(model.unk_token) ?? "");
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
  const affix = textOf(model.end_of_word_suffix) || textOf(model.continuing_subword_prefix);
  if (affix) throw new UnsupportedError(`tokenizer.json: BPE with the affix "${affix}" on words isn't supported.`);
  return (byteLevel) =>
    new PairMergeModel({
      vocabulary,
      merges: mergesOf(model.merges),
      byteLevel,
      byteFallback: model.byte_fallback === true,
      ignoreMerges: model.ignore_merges === true,
      unknownId,
      fuseUnknown: model.fuse_unk === true,
    });
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

/** The tokens that the post-processor puts around a single text. */
function aroundText(
  processor: unknown,
  vocabulary: Vocabulary,
): { readonly prefix: readonly number[]; readonly suffix: readonly number[] } {
  const fields = optionalFields(processor, "tokenizer.json: post_processor");
  if (!fields) return { prefix: [], suffix: [] };
  switch (fields.type) {
    case "Sequence": {
      const all = listOf(fields.processors, "tokenizer.json: post_processor.processors");
      const parts = all.map((part) => aroundText(part, vocabulary));
      return { prefix: parts.flatMap((part) => part.prefix), suffix: parts.flatMap((part) => part.suffix) };
    }
    case "BertProcessing":
    case "RobertaProcessing":
      return { prefix: pairId(fields.cls), suffix: pairId(fields.sep) };
    case "TemplateProcessing":
      return templateIds(listOf(fields.single, "tokenizer.json: post_processor.single"), vocabulary);
    default:
      return { prefix: [], suffix: [] };
  }
}

const pairId = (value: unknown) => (Array.isArray(value) && typeof value[1] === "number" ? [value[1]] : []);

function templateIds(items: readonly unknown[], vocabulary: Vocabulary) {
  const text = items.findIndex((item) => isFields(item) && "Sequence" in item);
  const ids = items.map((item) => {
    const special = isFields(item) && isFields(item.SpecialToken) ? textOf(item.SpecialToken.id) : undefined;
    return special === undefined ? undefined : vocabulary.ids.get(special);
  });
  const known = (list: readonly (number | undefined)[]) => list.filter((id) => id !== undefined);
  return { prefix: known(ids.slice(0, Math.max(text, 0))), suffix: known(ids.slice(text + 1)) };
}

/** `add_bos_token` and `add_eos_token` of the configuration have the last word over the post-processor. */
function withToken(ids: readonly number[], id: number | undefined, wanted: unknown, place: "start" | "end") {
  if (typeof wanted !== "boolean" || id === undefined || ids.includes(id) === wanted) return ids;
  if (!wanted) return ids.filter((other) => other !== id);
  return place === "start" ? [id, ...ids] : [...ids, id];
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
