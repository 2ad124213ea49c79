/** A tensor that lies in a file just as it is: the common case, and what rearranged tensors read from. */
import type { ByteSource } from "../util/platform.js";
import type { TensorEntry } from "./checkpoint.js";

export interface StoredTensor extends TensorEntry {
  readonly source: ByteSource;
  /** Byte offset in the source. */
  readonly offset: number;
}

export function storedTensor(place: Omit<StoredTensor, "read">): StoredTensor {
  const { source, offset } = place;
  return { ...place, read: (at, into) => source.read(offset + at, into) };
}
