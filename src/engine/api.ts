/**
 * The public face of the engine: what `load` returns. The same interfaces are implemented in place (`local`) and by the
 * proxy of the engine's own thread (`remote`).
 */

import type { CacheGroup } from "../context/cache-groups.js";
import type { HeadGates } from "../context/gates/index.js";
import type { DType, KvType } from "../tensor/dtype.js";
import type { ChatMessage, EncodeOptions } from "../tokenizer/tokenizer.js";

/** For programs that are compiled without lib esnext.disposable; with it the two declarations are one. */
declare global {
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol;
  }
}

export interface LoadOptions {
  /** Default "wasm". */
  readonly backend?: "wasm" | "reference" | undefined;
  /** Threads of the kernels; default: the machine's cores. */
  readonly threads?: number | undefined;
  /**
   * Most bytes of one WebAssembly memory; default and at most: 4 GiB less 64 KiB. A model that is larger is laid over
   * several memories, whole layers to each, so this bounds a layer, not a model. At least 1 MiB, and 320 KiB more for each
   * thread beyond the first.
   */
  readonly wasmMemoryBytes?: number | undefined;
  /**
   * Read prompts as exactly as single tokens: activations of 16 bits. By default the matrix products of several tokens at
   * once take 8 bits where that is faster. Default false.
   */
  readonly precise?: boolean | undefined;
  /**
   * 256-bit vectors in prefill and attention by V8's experimental compiler, on x64: false never, true also in
   * Node 26, under the conditions of `enableWideVectors`. Default: in Node 24, and where that was called.
   */
  readonly wide?: boolean | undefined;
  /**
   * Run the engine in its own thread so that the caller's event loop stays free. Default: where its module can be found; in a
   * bundle of one file it cannot (docs/bundlers.md), and with true that is an error.
   */
  readonly thread?: boolean | undefined;
  /**
   * Most bytes that weights, caches and activations may take; default: what the machine has available. A session is promised
   * what its cache may come to take when it first reads, until it is reset or disposed of; one that does not fit beside what
   * others were promised is a MemoryError.
   */
  readonly memoryLimitBytes?: number | undefined;
  /**
   * Most bytes of caches that are kept for sessions to come: one that begins like a text that was read before, with the same
   * options, takes its keys and values over. Given up when a session needs the memory. Default: an eighth of what is available
   * beside the weights, at most 1 GiB; 0: none.
   */
  readonly prefixBytes?: number | undefined;
  /**
   * Keep a model that is read from a URL in the browser's storage, so that the next visit does not fetch it again; default
   * true where there is such storage. `storedModels` lists what is kept, `deleteStored` removes it. Node keeps none.
   */
  readonly store?: boolean | undefined;
  /**
   * Gates of the model's attention heads, by the names that `duo:NAME` policies use: a file or URL of Sluice's JSON or of the
   * authors' TSV (docs/gates.md), its bytes, or what `findGates` or `parseGates` gave. Gates of other sizes, or that were found
   * for another model, are an error.
   */
  readonly gates?: Readonly<Record<string, GatesSource>> | undefined;
  /** What it throws ends loading and is what `load` rejects with. */
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  /** Cancels: `load` then rejects with CancelledError, and nothing stays behind. */
  readonly signal?: AbortSignal | undefined;
}

/** Where gates come from. */
export type GatesSource = string | URL | ArrayBufferView | ArrayBufferLike | HeadGates;

export interface LoadProgress {
  readonly phase: "resolve" | "download" | "header" | "weights" | "ready";
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Known from phase "weights" on, before the memory is taken. */
  readonly plan?: MemoryPlan;
}

/** What a model and one session take, in bytes. */
export interface MemoryPlan {
  readonly weightBytes: number;
  /** Of the session that was asked for (default: the context of the trained length, f16). */
  readonly cacheBytes: number;
  /** Tokens that it keeps at most; under `sinks:system` without the system message, whose length only a chat knows. */
  readonly cacheTokens: number;
  /** Of the cache, what heads that keep the same tokens take together: their keys and values. */
  readonly groups: readonly CacheGroup[];
  /** Of one step of the session, with what the engine itself takes (scratch memory of its threads). */
  readonly activationBytes: number;
  readonly availableBytes: number | null;
}

