/**
 * Views: how the bytes of a tensor in GGUF's layout come from one or several tensors of a Hugging Face file. There are two
 * ways: to gather segments that lie in the file as they are, straight into place, or to make pieces in memory.
 */
import { type DType, rowBytes } from "../../tensor/dtype.js";
import { FormatError } from "../../util/errors.js";
import type { TensorEntry } from "../checkpoint.js";
import type { SafetensorsTensor } from "../safetensors.js";
import type { PieceCache } from "./piece-cache.js";

/** What a view is given: the parts in order, the model's metadata, and the checkpoint's cache of pieces. */
export interface ViewContext {
  readonly parts: readonly SafetensorsTensor[];
  /** A number of the metadata, by its key without the architecture: "attention.head_count". */
  readonly size: (key: string) => number;
  readonly cache: PieceCache;
}

/** A tensor without its name. */
export type ViewedTensor = Omit<TensorEntry, "name">;

export interface View {
  /** How many tensors it is made of; 1 when absent. */
  readonly parts?: (size: ViewContext["size"]) => number;
  /** It reads types that no kernel has: bytes of packed formats. */
  readonly packed?: true;
  /** @throws FormatError for shapes that do not fit */
  apply(context: ViewContext): ViewedTensor;
}

/** Element type of a part that is not packed. */
export function dtypeOf({ name, type, dtype, source }: SafetensorsTensor): DType {
  if (dtype) return dtype;
  throw new FormatError(
    `${source.name}: the tensor "${name}" is stored as ${type}, which this architecture does not have there.`,
  );
}

/** @throws FormatError that names the tensor */
export function wrongShape({ name, shape, source }: SafetensorsTensor, expected: string): FormatError {
  return new FormatError(
    `${source.name}: the tensor "${name}" has the shape [${shape.join(", ")}], expected ${expected}.`,
    {
      tensor: name,
    },
  );
}

/** Where a segment lies: which part, and the byte in it. */
export interface Place {
  readonly part: SafetensorsTensor;
  readonly at: number;
}

/** A tensor of equal segments, the i-th of which lies at `place(i)`. */
export function gathered(
  shape: { readonly dtype: DType; readonly rows: number; readonly cols: number },
  segmentBytes: number,
  place: (index: number) => Place,
): ViewedTensor {
  const bytes = shape.rows * rowBytes(shape.dtype, shape.cols);
  const read = async (at: number, into: Uint8Array): Promise<void> => {
    for (let done = 0; done < into.length; ) {
      const index = Math.floor((at + done) / segmentBytes);
      const skipped = at + done - index * segmentBytes;
      const length = Math.min(segmentBytes - skipped, into.length - done);
      const { part, at: start } = place(index);
      await part.read(start + skipped, into.subarray(done, done + length));
      done += length;
    }
  };
  return { ...shape, bytes, read };
}

/** A tensor of equal pieces that `make` puts together in memory, one at a time. */
export function assembled(
  shape: { readonly dtype: DType; readonly rows: number; readonly cols: number },
  pieceRows: number,
  cache: PieceCache,
  make: (index: number) => Promise<Uint8Array>,
): ViewedTensor {
  const stride = rowBytes(shape.dtype, shape.cols);
  const bytes = shape.rows * stride;
  const pieceBytes = pieceRows * stride;
  const owner = {};
  const read = async (at: number, into: Uint8Array): Promise<void> => {
    for (let done = 0; done < into.length; ) {
      const index = Math.floor((at + done) / pieceBytes);
      const skipped = at + done - index * pieceBytes;
      const length = Math.min(pieceBytes - skipped, into.length - done);
      const piece = await cache.get(owner, index, () => make(index));
      into.set(piece.subarray(skipped, skipped + length), done);
      done += length;
    }
    if (at + into.length === bytes) cache.drop(owner);
  };
  return { ...shape, bytes, read };
}

/** Bytes [at, at + length) of a part. */
export async function bytesOf(part: SafetensorsTensor, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await part.read(at, bytes);
  return bytes;
}
