/**
 * Reads a file's header front to back through a window that grows as needed, so that a header of any length takes few
 * reads and a hostile one takes no more memory than the file has bytes. Every read past the end is a FormatError that says
 * where and what was expected.
 */
import { FormatError } from "../util/errors.js";
import type { ByteSource } from "../util/platform.js";

const FIRST_WINDOW = 64 * 1024;
const LARGEST_WINDOW = 4 * 1024 * 1024;

/**
 * GGUF is UTF-8, but there are files with other bytes in names and tokens, which other runtimes take as they are: such bytes
 * become U+FFFD. A byte order mark is a character like any other.
 */
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

export class ByteCursor {
  private window = new Uint8Array(0);
  private view = new DataView(this.window.buffer);
  private windowStart = 0;
  private at = 0;
  private nextWindow = FIRST_WINDOW;

  /** `limit`: bytes that may be read at most, whatever the file claims. */
  constructor(
    readonly source: ByteSource,
    private readonly limit: number,
  ) {}

  /** Offset in the file of the next byte. */
  get position(): number {
    return this.windowStart + this.at;
  }

  /** Bytes of the file after `position`. */
  get remaining(): number {
    return this.source.size - this.position;
  }

  /** Bytes that the synchronous readers below may take now. */
  get buffered(): number {
    return this.window.length - this.at;
  }

  /** Makes `count` bytes available. @throws FormatError when the file has fewer */
  async fill(count: number, what: string): Promise<void> {
    if (this.buffered >= count) return;
    if (count > this.remaining) {
      throw this.truncated(
        `the file ends at byte ${this.source.size}, but ${what} needs ${count} bytes here; it seems to be truncated`,
      );
    }
    if (this.position + count > this.limit) {
      throw this.error(`${what} lies beyond the first ${this.limit} bytes, more than any header takes`);
    }
    const length = Math.max(count, Math.min(this.nextWindow, this.remaining));
    this.nextWindow = Math.min(2 * this.nextWindow, LARGEST_WINDOW);
    const rest = this.window.subarray(this.at);
    const window = new Uint8Array(length);
    window.set(rest);
    await this.source.read(this.position + rest.length, window.subarray(rest.length));
    this.windowStart = this.position;
    this.at = 0;
    this.window = window;
    this.view = new DataView(window.buffer);
  }

  /** The next `count` bytes, valid until the next fill. */
  bytes(count: number): Uint8Array {
    const bytes = this.window.subarray(this.at, this.at + count);
    this.at += count;
    return bytes;
  }

  u8(): number {
    return this.view.getUint8(this.advance(1));
  }
  i8(): number {
    return this.view.getInt8(this.advance(1));
  }
  u16(): number {
    return this.view.getUint16(this.advance(2), true);
  }
  i16(): number {
    return this.view.getInt16(this.advance(2), true);
  }
  u32(): number {
    return this.view.getUint32(this.advance(4), true);
  }
  i32(): number {
    return this.view.getInt32(this.advance(4), true);
  }
  f32(): number {
    return this.view.getFloat32(this.advance(4), true);
  }
  f64(): number {
    return this.view.getFloat64(this.advance(8), true);
  }
  /** A number where it is exact, else a bigint. */
  u64(): number | bigint {
    return whereSafe(this.view.getBigUint64(this.advance(8), true));
  }
  i64(): number | bigint {
    return whereSafe(this.view.getBigInt64(this.advance(8), true));
  }

  /** A u64 that counts or measures something. @throws FormatError above `max` */
  async count(what: string, max: number): Promise<number> {
    await this.fill(8, what);
    const start = this.position;
    const count = this.u64();
    if (typeof count === "number" && count <= max) return count;
    throw this.truncated(
      `${what} is ${count}, but there is room for at most ${max}; the file seems to be truncated or damaged`,
      start,
    );
  }

  /** A string that is entirely in the window, or undefined without moving. */
  bufferedText(): string | undefined {
    if (this.buffered < 8) return undefined;
    const length = this.view.getBigUint64(this.at, true);
    if (length > BigInt(this.buffered - 8)) return undefined;
    this.at += 8;
    return utf8.decode(this.bytes(Number(length)));
  }

  /** A u64 length and as many bytes of UTF-8. */
  async text(what: string, maxBytes: number): Promise<string> {
    const length = await this.count(`the length of ${what}`, Math.min(maxBytes, Math.max(0, this.remaining - 8)));
    await this.fill(length, what);
    return utf8.decode(this.bytes(length));
  }

  /** A FormatError that names the file and the place. */
  error(problem: string, position = this.position): FormatError {
    return new FormatError(`${this.source.name}, byte ${position}: ${problem}.`, { offset: position });
  }

  /** The same for a file that lacks bytes, so that it helps to fetch it again. */
  truncated(problem: string, position = this.position): FormatError {
    return new FormatError(`${this.source.name}, byte ${position}: ${problem}.`, { offset: position, truncated: true });
  }

  private advance(count: number): number {
    const at = this.at;
    this.at += count;
    return at;
  }
}

function whereSafe(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
