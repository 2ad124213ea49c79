/** Context policies and the cache that follows them. */
export { KvCache, type KvCacheOptions, kvCacheBytes } from "./kv-cache.js";
export type * from "./mixer-state.js";
export type * from "./policy.js";
export { parsePolicy, policyHelp } from "./policy-text.js";
