/** The engine: load a model, open sessions, generate, score; sampling and stop strings for engines of one's own. */
export type * from "./api.js";
export { load } from "./load.js";
export { loadLocal } from "./load-local.js";
export { type LoadLocal, serveEngine } from "./remote/host.js";
export { loadRemote } from "./remote/remote-model.js";
export {
  type IdLogprob,
  type Logprobs,
  logprobsOf,
  SAMPLING_RANGES,
  type Sample,
  Sampler,
  type SamplingOptions,
} from "./sampling.js";
export { type StopPush, StopStrings } from "./stop-strings.js";
