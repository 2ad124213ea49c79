/**
 * Model files: GGUF and safetensors as checkpoints, and references to local and hub models.
 * Unstable: may change in any version (docs/stability.md).
 */
export type * from "./checkpoint.js";
export { type GgufFile, isGguf, readGguf } from "./gguf.js";
export { openCheckpoint } from "./open.js";
export { type HubReference, parseHubReference, type ResolveOptions, resolveReference } from "./reference.js";
export { requireTensor } from "./require-tensor.js";
export { readSafetensors, type SafetensorsFile } from "./safetensors.js";
export type { GgufValue } from "./write/gguf-values.js";
export { type GgufToWrite, ggufFile, type StreamedFile } from "./write/gguf-writer.js";
export { type SafetensorsToWrite, safetensorsFile } from "./write/safetensors-writer.js";
export type { TensorToWrite } from "./write/stored-rows.js";
