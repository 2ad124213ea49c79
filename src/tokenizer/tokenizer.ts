/**
 * The tokenizer as the engine uses it: text to ids and back, whatever vocabulary lies behind it.
 */

export interface EncodeOptions {
  /** Put the start (and where the vocabulary says so, end) token; default true = as the vocabulary says. */
  readonly addSpecial?: boolean | undefined;
  /** Read `<|im_end|>` and the like as special tokens; default true. False: user text can't forge them. */
  readonly parseSpecial?: boolean | undefined;
  /** The text was rendered with `guard`: its marks are taken out, once special tokens are found. */
  readonly guarded?: boolean | undefined;
  /** Called now and then while a long text is read; what it throws ends the work. */
  readonly check?: (() => void) | undefined;
}

export interface Tokenizer {
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  /** Every id that ends an answer: eos, eot, eom and the like. */
  readonly endIds: ReadonlySet<number>;
  /** Whether encode puts a start token by default. */
  readonly addsBos: boolean;
  /** What encode puts before a text by default, the start token among it: what a session begins with. */
  readonly prefix: readonly number[];
  /** What is to be known of the vocabulary: tokens that were left out. */
  readonly notes: readonly string[];
  /** Jinja source of the model's chat template. */
  readonly chatTemplate: string | undefined;
  encode(text: string, options?: EncodeOptions): Int32Array;
  /** Invalid UTF-8 becomes U+FFFD; special tokens are left out unless `special`; ids without a token show nothing. */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
  /** The token as the vocabulary writes it. */
  tokenText(id: number): string;
  /** A decoder for one stream: push ids, get text as soon as it is whole characters. */
  stream(options?: DecodeOptions): TokenStream;
  /** Renders the chat template. @throws UnsupportedError without a template, ArgumentError for messages it refuses */
  renderChat(messages: readonly ChatMessage[], options?: RenderOptions): string;
  /**
   * The ids of the chat, rendered with `guard`, with the start token where the vocabulary puts one and the template
   * doesn't. @throws as `renderChat`
   */
  encodeChat(messages: readonly ChatMessage[], options?: RenderOptions): Int32Array;
}

export interface DecodeOptions {
  /** Show special tokens; default false. */
  readonly special?: boolean | undefined;
  /**
   * Text went before these ids, so a leading space is part of the text; default false: the space that some vocabularies
   * put before a text is taken away. True for an answer after a prompt.
   */
  readonly continues?: boolean | undefined;
}

export interface TokenStream {
  /** Text that became certain with this id; may be empty. Never half a character. */
  push(id: number): string;
  /** What is left at the end (U+FFFD for a broken character). */
  end(): string;
}

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string;
}

export interface RenderOptions {
  /** End with the opening of the assistant's turn; default true. */
  readonly addGenerationPrompt?: boolean | undefined;
  /**
   * Break up special tokens in the messages' own texts with a mark (the noncharacter U+FDD0), so that a message that says
   * `<|im_end|>` can't end its turn; for `encode` with `guarded`. Default false.
   */
  readonly guard?: boolean | undefined;
  /** Further variables of the template (tools, documents, date_string). */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /** Called now and then while the template runs; what it throws ends the work. */
  readonly check?: (() => void) | undefined;
}
