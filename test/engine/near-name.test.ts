/** Names of other libraries: each call points to its own option. */
import { describe, expect, it } from "vitest";
import {
  decodeOptions,
  encodeOptions,
  generateOptions,
  loadOptions,
  scoreOptions,
  sessionOptions,
} from "../../src/engine/calls/call-options.js";

const CALLS = {
  load: (options: object) => loadOptions(options),
  session: (options: object) => sessionOptions("session", options),
  generate: (options: object) => generateOptions("generate", options, 100),
  score: (options: object) => scoreOptions(options),
  encode: (options: object) => encodeOptions(options),
  decode: (options: object) => decodeOptions(options),
};

const NAMES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  generate: {
    temperature: "temp Temp temprature",
    maxTokens:
      "max_tokens n_predict num_predict max_new_tokens maxNewTokens max_completion_tokens max_output_tokens maxLength",
    stop: "stop_sequences stopSequences stop_strings stopWords customStopTriggers stops",
    topK: "top_k topk top-k",
    topP: "top_p",
    minP: "min_p",
    repetitionPenalty: "repeat_penalty repeatPenalty repetition_penalty",
    penaltyWindow: "repeat_last_n penalty_last_n lastTokens",
    presencePenalty: "presence_penalty",
    frequencyPenalty: "frequency_penalty",
    logprobs: "n_probs top_logprobs",
    logitBias: "logit_bias",
    ignoreEnd: "ignore_eos",
    seed: "random_seed",
    signal: "abortSignal abort_signal abortController",
    onPrefill: "onProgress",
  },
  session: {
    contextLength:
      "contextWindow context_window n_ctx num_ctx contextSize context_size max_length ctx maxSeqLen max_model_len ctx_size",
    context: "policy",
    kv: "cache_type cache_type_k type_k kv_type",
    chunk: "n_batch batch_size",
  },
  load: {
    threads: "n_threads nThreads num_threads numThreads num_thread",
    signal: "abortSignal",
    onProgress: "progress_callback onLoadProgress",
    memoryLimitBytes: "memoryLimit",
    backend: "device",
  },
  score: { batch: "batch_size", signal: "abortSignal" },
  encode: { addSpecial: "add_special_tokens add_bos", signal: "abort_signal" },
  decode: { special: "skip_special_tokens" },
};

const cases = Object.entries(NAMES).flatMap(([call, names]) =>
  Object.entries(names).flatMap(([own, others]) => others.split(" ").map((other) => [call, other, own] as const)),
);

describe("names of other libraries", () => {
  it.each(cases)("%s: %s", (call, other, own) => {
    const given = Reflect.get(CALLS, call);
    expect(() => given({ [other]: 1 })).toThrow(`${call} has no option "${other}". Did you mean ${own}?`);
  });

  it("are not guessed where nothing is near", () => {
    expect(() => CALLS.generate({ gpuLayers: 1 })).toThrow('generate has no option "gpuLayers". It has maxTokens,');
  });
});
