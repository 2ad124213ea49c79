/**
 * A tokenizer from GGUF metadata (`tokenizer.ggml.*`). The keys' meaning and defaults are those of the GGUF
 * specification and of llama.cpp, whose ids the tests hold us to.
 */
import { FormatError, UnsupportedError } from "../util/errors.js";
import { type AddedToken, AddedTokens } from "./added-tokens.js";
import { CharacterMap } from "./character-map.js";
import { withControlTokens } from "./control-tokens.js";
import { endIds } from "./end-tokens.js";
import { GgufFields } from "./gguf-fields.js";
import { PairMergeModel } from "./pair-merge-model.js";
import { preTokenizer } from "./pre-tokenizers.js";
import { ScoreMergeModel } from "./score-merge-model.js";
import { SpelledTokenBytes } from "./token-bytes.js";
import type { Tokenizer } from "./tokenizer.js";
import { Unigram } from "./unigram-model.js";
import { UnigramText } from "./unigram-text.js";
import { isSteering, makeVocabulary, SPACE_MARK, TokenKind, type Vocabulary } from "./vocabulary.js";
import { type TokenizerParts, VocabularyTokenizer } from "./vocabulary-tokenizer.js";
import { WordModel } from "./word-model.js";
import { WordPieceModel } from "./word-piece-model.js";

/** @throws FormatError for missing or broken metadata, UnsupportedError for vocabularies of other kinds */
export function tokenizerFromGguf(metadata: ReadonlyMap<string, unknown>): Tokenizer {
  const fields = new GgufFields(metadata);
  const kind = fields.text("tokenizer.ggml.model");
  if (kind === undefined) {
    throw new FormatError(
      "The file has no tokenizer: tokenizer.ggml.model is missing. Use a GGUF file with a vocabulary.",
    );
  }
  switch (kind) {
    case "llama":
      return new VocabularyTokenizer(scoreMergeParts(fields));
    case "gpt2":
      return new VocabularyTokenizer(rankedMergeParts(fields, "default"));
    case "gemma4":
      return new VocabularyTokenizer(rankedMergeParts(fields, "gemma4"));
    case "bert":
      return new VocabularyTokenizer(wordPieceParts(fields));
    case "t5":
      return new VocabularyTokenizer(unigramParts(fields));
    default:
      throw new UnsupportedError(
        `The tokenizer is of the kind "${kind}" (tokenizer.ggml.model); "llama" (SentencePiece BPE), "gpt2" (byte-level BPE), ` +
          '"bert" (WordPiece) and "t5" (SentencePiece Unigram) are supported.',
        { model: kind },
      );
  }
}

function scoreMergeParts(fields: GgufFields): TokenizerParts {
  const vocabulary = vocabularyOf(fields);
  const scores =
    fields.numbers("tokenizer.ggml.scores", vocabulary.texts.length) ?? new Float32Array(vocabulary.texts.length);
  const addSpacePrefix = fields.flag("tokenizer.ggml.add_space_prefix") ?? true;
  const unknownId = fields.id("tokenizer.ggml.unknown_token_id", vocabulary) ?? idOfKind(vocabulary, TokenKind.unknown);
  const model = new ScoreMergeModel({ vocabulary, scores, addSpacePrefix, unknownId });
  const bytes = new SpelledTokenBytes({ vocabulary, spelling: "space-mark", stripsLeadingSpace: addSpacePrefix });
  const defaults = { bosId: controlId(vocabulary, "<s>"), eosId: controlId(vocabulary, "</s>"), addsBos: true };
  return { ...commonParts(fields, vocabulary, defaults), model, bytes };
}

