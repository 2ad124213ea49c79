/**
 * Reader of GGUF headers, versions 2 and 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). Our own, as the
 * bytes come from hostile places: bounded memory and time, truncation and every inconsistency a typed error.
 */
import { FormatError, UnsupportedError } from "../util/errors.js";
import type { ByteSource } from "../util/platform.js";
import { ByteCursor } from "./byte-cursor.js";
import type { Metadata, MetadataValue, UnsupportedTensor } from "./checkpoint.js";
import { describeForeign, foreignDetails, SIGNATURE_BYTES } from "./foreign-file.js";
import { placeTensors, quoted, readTensorInfo, type TensorInfo } from "./gguf-tensors.js";
import { MAX_ARRAY_ELEMENTS, readValue } from "./gguf-values.js";
import type { StoredTensor } from "./stored-tensor.js";

/** A header with a vocabulary of a million tokens takes some 50 MB. */
const MAX_HEADER_BYTES = 2 ** 28;
const MAX_KEY_BYTES = 65535;
const MAX_KEYS = 2 ** 16;
const MAX_TENSORS = 2 ** 20;
/** The least bytes of a key with its value, and of a tensor's entry. */
const LEAST_KEY_BYTES = 13;
const LEAST_TENSOR_BYTES = 32;
const DEFAULT_ALIGNMENT = 32;

/** "GGUF" as a little-endian u32. */
const MAGIC = 0x46554747;

export interface GgufFile {
  readonly version: 2 | 3;
  readonly metadata: Metadata;
  /** Tensors of types that Sluice reads, and the others. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly unsupported: ReadonlyMap<string, UnsupportedTensor>;
  readonly alignment: number;
  /** Where the data section starts in the file. */
  readonly dataOffset: number;
}

/** Whether these first bytes are those of a GGUF file. */
export function isGguf(first: Uint8Array): boolean {
  return first.length >= 4 && new DataView(first.buffer, first.byteOffset).getUint32(0, true) === MAGIC;
}

/**
 * Reads the header of one GGUF file. Does not close the source.
 * @throws FormatError for anything truncated, inconsistent or absurd, with its offset; UnsupportedError for big-endian
 * files and unknown versions
 */
export async function readGguf(source: ByteSource): Promise<GgufFile> {
  const cursor = new ByteCursor(source, MAX_HEADER_BYTES);
  await checkMagic(cursor);
  const version = await readVersion(cursor);
  const tensorCount = await cursor.count(
    "the number of tensors",
    Math.min(MAX_TENSORS, Math.floor(Math.max(0, cursor.remaining - 16) / LEAST_TENSOR_BYTES)),
  );
  const keyCount = await cursor.count(
    "the number of metadata keys",
    Math.min(MAX_KEYS, Math.floor(Math.max(0, cursor.remaining - 8) / LEAST_KEY_BYTES)),
  );
  const metadata = await readMetadata(cursor, keyCount);
  const alignment = alignmentOf(cursor, metadata);
  const infos: TensorInfo[] = [];
  for (let i = 0; i < tensorCount; i++) infos.push(await readTensorInfo(cursor, i));
  const dataOffset = Math.ceil(cursor.position / alignment) * alignment;
  return { version, metadata, alignment, dataOffset, ...placeTensors(cursor, infos, dataOffset, alignment) };
}

async function checkMagic(cursor: ByteCursor): Promise<void> {
  const { source } = cursor;
  const first = new Uint8Array(Math.min(SIGNATURE_BYTES, source.size));
  await source.read(0, first);
  if (!isGguf(first)) {
    throw new FormatError(`${source.name} is not a GGUF file: ${describeForeign(first)}.`, foreignDetails(first));
  }
  await cursor.fill(4, "the magic number");
  cursor.bytes(4);
}

async function readVersion(cursor: ByteCursor): Promise<2 | 3> {
  await cursor.fill(4, "the version");
  const version = cursor.u32();
  if (version === 2 || version === 3) return version;
  const { name } = cursor.source;
  if (version === 0) throw cursor.error("version 0 of GGUF does not exist", 4);
  // A small number written big-endian has zeros in its low half.
  if ((version & 0xffff) === 0) {
    throw new UnsupportedError(`${name} is a big-endian GGUF file; Sluice reads little-endian ones.`, { version });
  }
  throw new UnsupportedError(`${name} has GGUF version ${version}; Sluice reads versions 2 and 3.`, { version });
}

async function readMetadata(cursor: ByteCursor, count: number): Promise<Map<string, MetadataValue>> {
  const metadata = new Map<string, MetadataValue>();
  const budget = { left: MAX_ARRAY_ELEMENTS };
  for (let i = 0; i < count; i++) {
    const start = cursor.position;
    const key = await cursor.text(`metadata key ${i}`, MAX_KEY_BYTES);
    if (metadata.has(key)) throw cursor.error(`the metadata key ${quoted(key)} appears twice`, start);
    metadata.set(key, await readValue(cursor, `the value of "${key}"`, budget));
  }
  return metadata;
}

function alignmentOf(cursor: ByteCursor, metadata: Metadata): number {
  const alignment = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (typeof alignment === "number" && Number.isInteger(Math.log2(alignment)) && alignment >= 1) return alignment;
  throw cursor.error(`"general.alignment" must be a power of two, found ${String(alignment).slice(0, 40)}`);
}