export interface ModelInfo {
  readonly location: string;
  readonly format: "gguf" | "safetensors";
  readonly architecture: string;
  readonly name: string | null;
  readonly parameters: number;
  readonly weightBytes: number;
  readonly layers: number;
  /** Of the layers, those with attention; the others are state spaces (Mamba). */
  readonly attentionLayers: number;
  /** The last of them, counted from 0 over all layers; -1 where there are none. */
  readonly lastAttentionLayer: number;
  /** An encoder reads the source (T5), see SessionOptions.source. */
  readonly encoderDecoder: boolean;
  /** Of the attention layers; 0 where there are none. */
  readonly heads: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  readonly width: number;
  readonly vocabulary: number;
  /** Tokens that it was trained for. */
  readonly trainedContext: number;
  /** Learned positions, beyond which it has none; null: any position will do. */
  readonly positions: number | null;
  /** Positions are added to the tokens (learned or sinusoidal): none can be moved, so distances are those of the text. */
  readonly fixedPositions: boolean;
  /**
   * LongRoPE: sessions whose context is longer than these tokens read all of their text with the factors for long texts,
   * others with those for short ones. Null: the model has no LongRoPE.
   */
  readonly longRopeContext: number | null;
  /** Dynamic NTK: the rotations of all keys change with the length of the text. */
  readonly dynamicRope: boolean;
  readonly dtypes: Readonly<Partial<Record<DType, number>>>;
  readonly backend: "wasm" | "reference";
  readonly threads: number;
  readonly hasChatTemplate: boolean;
  /** Tells models apart: of the architecture, all sizes, and the beginning of every weight; 16 hexadecimal digits. */
  readonly fingerprint: string;
  /**
   * What one should know of how it was loaded and is run, such as metadata that nothing asks for, or that the browser has no
   * room to keep it. Notes of sessions begin with these.
   */
  readonly notes: readonly string[];
}

/**
 * A loaded model. Wrong arguments are ArgumentErrors at the call, before anything is done. Calls that give a promise reject
 * with CancelledError when their signal cancels them; iterations end with a last part whose `finish` is "cancelled".
 */