/** Ranked merges: "gpt2" in byte characters, and "gemma4", whose tokens are spelled as they are. */
function rankedMergeParts(fields: GgufFields, defaultPre: string): TokenizerParts {
  const vocabulary = vocabularyOf(fields);
  const pre = preTokenizer(fields.text("tokenizer.ggml.pre") ?? defaultPre);
  const merges = new PairMergeModel({
    vocabulary,
    merges: fields.texts("tokenizer.ggml.merges").map(splitMerge),
    byteLevel: pre.byteLevel,
    byteFallback: !pre.byteLevel,
    ignoreMerges: pre.ignoreMerges,
    unknownId: undefined,
    fuseUnknown: false,
    mergesThroughOthers: true,
  });
  const spelling = pre.byteLevel ? "byte-level" : "space-mark";
  const bytes = new SpelledTokenBytes({ vocabulary, spelling, stripsLeadingSpace: false });
  const defaults = { bosId: undefined, eosId: undefined, addsBos: pre.addsBos };
  return { ...commonParts(fields, vocabulary, defaults), model: new WordModel(pre, merges), bytes };
}

function wordPieceParts(fields: GgufFields): TokenizerParts {
  const vocabulary = vocabularyOf(fields);
  const unknownId = fields.id("tokenizer.ggml.unknown_token_id", vocabulary) ?? vocabulary.ids.get("[UNK]");
  const separator = fields.id("tokenizer.ggml.seperator_token_id", vocabulary) ?? vocabulary.ids.get("[SEP]");
  const bytes = new SpelledTokenBytes({
    vocabulary,
    spelling: "space-mark",
    stripsLeadingSpace: true,
    cleansSpaces: true,
  });
  const start = fields.id("tokenizer.ggml.cls_token_id", vocabulary) ?? vocabulary.ids.get("[CLS]");
  const common = commonParts(fields, vocabulary, { bosId: start, eosId: separator, addsBos: true });
  const addsSeparator =
    fields.flag("tokenizer.ggml.add_sep_token") ?? fields.flag("tokenizer.ggml.add_eos_token") ?? true;
  return {
    ...common,
    suffix: addsSeparator && separator !== undefined ? [separator] : [],
    model: new WordPieceModel(vocabulary, unknownId),
    bytes,
  };
}

function unigramParts(fields: GgufFields): TokenizerParts {
  const vocabulary = vocabularyOf(fields);
  const scores = fields.numbers("tokenizer.ggml.scores", vocabulary.texts.length);
  if (!scores) throw new FormatError("The tokenizer is incomplete: tokenizer.ggml.scores is missing.");
  const unknownId = fields.id("tokenizer.ggml.unknown_token_id", vocabulary) ?? idOfKind(vocabulary, TokenKind.unknown);
  const map = fields.bytes("tokenizer.ggml.precompiled_charsmap");
  const addSpacePrefix = fields.flag("tokenizer.ggml.add_space_prefix") ?? true;
  const model = new UnigramText({
    vocabulary,
    unigram: new Unigram({ vocabulary, scores, unknownId, byteFallback: true }),
    characters: map && new CharacterMap(map),
    addSpacePrefix,
    mergeSpaces: fields.flag("tokenizer.ggml.remove_extra_whitespaces") ?? false,
  });
  const bytes = new SpelledTokenBytes({ vocabulary, spelling: "space-mark", stripsLeadingSpace: addSpacePrefix });
  const defaults = { bosId: undefined, eosId: controlId(vocabulary, "</s>"), addsBos: false, addsEos: true };
  return { ...commonParts(fields, vocabulary, defaults), model, bytes };
}

interface Defaults {
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly addsBos: boolean;
  readonly addsEos?: boolean;
}

