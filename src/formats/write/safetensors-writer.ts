/**
 * Writes safetensors (https://github.com/huggingface/safetensors) as a stream. The header is padded with spaces so that the
 * data begins at a multiple of 8; tensors of wider elements come first, so that each begins at a multiple of its element's
 * size whatever the others hold.
 */
import type { DType } from "../../tensor/dtype.js";
import { ArgumentError } from "../../util/errors.js";
import { ByteWriter } from "./byte-writer.js";
import type { StreamedFile } from "./gguf-writer.js";
import { shapeOf, storedBytes, storedChunks, type TensorToWrite } from "./stored-rows.js";

const TYPES: Readonly<Partial<Record<DType, string>>> = { f32: "F32", f16: "F16", bf16: "BF16" };
const ALIGNMENT = 8;
const METADATA = "__metadata__";

export interface SafetensorsToWrite {
  /** f32, f16 or bf16. */
  readonly tensors: readonly TensorToWrite[];
  /** Texts under `__metadata__`; `transformers` asks for `format: "pt"`. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** @throws ArgumentError for names that appear twice and for types that the format does not have */
export function safetensorsFile({ tensors, metadata }: SafetensorsToWrite): StreamedFile {
  const ordered = [
    ...tensors.filter(({ dtype }) => dtype === "f32"),
    ...tensors.filter(({ dtype }) => dtype !== "f32"),
  ];
  const header = new Map<string, unknown>();
  if (metadata) header.set(METADATA, metadata);
  let dataBytes = 0;
  for (const tensor of ordered) {
    const { name, dtype } = tensor;
    if (header.has(name) || name === METADATA) {
      throw new ArgumentError(`The tensor name "${name}" is given twice, or is the format's own.`, { name });
    }
    const type = TYPES[dtype];
    if (type === undefined) {
      throw new ArgumentError(`"${name}" is ${dtype}; safetensors holds ${Object.keys(TYPES).join(", ")}.`, { name });
    }
    const end = dataBytes + storedBytes(tensor);
    header.set(name, { dtype: type, shape: shapeOf(tensor), data_offsets: [dataBytes, end] });
    dataBytes = end;
  }
  const start = headerBytes(header);
  return { bytes: start.length + dataBytes, chunks: () => fileChunks(start, ordered) };
}

function headerBytes(header: ReadonlyMap<string, unknown>): Uint8Array {
  // Built by hand: as properties of an object, names that are numbers would change the order.
  const entries = [...header].map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  const text = new TextEncoder().encode(`{${entries.join(",")}}`);
  const padded = Math.ceil(text.length / ALIGNMENT) * ALIGNMENT;
  const writer = new ByteWriter();
  writer.u64(padded);
  writer.raw(text);
  writer.raw(new Uint8Array(padded - text.length).fill(0x20));
  return writer.finish();
}

async function* fileChunks(
  header: Uint8Array,
  tensors: readonly TensorToWrite[],
): AsyncGenerator<Uint8Array, void, undefined> {
  yield header;
  for (const tensor of tensors) yield* storedChunks(tensor);
}
