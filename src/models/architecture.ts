/** What a file of `models/` provides: how to make a ModelSpec of a checkpoint's metadata. */
import type { ModelSpec } from "../nn/spec.js";
import type { ModelMetadata } from "./metadata.js";
import type { NeutralKeys } from "./neutral-keys.js";

export interface Architecture {
  /** Small tensors whose numbers are part of the spec (RoPE factors), read before `build` where they exist. */
  readonly auxiliary: readonly string[];
  /** Further tensors that files have and that mean nothing to the model. Others that no weight uses are refused. */
  readonly ignored?: RegExp;
  /** Values of keys that it does not ask for, but which say what it does anyway: other ones are refused. */
  readonly fixed?: NeutralKeys;
  /** @throws FormatError for missing or impossible metadata, UnsupportedError for options that are not run yet */
  build(meta: ModelMetadata, vocabulary: number, auxiliary: ReadonlyMap<string, Float32Array>): ModelSpec;
}
