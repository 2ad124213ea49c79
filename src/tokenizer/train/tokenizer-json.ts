/**
 * The written forms of a trained byte-level vocabulary: tokenizer.json and tokenizer_config.json of a Hugging Face folder,
 * and the keys of GGUF. All cut texts alike: readers of GGUF know the cut by its name.
 */
import { ArgumentError, FormatError, UnsupportedError } from "../../util/errors.js";
import { fieldsOf, isFields, listOf, textOf, tokenName } from "../json-fields.js";
import { TokenKind, textsById } from "../vocabulary.js";

export interface ByteLevelJson {
  readonly version: "1.0";
  readonly truncation: null;
  readonly padding: null;
  readonly added_tokens: readonly Readonly<Record<string, string | number | boolean>>[];
  readonly normalizer: null;
  readonly pre_tokenizer: { readonly type: "Sequence"; readonly pretokenizers: readonly object[] };
  readonly post_processor: null;
  readonly decoder: object;
  readonly model: {
    readonly type: "BPE";
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (readonly [string, string])[];
  } & Readonly<Record<string, unknown>>;
}

const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };

/** @param tokens by id, the special ones first */
export function byteLevelJson(
  tokens: readonly string[],
  merges: readonly (readonly [string, string])[],
  specials: number,
): ByteLevelJson {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: tokens.slice(0, specials).map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, BYTE_LEVEL] },
    post_processor: null,
    decoder: BYTE_LEVEL,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((text, id) => [text, id])),
      merges,
    },
  };
}

export interface SpecialTokenNames {
  /** The token that ends a text; default: the first special one. */
  readonly eosToken?: string;
  /** The token that a text begins with; default: the one that ends a text. */
  readonly bosToken?: string;
  /** Every text is read with the start token in front; default false. */
  readonly addBos?: boolean;
}

/** tokenizer_config.json beside a tokenizer.json. @throws ArgumentError for tokens that it doesn't have */
export function tokenizerConfig(tokenizerJson: unknown, names: SpecialTokenNames = {}): Record<string, unknown> {
  const { eos, bos } = namedTokens(specialIds(tokenizerJson), names);
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    add_bos_token: names.addBos ?? false,
    bos_token: bos.text,
    eos_token: eos.text,
    clean_up_tokenization_spaces: false,
  };
}

/** Values as GGUF's plain types: numbers are u32, Int32Array an array of i32. */
export type GgufTokenizerValue = string | number | boolean | readonly string[] | Int32Array;

/**
 * A byte-level tokenizer.json as `tokenizer.ggml.*` keys.
 * @throws UnsupportedError for one that no name of `tokenizer.ggml.pre` is known for, FormatError for a broken one
 */
export function ggufTokenizerKeys(
  tokenizerJson: unknown,
  names: SpecialTokenNames = {},
): ReadonlyMap<string, GgufTokenizerValue> {
  const json = fieldsOf(tokenizerJson, "tokenizer.json");
  const model = fieldsOf(json.model, "tokenizer.json: model");
  const specials = specialIds(json);
  const { eos, bos } = namedTokens(specials, names);
  const entries = Object.entries(fieldsOf(model.vocab, "tokenizer.json: model.vocab"));
  const texts = textsById([...entries, ...specials]);
  const gap = texts.indexOf(undefined);
  if (gap >= 0) throw new FormatError(`tokenizer.json has no token ${gap}; GGUF lists tokens without gaps.`);
  const control = new Set(specials.map(([, id]) => id));
  return new Map<string, GgufTokenizerValue>([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", ggufPreTokenizer(json.pre_tokenizer)],
    ["tokenizer.ggml.tokens", texts.map(String)],
    [
      "tokenizer.ggml.token_type",
      Int32Array.from(texts, (_, id) => (control.has(id) ? TokenKind.control : TokenKind.normal)),
    ],
    ["tokenizer.ggml.merges", ggufMerges(model.merges)],
    ["tokenizer.ggml.bos_token_id", bos.id],
    ["tokenizer.ggml.eos_token_id", eos.id],
    ["tokenizer.ggml.add_bos_token", names.addBos ?? false],
  ]);
}

/** Steps of a pre-tokenizer in short, by the name that GGUF has for them. */
const GGUF_NAMES: Readonly<Record<string, string>> = { "digits bytes": "smollm", bytes: "gpt-2" };

function ggufPreTokenizer(value: unknown): string {
  const fields = fieldsOf(value, "tokenizer.json: pre_tokenizer");
  const steps = fields.type === "Sequence" ? listOf(fields.pretokenizers, "tokenizer.json: pretokenizers") : [fields];
  const found = steps.map(stepName).join(" ");
  const name = GGUF_NAMES[found];
  if (name !== undefined) return name;
  throw new UnsupportedError(
    `tokenizer.json: this pre-tokenizer (${JSON.stringify(value)}) can't be written as GGUF; those of trained ` +
      "tokenizers (single digits, then ByteLevel) and of GPT-2 can.",
  );
}

function stepName(step: unknown): string {
  if (!isFields(step)) return "?";
  if (step.type === "Digits" && step.individual_digits === true) return "digits";
  const plain = step.add_prefix_space === false && step.use_regex !== false;
  return step.type === "ByteLevel" && plain ? "bytes" : "?";
}

function ggufMerges(value: unknown): string[] {
  return listOf(value, "tokenizer.json: model.merges").map((merge) => {
    const text = Array.isArray(merge) ? merge.join(" ") : textOf(merge);
    if (text !== undefined) return text;
    throw new FormatError(`tokenizer.json: a merge is ${JSON.stringify(merge)}; expected two tokens.`);
  });
}

/** Names of special tokens in a tokenizer_config.json. */
export function namedIn(tokenizerConfig: object): SpecialTokenNames {
  const [eosToken, bosToken] = ["eos_token", "bos_token"].map((key) => tokenName(Reflect.get(tokenizerConfig, key)));
  return {
    ...(eosToken !== undefined && { eosToken }),
    ...(bosToken !== undefined && { bosToken }),
    addBos: Reflect.get(tokenizerConfig, "add_bos_token") === true,
  };
}

/** The special tokens of a tokenizer.json. */
export function specialTexts(tokenizerJson: unknown): string[] {
  return specialIds(tokenizerJson).map(([text]) => text);
}

/** Texts and ids of the special tokens, in their order. */
function specialIds(tokenizerJson: unknown): (readonly [text: string, id: number])[] {
  const json = fieldsOf(tokenizerJson, "tokenizer.json");
  return listOf(json.added_tokens ?? [], "tokenizer.json: added_tokens").map((token) => {
    const { content, id, special } = fieldsOf(token, "tokenizer.json: an added token");
    if (special === true && typeof content === "string" && typeof id === "number") return [content, id];
    throw new UnsupportedError(
      `tokenizer.json: the added token ${JSON.stringify(content)} isn't special; only special ones can be written.`,
    );
  });
}

interface NamedToken {
  readonly text: string;
  readonly id: number;
}

function namedTokens(
  specials: readonly (readonly [text: string, id: number])[],
  { eosToken, bosToken }: SpecialTokenNames,
): { readonly eos: NamedToken; readonly bos: NamedToken } {
  const named = (name: string | undefined): NamedToken => {
    const found = specials.find(([text]) => name === undefined || text === name);
    if (found) return { text: found[0], id: found[1] };
    const known = specials.map(([text]) => text).join(", ") || "none";
    throw new ArgumentError(`The tokenizer has no special token ${name ?? "at all"}; it has: ${known}.`);
  };
  const eos = named(eosToken);
  return { eos, bos: bosToken === undefined ? eos : named(bosToken) };
}
