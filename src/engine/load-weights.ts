/**
 * Brings a checkpoint's tensors into a backend: checks that all that the spec needs are there with the right shapes, then
 * reads them in parallel chunks straight into the backend's memory. Vectors become f32; matrices keep their format, though
 * the backend may lay them out anew afterwards.
 */
import type { Checkpoint, TensorEntry } from "../formats/checkpoint.js";
import { requireTensor } from "../formats/require-tensor.js";
import { type WeightShape, Weights } from "../nn/weights.js";
import { dequantiseRow } from "../quant/index.js";
import type { Backend, WeightRequest } from "../tensor/backend.js";
import { rowBytes } from "../tensor/dtype.js";
import type { Weight } from "../tensor/tensor.js";
import { CancelledError, FormatError } from "../util/errors.js";

const CHUNK_BYTES = 8 * 2 ** 20;
const PARALLEL_READS = 4;

export interface WeightEntry {
  readonly shape: WeightShape;
  readonly entry: TensorEntry;
}

/** Pairs every weight of the spec with its tensor. @throws FormatError for a missing tensor or a wrong shape, UnsupportedError for its type */
export function matchWeights(checkpoint: Checkpoint, shapes: readonly WeightShape[]): WeightEntry[] {
  return shapes.map((shape) => {
    const entry = requireTensor(checkpoint, shape.name);
    if (entry.rows !== shape.rows || entry.cols !== shape.cols) {
      throw new FormatError(
        `${checkpoint.location}: the tensor "${shape.name}" is [${entry.rows}, ${entry.cols}], expected [${shape.rows}, ${shape.cols}].`,
        { tensor: shape.name },
      );
    }
    return { shape, entry };
  });
}

/** Vectors are kept as f32 whatever their file has. */
function isVector({ shape }: WeightEntry): boolean {
  return shape.rows === 1;
}

/** Bytes that these weights take in a backend. */
export function weightBytes(entries: readonly WeightEntry[]): number {
  return entries.reduce((sum, weight) => sum + (isVector(weight) ? 4 * weight.entry.cols : weight.entry.bytes), 0);
}

/** What these weights ask of a backend, in the order of use. */
export function weightRequests(entries: readonly WeightEntry[]): WeightRequest[] {
  return entries.map((pair) => {
    const { name, rows, cols, layer } = pair.shape;
    return { name, dtype: isVector(pair) ? "f32" : pair.entry.dtype, rows, cols, layer };
  });
}

/** One piece of the file that is brought into place. */
interface Read {
  /** Bytes that it fills. */
  readonly bytes: number;
  run(): Promise<unknown>;
}

export interface WeightLoading {
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** @throws MemoryError, FormatError, CancelledError */
export async function loadWeights(
  backend: Backend,
  entries: readonly WeightEntry[],
  options: WeightLoading,
): Promise<Weights> {
  const weights = new Map<string, Weight>();
  const reads: Read[] = [];
  const requests = weightRequests(entries);
  for (const [index, pair] of entries.entries()) {
    const slot = backend.allocWeight(requests[index]);
    weights.set(pair.shape.name, slot.weight);
    if (isVector(pair)) reads.push({ bytes: slot.bytes.length, run: () => readVector(pair.entry, slot.bytes) });
    else splitReads(pair.entry, slot.bytes, reads);
  }
  await runReads(reads, options);
  backend.weightsLoaded();
  return new Weights(weights);
}

/** Reads a vector of any type as f32 numbers. */
export async function readVector(entry: TensorEntry, into?: Uint8Array): Promise<Float32Array> {
  const bytes = new Uint8Array(rowBytes(entry.dtype, entry.cols));
  await entry.read(0, bytes);
  const values = new Float32Array(entry.cols);
  dequantiseRow(entry.dtype, bytes, 0, entry.cols, values);
  into?.set(new Uint8Array(values.buffer));
  return values;
}

function splitReads(entry: TensorEntry, into: Uint8Array, reads: Read[]): void {
  const { bytes } = entry;
  for (let start = 0; start < bytes; start += CHUNK_BYTES) {
    const part = into.subarray(start, Math.min(bytes, start + CHUNK_BYTES));
    reads.push({ bytes: part.length, run: () => entry.read(start, part) });
  }
}

async function runReads(reads: readonly Read[], { onProgress, signal }: WeightLoading): Promise<void> {
  const total = reads.reduce((sum, read) => sum + read.bytes, 0);
  let next = 0;
  let done = 0;
  onProgress(0, total);
  const lane = async () => {
    while (next < reads.length) {
      if (signal?.aborted) throw new CancelledError("Loading was cancelled.");
      const read = reads[next++];
      await read.run();
      done += read.bytes;
      onProgress(done, total);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_READS }, lane));
}
