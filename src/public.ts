/**
 * What `sluice` exports, whatever it runs on. Imported through index.ts or index-node.ts, which set the platform.
 * @module sluice
 */
export type { CacheGroup } from "./context/cache-groups.js";
export {
  type GatedModel,
  type GatesOrigin,
  gatesJson,
  type HeadGates,
  type ModelGates,
  parseGates,
} from "./context/gates/index.js";
export type { PageReading } from "./context/page-reading.js";
export type { ContextPolicy, PolicyGiven } from "./context/policy.js";
export { parsePolicy, policyHelp } from "./context/policy-text.js";
export type { MessageStart, MessagesOfText, TextMessages } from "./context/text-messages.js";
export type * from "./engine/api.js";
export { load } from "./engine/loading/load.js";
export { deleteStored, storedModels } from "./engine/loading/stored-models.js";
export { enableWideVectors, type WideVectors } from "./engine/loading/wide-vectors.js";
export type { DType, KvType } from "./tensor/dtype.js";
export type { ChatMessage, EncodeOptions } from "./tokenizer/tokenizer.js";
export * from "./util/errors.js";
export {
  type ByteSource,
  type FileStore,
  type FileWriter,
  type Hub,
  type HubFetchOptions,
  type OpenOptions,
  type Platform,
  platform,
  type StoredFile,
  setPlatform,
  type Thread,
  type WideReason,
  type WideRefusal,
} from "./util/platform.js";
export type { Range } from "./util/ranges.js";
