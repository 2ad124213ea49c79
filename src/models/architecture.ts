/** What a file of `models/` provides: how to make a ModelSpec of a checkpoint's metadata. */
import type { ModelSpec } from "../nn/spec.js";
import type { ModelMetadata } from "./metadata.js";

export interface Architecture {
  /** Small tensors whose numbers are part of the spec (RoPE factors), read before `build` where they exist. */
  readonly auxiliary: readonly string[];
  /** @throws FormatError for missing or impossible metadata, UnsupportedError for options that are not run yet */
  build(meta: ModelMetadata, vocabulary: number, auxiliary: ReadonlyMap<string, Float32Array>): ModelSpec;
}