export interface Model {
  readonly info: ModelInfo;
  /** A new empty session. @throws PolicyError, ArgumentError at once */
  session(options?: SessionOptions): Session;
  /**
   * A session from what `Session.save` gave: it writes on as the saved one would have, bit for bit with the same options of
   * `load`. @throws SnapshotError for damaged bytes, another model, backend, version or gates; MemoryError
   */
  restore(saved: ArrayBufferView | ArrayBufferLike): Promise<Session>;
  encode(text: string, options?: EncodeTextOptions): Promise<Int32Array>;
  decode(ids: ArrayLike<number>, options?: DecodeTextOptions): Promise<string>;
  /** Each token as the vocabulary writes it. */
  tokenTexts(ids: ArrayLike<number>): Promise<string[]>;
  renderChat(messages: readonly ChatMessageInput[], options?: RenderChatOptions): Promise<string>;
  /** Bytes that a session with these options takes at most, and the weights. */
  plan(options?: SessionOptions): Promise<MemoryPlan>;
  /** Figures for a server's operator: queue, steps, tokens, caches. */
  metrics(): Promise<ModelMetrics>;
  /**
   * Frees weights, sessions and threads; never rejects, and may be called again. Calls that are under way end with an
   * ArgumentError ("The model was disposed of"), as do all later ones. A thread that is busy and does not answer is ended after
   * two seconds.
   */
  dispose(): Promise<void>;
  /** As `dispose`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Options of `encode`. `signal` ends the encoding of a long text with CancelledError, also while the engine's thread is at it,
 * where threads may share memory; in place (`thread: false`) nothing can abort a signal before the call is done.
 */
export interface EncodeTextOptions extends Omit<EncodeOptions, "check"> {
  readonly signal?: AbortSignal | undefined;
}

export interface DecodeTextOptions {
  /** Show special tokens; default false. */
  readonly special?: boolean | undefined;
  /**
   * Text went before these ids, so a leading space is part of the text; default false: the space that some vocabularies put
   * before a text is taken away.
   */
  readonly continues?: boolean | undefined;
}

/** What a model's sessions have done since it was loaded, and what they are at. */
export interface ModelMetrics {
  /** Sessions that were made and not disposed of. */
  readonly sessions: number;
  /** Sessions in the newest step, and those that wait for one. */
  readonly running: number;
  readonly waiting: number;
  /** Steps so far, their mean time in milliseconds (null before the first), and that of the newest. */
  readonly steps: number;
  readonly meanStepMs: number | null;
  readonly lastStepMs: number;
  /** Tokens that were read: of prompts and scored texts, and such as the model had written. */
  readonly promptTokens: number;
  readonly generatedTokens: number;
  /** Bytes of the caches of all sessions; pages that several share count for each. */
  readonly cacheBytes: number;
  /** Bytes of what is kept for sessions to come, how often it was taken over, and the tokens that were not read for that. */
  readonly prefixBytes: number;
  readonly prefixHits: number;
  readonly prefixTokens: number;
}

export interface RenderChatOptions {
  /** As of `encode`. */
  readonly signal?: AbortSignal | undefined;
}

/** A message as it may be given: content null counts as "". Further fields are plain data for the chat template. */
export interface ChatMessageInput extends Omit<ChatMessage, "content"> {
  readonly content: string | null;
}

/**
 * How a session's cache is stored: one `KvType` for keys and values, "q8", or one for keys and one for values, "q8/q4". `KvType` alone
 * is what one of them can be. Any other text is taken by the compiler, so that one can be read from a setting, and refused by the call.
 */
export type CacheType = KvType | `${KvType}/${KvType}` | (string & Record<never, never>);

export interface SessionOptions {
  /**
   * What it keeps and sees, e.g. "full", "recent:4096", "sinks:4,recent:4092", "duo:gates.json", "recompute:256". Default "auto": everything up
   * to the limit (`contextLength`), then the first 4 and the newest tokens, which `notes` and `usage` tell. A prompt that does
   * not fit by itself is an error, never cut. Models whose positions cannot be moved (learned, sinusoidal) end at the limit
   * with finish "length"; those without attention have no limit. "full" makes the limit an error.
   */
  readonly context?: string | undefined;
  /** Cache type: "f32", "f16", "q8", "q4", or keys and values apart: "q8/q4". Default "f16". */
  readonly kv?: CacheType | undefined;
  /** Most tokens under `auto` and `full`; default: the length the model was trained for. */
  readonly contextLength?: number | undefined;
  /** Tokens of a prefill chunk; default 256. Progress and cancellation happen between chunks. */
  readonly chunk?: number | undefined;
  /**
   * Only encoder-decoder models (T5): what the encoder reads, text or ids. Prompts and scores then are of the decoder's
   * text, which begins with the model's start token. Without it the first prompt is the source.
   */
  readonly source?: string | ArrayLike<number> | undefined;
}

export interface GenerateOptions {
  /** Default: until an end token or a stop string; under `full` the limit then ends it with ContextFullError. */
  readonly maxTokens?: number | undefined;
  /** 0 = greedy. Default 0.8. */
  readonly temperature?: number | undefined;
  /** Keep the k most likely; 0 = off (default 40). */
  readonly topK?: number | undefined;
  /** Keep the smallest set with this probability; 1 = off (default 0.95). */
  readonly topP?: number | undefined;
  /** Drop tokens below this share of the best; 0 = off (default 0.05). */
  readonly minP?: number | undefined;
  /** Divides positive and multiplies negative logits of tokens seen; 1 = off (default). */
  readonly repetitionPenalty?: number | undefined;
  /** Subtracted once from tokens seen; default 0. */
  readonly presencePenalty?: number | undefined;
  /** Subtracted for each time seen; default 0. */
  readonly frequencyPenalty?: number | undefined;
  /** Last tokens that the penalties look at; default 64. */
  readonly penaltyWindow?: number | undefined;
  /** Added to the logits of these ids. */
  readonly logitBias?: Readonly<Record<number, number>> | undefined;
  /** Same seed, same text; default: drawn at random. */
  readonly seed?: number | undefined;
  /**
   * Ends before the first of these (one, or at most 1,024); the string itself is not given out. The texts of special tokens,
   * which are never given out, match too: "<|im_end|>".
   */
  readonly stop?: string | readonly string[] | undefined;
  /** Keep going at end tokens. Default false. */
  readonly ignoreEnd?: boolean | undefined;
  /** Give each part its log-probability and this many alternatives; undefined = none. */
  readonly logprobs?: number | undefined;
  /** Cancels: the last part, which may have the token that was being made, has finish "cancelled". What was read and written stays in the session. */
  readonly signal?: AbortSignal | undefined;
  /** Prefill progress: tokens of the prompt read so far and in all. What it throws ends the iteration. */
  readonly onPrefill?: ((done: number, total: number) => void) | undefined;
}

/** Natural-log probability of a token from the raw logits (no temperature, no filters). */
export interface TokenLogprob {
  readonly id: number;
  /**
   * What it adds to a text: " the". Special tokens show; a token that is a part of a character is U+FFFD here, while
   * `Part.text` waits for the whole.
   */
  readonly text: string;
  /** As the vocabulary writes it: "Ġthe", "▁the". */
  readonly piece: string;
  readonly logprob: number;
}

export interface Part {
  /** Text that became certain; may be empty while a character or a stop string is incomplete. */
  readonly text: string;
  /** The token that was generated; undefined in a last part that only flushes held text. */
  readonly id: number | undefined;
  readonly logprob?: number;
  readonly top?: readonly TokenLogprob[];
  /** Only in the last part. */
  readonly finish?: FinishReason;
}

/**
 * `stop`: an end token or a stop string; `length`: maxTokens, or the end of a context that lets nothing go; `cancelled`:
 * the signal. Reaching the limit under `full` is no reason to finish quietly: after the text so far was given out,
 * ContextFullError is thrown.
 */
export type FinishReason = "stop" | "length" | "cancelled";

/** What happened to the text so far. */
export interface Usage {
  /** Tokens that were read: prompts and answers. The newest generated token is read with the step after it. */
  readonly seen: number;
  /** Tokens whose keys and values are held now; by the heads that keep most, where heads differ (`groups`). */
  readonly kept: number;
  /** seen - kept: no later token can see them. */
  readonly evicted: number;
  /**
   * Tokens that the newest one read of those that are held, itself included: of the heads that read most. Under `read=quest:N` of
   * the layers that choose what they read; those that `dense=` names read all. 0 before anything was read.
   */
  readonly read: number;
  /** How many of the newest tokens can be recalled, by the heads that keep most; null = all that was seen. */
  readonly horizon: number | null;
  /** First tokens that are kept for ever (sinks), where the model's own window lets them be seen. */
  readonly sinks: number;
  readonly cacheBytes: number;
  /** Of the cache, what heads that keep the same tokens hold together; empty before anything was read. */
  readonly groups: readonly CacheGroup[];
  /**
   * Tokens given by the caller that were read: prompts, messages with what the template puts around them, scored texts, start
   * tokens; without an encoder's source. Since the session began or was reset, and counted on through `save` and `restore`.
   */
  readonly promptTokens: number;
  /**
   * Of `promptTokens`, those that were not read here: another session of the same options had read a text that begins alike,
   * and its keys and values were taken over. Since the session began, was reset or was restored.
   */
  readonly cachedTokens: number;
  /** Tokens that the model wrote, with those that end an answer; counted on like `promptTokens`. */
  readonly generatedTokens: number;
  /**
   * Of reading prompts, all since the session began, was reset or was restored: work of another process does not count. Null
   * before anything was read.
   */
  readonly prefillTokensPerSecond: number | null;
  /** Of writing and scoring, measured like `prefillTokensPerSecond`. */
  readonly decodeTokensPerSecond: number | null;
}

/** How well the model predicted a stretch of a text. */
export interface ScorePart {
  /** Index of the first token of the stretch in the text given, and how many. */
  readonly start: number;
  readonly count: number;
  /** Natural-log probability of each token of the stretch given what the session saw before it. */
  readonly logprobs: Float32Array;
  /** Time for the stretch. */
  readonly elapsedMs: number;
  readonly usage: Usage;
  /** Only in the last part: whether all of the text was scored. A sum over a cancelled run is that of its beginning alone. */
  readonly finish?: "end" | "cancelled";
}

export interface ScoreOptions {
  /** Tokens read at once, at most the session's chunk: 1 (default) measures the cost of decoding; more is faster. */
  readonly batch?: number | undefined;
  /** Parts are given out every so many tokens; default 64. */
  readonly every?: number | undefined;
  /** Cancels: the last part then has finish "cancelled". */
  readonly signal?: AbortSignal | undefined;
}

export interface Session {
  readonly usage: Usage;
  /** The policy in its canonical text form. */
  readonly context: string;
  /**
   * What one should know of these options with this model, such as a context beyond the trained length, or a policy that
   * applies to some layers only. Under `auto`
   * a line is added when the text passes the limit.
   */
  readonly notes: readonly string[];
  /**
   * Reads the prompt (text or ids) after what the session already holds and writes on. An empty session puts the start
   * token first, where the vocabulary has one. Cancelling ends the iteration with finish "cancelled"; what was read and
   * written stays in the session. Wrong arguments throw at the call; that the session is busy or was disposed of, with the
   * first `next`. @throws ContextFullError before anything is read, when the prompt cannot fit
   */
  generate(prompt: string | ArrayLike<number>, options?: GenerateOptions): AsyncGenerator<Part, void, undefined>;
  /** Adds messages to the conversation, renders the chat template, and writes the assistant's answer. */
  chat(
    messages: string | readonly ChatMessageInput[],
    options?: GenerateOptions,
  ): AsyncGenerator<Part, void, undefined>;
  /**
   * Reads a text and tells how well each token was predicted: perplexity, cost, memory. The last part says whether all was
   * read.
   */
  score(text: string | ArrayLike<number>, options?: ScoreOptions): AsyncGenerator<ScorePart, void, undefined>;
  /** The conversation of `chat` so far. */
  readonly messages: readonly ChatMessage[];
  /**
   * All of it as bytes, for `Model.restore`: options, cache, states, the conversation. As large as `usage.cacheBytes` and a
   * little more. @throws ArgumentError while something is being written
   */
  save(): Promise<Uint8Array>;
  /**
   * A second session that holds the same text and conversation and goes on by itself, each as if the other were not there: for
   * several answers to one question, or an agent that tries several ways. Keys and values are shared, not copied: it takes the
   * memory of one page for each retention group, and of the states of state-space layers, until it reads or writes on.
   * @throws ArgumentError while something is being written, MemoryError where a second cache does not fit
   * @example
   * const other = await session.fork();
   * const [a, b] = await Promise.all([text(session.chat("Shorter, please.")), text(other.chat("In French, please."))]);
   */
  fork(): Promise<Session>;
  /** Empties it; options stay. */
  reset(): Promise<void>;
  /** Gives its memory back; never rejects, and may be called again. Later calls are ArgumentErrors. */
  dispose(): Promise<void>;
  /** As `dispose`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
