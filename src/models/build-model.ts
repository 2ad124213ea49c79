/** A checkpoint's metadata as a spec: built by its architecture, and nothing of the checkpoint left out unnoticed. */
import type { Checkpoint } from "../formats/checkpoint.js";
import type { ModelSpec } from "../nn/spec.js";
import { architectureOf } from "./index.js";
import { keyNotes } from "./meaningful-keys.js";
import { ModelMetadata } from "./metadata.js";
import { refuseUnusedTensors } from "./unused-tensors.js";

export interface BuiltModel {
  readonly spec: ModelSpec;
  /** What one should know of how the checkpoint is run; mostly nothing. */
  readonly notes: readonly string[];
}

/**
 * `vocabulary` has the rows of the embedding, `auxiliary` the numbers of the architecture's small tensors by name.
 * @throws FormatError, UnsupportedError; both name the key or tensor
 */
export function buildModel(
  checkpoint: Checkpoint,
  vocabulary: number,
  auxiliary: ReadonlyMap<string, Float32Array>,
): BuiltModel {
  const architecture = architectureOf(checkpoint.architecture);
  const meta = new ModelMetadata(checkpoint);
  const spec = architecture.build(meta, vocabulary, auxiliary);
  refuseUnusedTensors(checkpoint, spec, architecture);
  return { spec, notes: keyNotes(meta, architecture) };
}
