/**
 * The form of a saved session: a magic word, the version of the form, a checksum, a header in JSON, then blocks of bytes whose
 * lengths follow from the header. Everything is little-endian, as the machines are that Sluice runs on.
 */
import type { ByteSink, ByteTap } from "../../context/snapshot.js";
import { viewBytes } from "../../util/bytes.js";
import { SnapshotError } from "../../util/errors.js";
import { xxhash32 } from "../../util/xxhash32.js";

const MAGIC = "SLUICESS";
const VERSION = 1;
const VERSION_AT = MAGIC.length;
const CHECKSUM_AT = VERSION_AT + 4;
const HEADER_BYTES_AT = CHECKSUM_AT + 4;
const HEADER_AT = HEADER_BYTES_AT + 4;

/** A snapshot with this header and room for `blockBytes` bytes behind it, which are put next. */
export class SnapshotWriter implements ByteSink {
  private readonly bytes: Uint8Array<ArrayBuffer>;
  private at: number;

  constructor(header: unknown, blockBytes: number) {
    const text = new TextEncoder().encode(JSON.stringify(header));
    this.at = HEADER_AT + text.length;
    this.bytes = new Uint8Array(this.at + blockBytes);
    this.bytes.set(new TextEncoder().encode(MAGIC));
    this.view.setUint32(VERSION_AT, VERSION, true);
    this.view.setUint32(HEADER_BYTES_AT, text.length, true);
    this.bytes.set(text, HEADER_AT);
  }

  private get view(): DataView {
    return new DataView(this.bytes.buffer);
  }

  put(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  putNumbers({ buffer, byteOffset, byteLength }: Int32Array | Float32Array): void {
    this.put(new Uint8Array(buffer, byteOffset, byteLength));
  }

  /** The whole, when all of the room is filled. */
  finish(): Uint8Array<ArrayBuffer> {
    this.view.setUint32(CHECKSUM_AT, xxhash32(this.bytes.subarray(HEADER_BYTES_AT)), true);
    return this.bytes;
  }
}

export class SnapshotReader implements ByteTap {
  /** As it stands in the file: the caller checks it. */
  readonly header: unknown;
  private at: number;

  private readonly bytes: Uint8Array;

  /** @throws SnapshotError for anything but a whole snapshot of this version */
  constructor(given: Uint8Array) {
    // A Buffer's `slice` is no copy.
    const bytes = viewBytes(given, "A saved session");
    this.bytes = bytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const magic = new TextDecoder("latin1").decode(bytes.slice(0, MAGIC.length));
    if (bytes.length < HEADER_AT || magic !== MAGIC) throw new SnapshotError("This is not a saved session.");
    const version = view.getUint32(VERSION_AT, true);
    if (version !== VERSION) {
      throw new SnapshotError(
        `The session was saved in version ${version} of the form; this version of Sluice reads ${VERSION}.`,
        { found: version, expected: VERSION },
      );
    }
    if (view.getUint32(CHECKSUM_AT, true) !== xxhash32(bytes.subarray(HEADER_BYTES_AT))) {
      throw new SnapshotError("The saved session is damaged or incomplete: its checksum is wrong.");
    }
    this.at = HEADER_AT + view.getUint32(HEADER_BYTES_AT, true);
    if (this.at > bytes.length) throw new SnapshotError("The saved session ends within its header.");
    this.header = parse(bytes.slice(HEADER_AT, this.at));
  }

  /** Bytes of the blocks that were not taken yet. */
  get left(): number {
    return this.bytes.length - this.at;
  }

  take(count: number): Uint8Array {
    if (count > this.left) throw new SnapshotError("The saved session is shorter than its header says.");
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  takeInts(count: number): Int32Array {
    return new Int32Array(this.take(4 * count).slice().buffer);
  }

  takeFloats(count: number): Float32Array {
    return new Float32Array(this.take(4 * count).slice().buffer);
  }
}

function parse(text: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
  } catch (cause) {
    throw new SnapshotError("The header of the saved session cannot be read.", {}, { cause });
  }
}
