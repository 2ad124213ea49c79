/**
 * Values as they cross between threads: cloning a typed array clones the whole buffer behind it (and shares a shared
 * one), so views are cut out first.
 */
import { ArgumentError } from "../../util/errors.js";

/** A copy that owns its buffer, to be transferred. @throws ArgumentError for what is no token id */
export function ownIds(ids: ArrayLike<number>): Int32Array<ArrayBuffer> {
  const own = new Int32Array(ids.length);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    own[i] = id;
    if (own[i] !== id) throw new ArgumentError(`Token ids are whole numbers; found ${id} at index ${i}.`, { index: i });
  }
  return own;
}

/** A copy that owns its buffer, to be transferred: the caller's stays. */
export function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const own = new Uint8Array(bytes.length);
  own.set(bytes);
  return own;
}

/** The prompt as it crosses, and the buffer to transfer. */
export function ownPrompt(prompt: string | ArrayLike<number>): {
  readonly value: string | Int32Array;
  readonly transfer: readonly ArrayBuffer[];
} {
  if (typeof prompt === "string") return { value: prompt, transfer: [] };
  const ids = ownIds(prompt);
  return { value: ids, transfer: [ids.buffer] };
}

/** The same numbers in a buffer of their own length that no memory is shared with. */
export function ownFloats(values: Float32Array): Float32Array {
  return values.buffer instanceof ArrayBuffer && values.byteLength === values.buffer.byteLength
    ? values
    : values.slice();
}
