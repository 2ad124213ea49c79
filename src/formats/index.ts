/** Model files: GGUF and safetensors as checkpoints, and references to local and hub models. */
export type * from "./checkpoint.js";
export { type GgufFile, isGguf, readGguf } from "./gguf.js";
export { openCheckpoint } from "./open.js";
export { type HubReference, parseHubReference, type ResolveOptions, resolveReference } from "./reference.js";
export { requireTensor } from "./require-tensor.js";
export { readSafetensors, type SafetensorsFile } from "./safetensors.js";
