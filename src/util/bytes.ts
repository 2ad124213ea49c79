/** Bytes in whatever dress they come: any view at any offset, or a buffer, of this realm or another. */
import { ArgumentError } from "./errors.js";

const BUFFERS: readonly string[] = ["[object ArrayBuffer]", "[object SharedArrayBuffer]"];

function isBuffer(value: unknown): value is ArrayBufferLike {
  return BUFFERS.includes(Object.prototype.toString.call(value));
}

/**
 * The same bytes as a plain Uint8Array, not copied. (A Node Buffer is no plain one: its `slice` gives a view.)
 * @throws ArgumentError for what is neither a view nor a buffer; `what` says what was expected
 */
export function viewBytes(value: unknown, what: string): Uint8Array {
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (isBuffer(value)) return new Uint8Array(value);
  const found = value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
  throw new ArgumentError(
    `${what} is bytes (a Uint8Array, a Buffer or another view, or an ArrayBuffer); found ${found}.`,
  );
}

/** A copy that owns its buffer: the caller's stays as it is, and is not shared. @throws ArgumentError */
export function copyBytes(value: unknown, what: string): Uint8Array<ArrayBuffer> {
  const bytes = viewBytes(value, what);
  const own = new Uint8Array(bytes.length);
  own.set(bytes);
  return own;
}
