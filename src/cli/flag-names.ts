/** The engine's messages name its options as the library has them; at the command line they are flags. */

const FLAGS: Readonly<Record<string, string>> = {
  contextLength: "--context-length",
  maxTokens: "--max-tokens",
  topK: "--top-k",
  topP: "--top-p",
  minP: "--min-p",
  repetitionPenalty: "--repetition-penalty",
  presencePenalty: "--presence-penalty",
  frequencyPenalty: "--frequency-penalty",
  penaltyWindow: "--penalty-window",
  logitBias: "--logit-bias",
  ignoreEnd: "--ignore-end",
  memoryLimitBytes: "--memory-limit",
  wasmMemoryBytes: "--wasm-memory",
};
/** A name as a word of a sentence, not as a part of a path or of a longer name. */
const NAMES = new RegExp(`(?<![\\w./\\\\-])(?:${Object.keys(FLAGS).join("|")})(?![\\w/\\\\-]|\\.\\w)`, "g");
/** Their options are the keys of a configuration, which are named as the library names them. */
const CONFIGURED = new Set(["train", "export"]);

/** @param command whose message it is */
export function withFlags(text: string, command = ""): string {
  return CONFIGURED.has(command) ? text : text.replace(NAMES, (name) => FLAGS[name]);
}
