/** A weight's slot in memory that the host reaches. */
import type { Weight, WeightSlot } from "./tensor.js";

export function memorySlot(weight: Weight, memory: Uint8Array): WeightSlot {
  return { weight, memory, write: (offset, bytes) => memory.set(bytes, offset) };
}
