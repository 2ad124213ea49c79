/**
 * The options of every public call, as a table of kinds, and what each call makes of its arguments. A model in its own thread
 * and one in place check by these, so mistakes are told alike, before anything is done.
 */
import { LEAST_MEMORY } from "../../backends/wasm/space.js";
import { GATES_NAME } from "../../context/gates/index.js";
import { ArgumentError } from "../../util/errors.js";
import { formatCount } from "../../util/figures.js";
import type {
  DecodeTextOptions,
  EncodeTextOptions,
  GenerateOptions,
  LoadOptions,
  RenderChatOptions,
  ScoreOptions,
  SessionOptions,
} from "../api.js";
import { samplingSettings } from "../sampling/sampling-options.js";
import {
  type Check,
  isBias,
  isCount,
  isFunction,
  isOneOf,
  isPositive,
  isSignal,
  isStop,
  isSwitch,
  isText,
  isWhole,
  shown,
  wrong,
} from "./kinds.js";
import { type Kinds, ownOptions, reading } from "./own-options.js";
import { ownIds } from "./values.js";

const MOST_CHUNK = 4096;
const MOST_LENGTH = 2 ** 31 - 1;

const isMemory: Check = (value, option) => {
  if (typeof value === "number" && value >= LEAST_MEMORY) return;
  throw new ArgumentError(`${option} must be a number from ${formatCount(LEAST_MEMORY)}; found ${shown(value)}.`, {
    option,
  });
};

/** Each name is one that a policy can have; what the gates are is found out when they are read. */
const isGates: Check = (value, option) => {
  if (Object.prototype.toString.call(value) !== "[object Object]")
    throw wrong(option, 'an object of names and gates, such as { "gates.json": "models/gates.json" }', value);
  for (const [name, gates] of Object.entries(Object(value))) {
    if (!GATES_NAME.test(name)) {
      throw new ArgumentError(
        `${option} has the name ${shown(name)}; a name has letters, digits, ".", "_" and "-", and begins with one of the first two.`,
        { option },
      );
    }
    if (gates === "" || (typeof gates !== "string" && (typeof gates !== "object" || gates === null)))
      throw wrong(`${option}.${name}`, "a path, a URL, bytes or gates", gates);
  }
};

const LOAD: Kinds<LoadOptions> = {
  backend: isOneOf("wasm", "reference"),
  threads: isWhole(1),
  wasmMemoryBytes: isMemory,
  precise: isSwitch,
  wide: isSwitch,
  thread: isSwitch,
  store: isSwitch,
  gates: isGates,
  memoryLimitBytes: isPositive,
  prefixBytes: isCount,
  onProgress: isFunction,
  signal: isSignal,
};

/** A source is copied as ids or a text; which ids there are, the model says. */
const isSource: Check = (value, option) => {
  if (typeof value !== "string") ownIds(option, value);
};

const SESSION: Kinds<SessionOptions> = {
  context: isText,
  kv: isText,
  contextLength: isWhole(1, MOST_LENGTH),
  chunk: isWhole(1, MOST_CHUNK),
  source: isSource,
};

/** `samplingSettings` knows the ranges. */
const byRange: Check = () => {};

const GENERATE: Kinds<GenerateOptions> = {
  maxTokens: isCount,
  temperature: byRange,
  topK: byRange,
  topP: byRange,
  minP: byRange,
  repetitionPenalty: byRange,
  presencePenalty: byRange,
  frequencyPenalty: byRange,
  penaltyWindow: byRange,
  logitBias: isBias,
  seed: byRange,
  stop: isStop,
  ignoreEnd: isSwitch,
  logprobs: isWhole(0),
  signal: isSignal,
  onPrefill: isFunction,
};

const SCORE: Kinds<ScoreOptions> = { batch: isWhole(1), every: isWhole(1), signal: isSignal };
const ENCODE: Kinds<EncodeTextOptions> = {
  addSpecial: isSwitch,
  parseSpecial: isSwitch,
  guarded: isSwitch,
  signal: isSignal,
};
const DECODE: Kinds<DecodeTextOptions> = { special: isSwitch, continues: isSwitch };
const RENDER: Kinds<RenderChatOptions> = { signal: isSignal };

export function loadOptions(options: LoadOptions | undefined): LoadOptions {
  return ownOptions("load", options, LOAD, {});
}

/** @param call who asks: session or plan */
export function sessionOptions(call: string, options: SessionOptions | undefined): SessionOptions {
  const own = ownOptions(call, options, SESSION, {});
  const { source } = own;
  return source === undefined || typeof source === "string" ? own : { ...own, source: ownIds("source", source) };
}

/** @param call who asks: generate or chat */
export function generateOptions(
  call: string,
  options: GenerateOptions | undefined,
  vocabulary: number,
): GenerateOptions {
  const own = ownOptions(call, options, GENERATE, {});
  const { stop, logitBias } = own;
  const copied = {
    ...own,
    ...(stop !== undefined && { stop: typeof stop === "string" ? [stop] : [...stop] }),
    ...(logitBias !== undefined && { logitBias: reading(call, () => ({ ...logitBias })) }),
  };
  samplingSettings(copied, vocabulary);
  return copied;
}

export function scoreOptions(options: ScoreOptions | undefined): ScoreOptions {
  return ownOptions("score", options, SCORE, {});
}

export function encodeOptions(options: EncodeTextOptions | undefined): EncodeTextOptions {
  return ownOptions("encode", options, ENCODE, {});
}

export function decodeOptions(options: DecodeTextOptions | undefined): DecodeTextOptions {
  return ownOptions("decode", options, DECODE, {});
}

export function renderOptions(options: RenderChatOptions | undefined): RenderChatOptions {
  return ownOptions("renderChat", options, RENDER, {});
}
