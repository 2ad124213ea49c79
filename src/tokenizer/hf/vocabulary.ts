/**
 * The vocabulary of a Hugging Face folder: the model's tokens, those that tokenizer.json and tokenizer_config.json add, and
 * which of them steer the model, whatever their flags say.
 */
import { FormatError } from "../../util/errors.js";
import type { AddedToken } from "../added-tokens.js";
import { withControlTokens } from "../control-tokens.js";
import { type Fields, fieldsOf, isFields, listOf, tokenName } from "../json-fields.js";
import { isSteering, makeVocabulary, TokenKind, textsById, type Vocabulary } from "../vocabulary.js";

export interface HfVocabulary {
  readonly vocabulary: Vocabulary;
  readonly added: readonly HfAddedToken[];
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly notes: readonly string[];
}

export interface VocabularyFiles {
  readonly json: Fields;
  readonly model: Fields;
  readonly config: Fields;
  readonly specials: Fields;
  /** Of config.json and generation_config.json. */
  readonly startId: number | undefined;
  readonly endIds: readonly number[];
  readonly chatTemplate: string | undefined;
  /** Rows of the embedding, if known. */
  readonly rows: number | undefined;
}

/** @throws FormatError for broken lists */
export function readVocabulary(files: VocabularyFiles): HfVocabulary {
  const { json, model, config, specials, rows } = files;
  const everyAdded = [...addedTokensOf(json.added_tokens), ...furtherTokens(json, config)];
  const listed = everyAdded.filter(({ id }) => rows === undefined || id < rows);
  const vocabulary = vocabularyOf(model, listed, hasByteFallback(model, json));
  const named = (name: string) => vocabulary.ids.get(tokenName(config[name]) ?? tokenName(specials[name]) ?? "");
  const known = (id: number | undefined) => (id !== undefined && vocabulary.texts[id] !== undefined ? id : undefined);
  const bosId = named("bos_token") ?? known(files.startId);
  const eosId = named("eos_token") ?? known(files.endIds[0]);
  const marked = withControlTokens(vocabulary, {
    limits: [bosId, eosId, ...files.endIds.map(known)],
    others: ["unk_token", "pad_token", "sep_token", "cls_token", "mask_token"].map(named),
    chatTemplate: files.chatTemplate,
  });
  return { vocabulary: marked, added: withSteering(listed, marked), bosId, eosId, notes: noteOf(everyAdded, rows) };
}

/** Texts of tokens added beyond the embedding are left out, as the model has no row for them. */
function noteOf(added: readonly HfAddedToken[], rows = Number.POSITIVE_INFINITY): string[] {
  const beyond = [...new Set(added.filter(({ id }) => id >= rows).map(({ text }) => text))];
  if (beyond.length === 0) return [];
  const some = beyond.slice(0, 5).map((text) => JSON.stringify(text));
  return [
    `The tokenizer adds ${beyond.length} token${beyond.length === 1 ? "" : "s"} beyond the ${rows} rows of the embedding ` +
      `(${some.join(", ")}${beyond.length > 5 ? ", ..." : ""}): left out, so their texts are read as plain text.`,
  ];
}

/** Steering tokens are found as such whatever tokenizer.json says of them, also those that only the model lists. */
function withSteering(added: readonly HfAddedToken[], { texts, kinds }: Vocabulary): HfAddedToken[] {
  const listed = new Set(added.map(({ id }) => id));
  const all = added.map((token) => (isSteering(kinds[token.id]) ? { ...token, special: true } : token));
  texts.forEach((text, id) => {
    if (text === undefined || listed.has(id) || !isSteering(kinds[id])) return;
    all.push({ id, text, special: true, normalized: false });
  });
  return all;
}

export interface HfAddedToken extends AddedToken {
  /** Looked for in the normalized text. */
  readonly normalized: boolean;
}

function addedTokensOf(value: unknown): HfAddedToken[] {
  const list = value === undefined || value === null ? [] : listOf(value, "tokenizer.json: added_tokens");
  return list.map((item, i) => addedToken(fieldsOf(item, `tokenizer.json: added_tokens[${i}]`), `added_tokens[${i}]`));
}

/** Tokens that tokenizer_config.json alone adds, as its library does. */
function furtherTokens(json: Fields, config: Fields): HfAddedToken[] {
  if (!isFields(config.added_tokens_decoder)) return [];
  const listed = new Set(Array.isArray(json.added_tokens) ? json.added_tokens.map((token) => Object(token).id) : []);
  return Object.entries(config.added_tokens_decoder).flatMap(([id, token]) =>
    isFields(token) && !listed.has(Number(id))
      ? [addedToken({ ...token, id: Number(id) }, `added_tokens_decoder["${id}"]`)]
      : [],
  );
}

function addedToken(token: Fields, place: string): HfAddedToken {
  const { id, content } = token;
  if (typeof id !== "number" || typeof content !== "string") {
    throw new FormatError(`tokenizer.json: ${place} needs a number "id" and a text "content".`);
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
export function scoredTokens(vocab: readonly unknown[]): (readonly [text: string, score: number])[] {
  return vocab.map((entry, id) => {
    const [text, score] = Array.isArray(entry) ? entry : [];
    if (typeof text === "string" && typeof score === "number") return [text, score];
    throw new FormatError(`tokenizer.json: model.vocab[${id}] must be a text and its score.`, { token: id });
  });
}

function hasByteFallback(model: Fields, json: Fields): boolean {
  return model.byte_fallback === true || JSON.stringify(json.decoder ?? null).includes('"ByteFallback"');
}
