/** What `sluice` exports, whatever it runs on. Imported through index.ts or index-node.ts, which set the platform. */
export { parsePolicy, policyHelp } from "./context/policy-text.js";
export type * from "./engine/api.js";
export { load } from "./engine/load.js";
export type { ChatMessage, EncodeOptions } from "./tokenizer/tokenizer.js";
export * from "./util/errors.js";
export {
  type ByteSource,
  type FileWriter,
  type Hub,
  type Platform,
  platform,
  setPlatform,
  type Thread,
} from "./util/platform.js";