/** What all kinds read alike: special ids, what is put around a text, added tokens, chat template. */
function commonParts(
  fields: GgufFields,
  vocabulary: Vocabulary,
  defaults: Defaults,
): Omit<TokenizerParts, "model" | "bytes"> {
  const id = (name: string) => fields.id(`tokenizer.ggml.${name}_token_id`, vocabulary);
  const bosId = id("bos") ?? defaults.bosId;
  const eosId = id("eos") ?? defaults.eosId;
  const addsBos = fields.flag("tokenizer.ggml.add_bos_token") ?? defaults.addsBos;
  const addsEos = fields.flag("tokenizer.ggml.add_eos_token") ?? defaults.addsEos ?? false;
  return {
    vocabulary,
    addedTokens: new AddedTokens(addedTokensOf(vocabulary, fields.text("general.name") ?? "")),
    bosId,
    eosId,
    endIds: endIds(vocabulary, [eosId, id("eot"), id("eom")]),
    prefix: addsBos && bosId !== undefined ? [bosId] : [],
    suffix: addsEos && eosId !== undefined ? [eosId] : [],
    chatTemplate: fields.text("tokenizer.chat_template"),
  };
}

function vocabularyOf(fields: GgufFields): Vocabulary {
  const texts = fields.texts("tokenizer.ggml.tokens");
  if (texts.length === 0) throw new FormatError("The tokenizer has no tokens: tokenizer.ggml.tokens is empty.");
  const types = fields.numbers("tokenizer.ggml.token_type", texts.length);
  const kinds = Uint8Array.from({ length: texts.length }, (_, id) => kindOf(types?.[id]));
  const vocabulary = makeVocabulary(texts, kinds);
  const id = (name: string) => fields.id(`tokenizer.ggml.${name}_token_id`, vocabulary);
  return withControlTokens(vocabulary, {
    limits: ["bos", "eos", "eot", "eom"].map(id),
    others: OTHER_NAMES.map(id),
    chatTemplate: fields.text("tokenizer.chat_template"),
  });
}

/** Further keys of the form `tokenizer.ggml.*_token_id`. */
const OTHER_NAMES = "unknown seperator padding mask cls fim_pre fim_suf fim_mid fim_pad fim_rep fim_sep".split(" ");

/** What is no number of GGUF's is a plain word, as in files without types. */
const kindOf = (type: number | undefined): number =>
  type !== undefined && type >= TokenKind.normal && type <= TokenKind.byte ? type : TokenKind.normal;

/** Phi-3's special tokens take the white space after them; GGUF has no field for it, llama.cpp goes by the name too. */
const TAKES_SPACE_AFTER = /phi-?3/i;
const TAKES_NOTHING = new Set(["<unk>", "<s>", "<|endoftext|>"]);

function addedTokensOf(vocabulary: Vocabulary, modelName: string): AddedToken[] {
  const rstrip = TAKES_SPACE_AFTER.test(modelName);
  const added: AddedToken[] = [];
  vocabulary.texts.forEach((text, id) => {
    const kind = vocabulary.kinds[id];
    if (text === undefined) return;
    if (isSteering(kind)) {
      added.push({ id, text, special: true, rstrip: rstrip && !TAKES_NOTHING.has(text) });
    } else if (kind === TokenKind.userDefined) {
      added.push({ id, text, special: false, rstrip });
      // Some files spell the spaces of added tokens as SentencePiece does; texts have them as spaces.
      if (text.includes(SPACE_MARK)) added.push({ id, text: text.replaceAll(SPACE_MARK, " "), special: false, rstrip });
    }
  });
  return added;
}

function controlId(vocabulary: Vocabulary, text: string): number | undefined {
  const id = vocabulary.ids.get(text);
  return id !== undefined && vocabulary.kinds[id] !== TokenKind.normal ? id : undefined;
}

function idOfKind(vocabulary: Vocabulary, kind: number): number | undefined {
  const id = vocabulary.kinds.indexOf(kind);
  return id < 0 ? undefined : id;
}

/** "a b" into its two tokens; the first character is never the separator. */
function splitMerge(merge: string, rank: number): readonly [string, string] {
  const space = merge.indexOf(" ", 1);
  if (space < 0 || space === merge.length - 1) {
    throw new FormatError(
      `Merge ${rank} of the tokenizer is ${JSON.stringify(merge)}; expected two tokens with a space between them.`,
      { merge: rank },
    );
  }
  return [merge.slice(0, space), merge.slice(space + 1)];
}
