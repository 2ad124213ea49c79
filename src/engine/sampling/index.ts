/**
 * From logits to a token: options with their ranges, penalties and the ids that they look at, the draw, log-probabilities.
 * Knows numbers alone, no model and no session. Sessions call it, and engines of one's own.
 */
export { RecentIds } from "./recent-ids.js";
export { type Sample, Sampler } from "./sampling.js";
export { type IdLogprob, type Logprobs, logprobOf, logprobsOf } from "./sampling-logprobs.js";
export { SAMPLING_RANGES, type SamplingOptions } from "./sampling-options.js";
