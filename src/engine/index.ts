/**
 * The engine: load a model, open sessions, generate, score; sampling and stop strings for engines of one's own.
 * Unstable: may change in any version (docs/stability.md).
 */
export type * from "./api.js";
export { load, loadLocal } from "./loading/index.js";
export {
  type IdLogprob,
  type Logprobs,
  logprobsOf,
  SAMPLING_RANGES,
  type Sample,
  Sampler,
  type SamplingOptions,
} from "./sampling/index.js";
export { type StopPush, StopStrings } from "./session/index.js";
export { type LoadLocal, loadRemote, serveEngine } from "./thread/index.js";
