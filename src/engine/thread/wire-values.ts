/**
 * Values as they cross between threads: cloning a typed array clones the whole buffer behind it (and shares a shared
 * one), so views are cut out first.
 */

/** The same ids in a buffer of their own length, to be transferred. */
export function ownNumbers(ids: Int32Array): Int32Array<ArrayBuffer> {
  const own = new Int32Array(ids.length);
  own.set(ids);
  return own;
}

/** A copy that owns its buffer, to be transferred: the caller's stays. */
export function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const own = new Uint8Array(bytes.length);
  own.set(bytes);
  return own;
}

/** The same numbers in a buffer of their own length that no memory is shared with. */
export function ownFloats(values: Float32Array): Float32Array {
  return values.buffer instanceof ArrayBuffer && values.byteLength === values.buffer.byteLength
    ? values
    : values.slice();
}
