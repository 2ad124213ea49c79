/**
 * Packed token files: all token ids of the training texts in one row, each as u16 or u32, so that any stretch is read
 * without the rest. All numbers are little-endian:
 *
 *     0  "SLUICETK"         8  version (u32)     12  bytes of an id, 2 or 4 (u32)
 *    16  vocabulary size (u32)                   20  fingerprint of the tokenizer (u32)
 *    24  ids
 *   end - 16  number of ids (u64)                end - 8  "KTECIULS"
 *
 * The number stands at the end, so a file is written front to back, and one that was cut short is told apart.
 */
import { ArgumentError, FormatError } from "../../util/errors.js";
import type { ByteSource } from "../../util/platform.js";
import { checkRange, type TokenSequence } from "./token-sequence.js";

const MAGIC = "SLUICETK";
const END_MARK = "KTECIULS";
const VERSION = 1;
const HEADER_BYTES = 24;
const FOOTER_BYTES = 16;
/** Bytes that are written at a time. */
const CHUNK_BYTES = 2 ** 20;
/** Ids are Int32 everywhere else. */
const LARGEST_VOCABULARY = 2 ** 31;

export interface PackedTokensHeader {
  readonly vocabularySize: number;
  /** `tokenizerFingerprint` of the tokenizer that made the ids. */
  readonly fingerprint: number;
}

/** The bytes of a packed token file, chunk by chunk. @throws ArgumentError for an id outside of the vocabulary */
export async function* packedTokenBytes(
  ids: AsyncIterable<Int32Array> | Iterable<Int32Array>,
  header: PackedTokensHeader,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const { vocabularySize } = header;
  const width = vocabularySize <= 2 ** 16 ? 2 : 4;
  yield headerBytes(header, width);
  let chunk = new DataView(new ArrayBuffer(CHUNK_BYTES));
  let used = 0;
  let count = 0;
  for await (const part of ids) {
    for (const id of part) {
      checkId(id, vocabularySize);
      if (width === 2) chunk.setUint16(used, id, true);
      else chunk.setUint32(used, id, true);
      used += width;
      if (used < CHUNK_BYTES) continue;
      yield new Uint8Array(chunk.buffer);
      chunk = new DataView(new ArrayBuffer(CHUNK_BYTES));
      used = 0;
    }
    count += part.length;
  }
  if (used > 0) yield new Uint8Array(chunk.buffer, 0, used);
  yield footerBytes(count);
}

function checkId(id: number, vocabularySize: number): void {
  if (id >= 0 && id < vocabularySize) return;
  throw new ArgumentError(`The token id ${id} is outside of the vocabulary of ${vocabularySize} tokens.`, {
    id,
    vocabularySize,
  });
}

function headerBytes({ vocabularySize, fingerprint }: PackedTokensHeader, width: number): Uint8Array<ArrayBuffer> {
  if (!Number.isInteger(vocabularySize) || vocabularySize < 1 || vocabularySize > LARGEST_VOCABULARY) {
    throw new ArgumentError(`A vocabulary has 1 to ${LARGEST_VOCABULARY} tokens; found ${vocabularySize}.`);
  }
  const bytes = new Uint8Array(HEADER_BYTES);
  bytes.set(new TextEncoder().encode(MAGIC));
  const view = new DataView(bytes.buffer);
  [VERSION, width, vocabularySize, fingerprint].forEach((number, i) => {
    view.setUint32(8 + 4 * i, number, true);
  });
  return bytes;
}

function footerBytes(count: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FOOTER_BYTES);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(count), true);
  bytes.set(new TextEncoder().encode(END_MARK), 8);
  return bytes;
}

/** A packed token file, of which only what is asked for is read. */
export class PackedTokens implements TokenSequence, PackedTokensHeader {
  private constructor(
    readonly source: ByteSource,
    readonly count: number,
    readonly width: 2 | 4,
    readonly vocabularySize: number,
    readonly fingerprint: number,
  ) {}

  /** Checks header and end; the file is closed again where they are wrong. @throws FormatError */
  static async open(source: ByteSource): Promise<PackedTokens> {
    try {
      return await PackedTokens.checked(source);
    } catch (error) {
      await source.close();
      throw error;
    }
  }

  private static async checked(source: ByteSource): Promise<PackedTokens> {
    const { name, size } = source;
    const least = HEADER_BYTES + FOOTER_BYTES;
    if (size < least) throw new FormatError(`'${name}' has ${size} bytes; a packed token file has at least ${least}.`);
    const header = new Uint8Array(HEADER_BYTES);
    const footer = new Uint8Array(FOOTER_BYTES);
    await source.read(0, header);
    await source.read(size - FOOTER_BYTES, footer);
    if (latin1(header.subarray(0, 8)) !== MAGIC) {
      throw new FormatError(`'${name}' is no packed token file: it doesn't begin with ${MAGIC}.`);
    }
    const view = new DataView(header.buffer);
    const [version, width, vocabularySize, fingerprint] = [8, 12, 16, 20].map((at) => view.getUint32(at, true));
    if (version !== VERSION) {
      throw new FormatError(`'${name}' has version ${version} of packed tokens; ${VERSION} is known. Pack it again.`);
    }
    if (width !== 2 && width !== 4) throw new FormatError(`'${name}' has ids of ${width} bytes; expected 2 or 4.`);
    if (vocabularySize < 1 || vocabularySize > LARGEST_VOCABULARY) {
      throw new FormatError(`'${name}' names a vocabulary of ${vocabularySize} tokens.`);
    }
    const idBytes = size - least;
    const count = new DataView(footer.buffer).getBigUint64(0, true);
    if (latin1(footer.subarray(8)) !== END_MARK || count * BigInt(width) !== BigInt(idBytes)) {
      throw new FormatError(
        `'${name}' is incomplete or damaged: its end doesn't fit its ${size} bytes. Pack it again.`,
        {
          bytes: size,
        },
      );
    }
    return new PackedTokens(source, Number(count), width, vocabularySize, fingerprint);
  }

  /** @throws ArgumentError outside of the file, FormatError for ids outside of the vocabulary */
  async read(start: number, count: number): Promise<Int32Array> {
    checkRange(start, count, this.count);
    const { width, vocabularySize } = this;
    const bytes = new Uint8Array(count * width);
    await this.source.read(HEADER_BYTES + start * width, bytes);
    const view = new DataView(bytes.buffer);
    const ids = new Int32Array(count);
    for (let i = 0; i < count; i++) {
      const id = width === 2 ? view.getUint16(2 * i, true) : view.getUint32(4 * i, true);
      if (id >= vocabularySize) {
        throw new FormatError(
          `'${this.source.name}' is damaged: token ${start + i} is ${id}, the vocabulary has ${vocabularySize} tokens.`,
          { token: start + i, id, vocabularySize },
        );
      }
      ids[i] = id;
    }
    return ids;
  }

  close(): Promise<void> {
    return this.source.close();
  }
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
