/** Bytes in whatever dress they come: any view at any offset, or a buffer, of this realm or another. */
import { ArgumentError } from "./errors.js";

const BUFFERS: readonly string[] = ["[object ArrayBuffer]", "[object SharedArrayBuffer]"];

function isBuffer(value: unknown): value is ArrayBufferLike {
  try {
    return BUFFERS.includes(Object.prototype.toString.call(value));
  } catch {
    // A proxy does as it likes, or was revoked.
    return false;
  }
}

function isArray(value: unknown): boolean {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}

/** Whether its memory was given to another thread. (`ArrayBuffer.detached` is not in all engines.) */
function isDetached(value: unknown): boolean {
  const buffer: unknown = ArrayBuffer.isView(value) ? value.buffer : value;
  if (!isBuffer(buffer) || buffer.byteLength > 0) return false;
  try {
    return new Uint8Array(buffer).length > 0;
  } catch {
    return true;
  }
}

/**
 * The same bytes as a plain Uint8Array, not copied. (A Node Buffer is no plain one: its `slice` gives a view.)
 * @throws ArgumentError for what is neither a view nor a buffer; `what` says what was expected
 */
export function viewBytes(value: unknown, what: string): Uint8Array {
  if (isDetached(value)) {
    throw new ArgumentError(`${what} is bytes; found a buffer that was transferred elsewhere, which has none.`);
  }
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (isBuffer(value)) return new Uint8Array(value);
  const found = value === null ? "null" : isArray(value) ? "an array" : typeof value;
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
