/** A tensor that the model cannot do without. */
import { FormatError, UnsupportedError } from "../util/errors.js";
import type { Checkpoint, TensorEntry } from "./checkpoint.js";

/** @throws UnsupportedError when its type is not supported, FormatError when the file does not have it */
export function requireTensor(checkpoint: Checkpoint, name: string): TensorEntry {
  const entry = checkpoint.tensors.get(name);
  if (entry) return entry;
  const unsupported = checkpoint.unsupportedTensors?.get(name);
  if (unsupported) {
    throw new UnsupportedError(
      `${checkpoint.location}: the tensor "${name}" is stored as ${unsupported.type}, which Sluice does not read; ` +
        "take another quantisation of the model.",
      { tensor: name, type: unsupported.type },
    );
  }
  throw new FormatError(
    `${checkpoint.location}: the tensor "${name}", which the architecture ${checkpoint.architecture} needs, is missing.`,
    { tensor: name },
  );
}
