/**
 * Writes GGUF files for tests and benchmarks on the parts of Sluice's own writer, valid by default; options and raw parts
 * allow for the broken ones that readers must refuse.
 */
import { ByteWriter } from "../../src/formats/write/byte-writer.js";
import { type GgufValue, writeText, writeValue } from "../../src/formats/write/gguf-values.js";
import { writeStart, writeTensorInfo } from "../../src/formats/write/gguf-writer.js";
import { quantiseRow } from "../../src/quant/index.js";
import { type DType, rowBytes } from "../../src/tensor/dtype.js";

export type { GgufValue } from "../../src/formats/write/gguf-values.js";
export { writeText };

export interface GgufTensorSpec {
  readonly name: string;
  readonly dtype: DType;
  /** Vectors have one row and are written with one dimension. */
  readonly rows: number;
  readonly cols: number;
  /** [rows, cols], quantised here; or the stored bytes. */
  readonly values: Float32Array | Uint8Array;
}

export interface GgufSpec {
  readonly metadata?: Readonly<Record<string, GgufValue>>;
  readonly tensors?: readonly GgufTensorSpec[];
  readonly version?: number;
  /** Written as general.alignment when given; default 32. */
  readonly alignment?: number;
  /** Called where each part starts, to find the sections of a file. */
  readonly onSection?: (name: string, offset: number) => void;
}

/** The bytes of a whole file. */
export function writeGguf(spec: GgufSpec): Uint8Array<ArrayBuffer> {
  const { tensors = [], version = 3, alignment, onSection = () => {} } = spec;
  const metadata = { ...spec.metadata, ...(alignment !== undefined && { "general.alignment": alignment }) };
  const writer = new ByteWriter();
  const section = (name: string) => onSection(name, writer.position);
  onSection("magic", 0);
  onSection("version", 4);
  onSection("tensor count", 8);
  onSection("key count", 16);
  writeStart(writer, version, tensors.length, Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    section(`key ${key}`);
    writeText(writer, key);
    section(`value ${key}`);
    writeValue(writer, key, value);
  }
  const stored = tensors.map((tensor) => ({ tensor, bytes: tensorBytes(tensor) }));
  let offset = 0;
  for (const { tensor, bytes } of stored) {
    section(`tensor ${tensor.name}`);
    writeTensorInfo(writer, tensor, offset);
    offset += Math.ceil(bytes.length / (alignment ?? 32)) * (alignment ?? 32);
  }
  for (const { tensor, bytes } of stored) {
    writer.align(alignment ?? 32);
    section(`data ${tensor.name}`);
    writer.raw(bytes);
  }
  section("end");
  return writer.finish();
}

function tensorBytes({ name, dtype, rows, cols, values }: GgufTensorSpec): Uint8Array {
  if (values instanceof Uint8Array) return values;
  if (values.length !== rows * cols) throw new Error(`${name}: ${values.length} values for ${rows} x ${cols}`);
  const stride = rowBytes(dtype, cols);
  const bytes = new Uint8Array(rows * stride);
  for (let row = 0; row < rows; row++) {
    quantiseRow(dtype, values.subarray(row * cols, (row + 1) * cols), bytes, row * stride, cols);
  }
  return bytes;
}
