/**
 * Context policies and the memory that follows them.
 * Unstable: may change in any version (docs/stability.md).
 */
export type { HeadSet, HeadSets, Retention, Visibility } from "./head-sets.js";
export { KvCache, type KvCacheOptions } from "./kv-cache.js";
export { kvCacheBytes } from "./kv-layout.js";
export type * from "./mixer-state.js";
export type { PageReading } from "./page-reading.js";
export type * from "./policy.js";
export type { OptionName, PolicyOptions } from "./policy-options.js";
export { parsePolicy, policyHelp } from "./policy-text.js";
export type { ItemValues, ValueForm } from "./policy-values.js";
export { SequenceMemory } from "./sequence-memory.js";
export { Step, type StepSegment } from "./step.js";
export type { MessageStart, MessagesOfText, TextMessages } from "./text-messages.js";
