/**
 * Steps of a model and the memory that they take: what sequences want of one, how it runs, how a session's text is read under
 * its policy, what was planned and promised. Knows sequences and logits, no prompts and no sampling. Sessions, models and
 * loading call it; nothing here calls them.
 */
export { Breath } from "./breath.js";
export { type ContextReader, contextReader } from "./context-reader.js";
export { MemoryLedger } from "./memory-ledger.js";
export {
  activationBytes,
  cacheExtent,
  cacheTokens,
  memoryPlan,
  type PlannedModel,
  requireMemory,
  weightPlan,
} from "./memory-plan.js";
export { Scheduler, type StepCounts } from "./scheduler.js";
export { type Outcome, StepRunner } from "./step-runner.js";
export type { Want, Wanted } from "./want.js";
