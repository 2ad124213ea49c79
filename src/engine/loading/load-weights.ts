/**
 * Brings a checkpoint's tensors into a backend: checks that all that the spec needs are there with the right shapes, then
 * reads them in parallel chunks, straight into the backend's memory where the host reaches it. Vectors and small tables
 * become f32; matrices keep their format, though the backend may lay them out anew afterwards. Every chunk is searched for
 * infinities and NaN while it is in the processor's cache: kernels read them as large numbers, so this is the border that
 * none passes.
 */
import type { Checkpoint, TensorEntry } from "../../formats/checkpoint.js";
import { requireTensor } from "../../formats/require-tensor.js";
import { Weights, type WeightUse } from "../../nn/weights.js";
import { dequantiseRow } from "../../quant/index.js";
import { firstNonFinite } from "../../quant/non-finite.js";
import type { Backend, WeightRequest } from "../../tensor/backend.js";
import { DTYPES, rowBytes } from "../../tensor/dtype.js";
import type { Weight, WeightSlot } from "../../tensor/tensor.js";
import { CancelledError, FormatError, NumericError, UnsupportedError } from "../../util/errors.js";
import { xxhash32 } from "../../util/xxhash32.js";

const CHUNK_BYTES = 8 * 2 ** 20;
const PARALLEL_READS = 4;

export interface WeightEntry {
  readonly use: WeightUse;
  readonly entry: TensorEntry;
}

/**
 * Pairs every weight of the spec with the tensor that it is (a part of).
 * @throws FormatError for a missing tensor or a wrong shape, UnsupportedError for its type
 */
export function matchWeights(checkpoint: Checkpoint, uses: readonly WeightUse[]): WeightEntry[] {
  return uses.map((use) => {
    const { ref } = use;
    const entry = requireTensor(checkpoint, ref.tensor);
    const { rows, cols } = ref.part ?? ref;
    if (entry.rows === rows && entry.cols === cols) return { use, entry };
    throw new FormatError(
      `${checkpoint.location}: the tensor "${ref.tensor}" is [${entry.rows}, ${entry.cols}], expected [${rows}, ${cols}].`,
      { tensor: ref.tensor },
    );
  });
}

/** The bytes of the tensor that the weight is. @throws UnsupportedError for a part that cuts a block of a quantised type */
function extentOf({ use: { ref }, entry }: WeightEntry): { readonly start: number; readonly bytes: number } {
  const start = rowBytes(entry.dtype, ref.part?.start ?? 0);
  const bytes = rowBytes(entry.dtype, ref.rows * ref.cols);
  if (Number.isInteger(start) && Number.isInteger(bytes)) return { start, bytes };
  throw new UnsupportedError(`The tensor "${ref.tensor}" of type ${entry.dtype} cannot be taken apart there.`, {
    tensor: ref.tensor,
  });
}

/** Bytes that these weights take in a backend. */
export function weightBytes(entries: readonly WeightEntry[]): number {
  return entries.reduce((sum, pair) => {
    const { exact, rows, cols } = pair.use.ref;
    return sum + (exact ? 4 * rows * cols : extentOf(pair).bytes);
  }, 0);
}

/** What these weights ask of a backend, in the order of use. */
export function weightRequests(entries: readonly WeightEntry[]): WeightRequest[] {
  return entries.map(({ use: { name, ref, layer }, entry }) => {
    const { rows, cols, exact, experts } = ref;
    return { name, dtype: exact ? "f32" : entry.dtype, rows, cols, experts, layer };
  });
}

/** One piece of the file that is brought to where its weight lies. */
interface Read {
  /** Bytes that it fills. */
  readonly bytes: number;
  readonly entry: TensorEntry;
  /** First byte in the tensor. */
  readonly start: number;
  run(): Promise<unknown>;
}

export interface WeightLoading {
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface LoadedWeights {
  readonly weights: Weights;
  /** A checksum of the beginning of every weight. */
  readonly checksum: number;
}

/** Enough to tell checkpoints of the same sizes apart, at no cost. */
const SAMPLE_BYTES = 1024;

/** @throws MemoryError, FormatError, CancelledError; NumericError for weights that are not finite */
export async function loadWeights(
  backend: Backend,
  entries: readonly WeightEntry[],
  options: WeightLoading,
): Promise<LoadedWeights> {
  const weights = new Map<string, Weight>();
  const samples: Uint8Array[] = [];
  const reads: Read[] = [];
  // What is read comes in any order; the checksum is over the weights in the order of use.
  const sampled = (index: number) => (bytes: Uint8Array) => {
    samples[index] = bytes.slice(0, SAMPLE_BYTES);
  };
  const requests = weightRequests(entries);
  for (const [index, pair] of entries.entries()) {
    const slot = backend.allocWeight(requests[index]);
    weights.set(pair.use.name, slot.weight);
    const target = { slot, begins: sampled(index) };
    if (pair.use.ref.exact) reads.push(exactRead(pair, target));
    else splitReads(pair, target, reads);
  }
  await runReads(inFileOrder(reads), options);
  const checksum = samples.reduce((seed, sample) => xxhash32(sample, seed), 0);
  backend.weightsLoaded();
  return { weights: new Weights(weights), checksum };
}

/** Reads a whole vector of any type as f32 numbers. @throws NumericError for what is not finite */
export async function readVector(entry: TensorEntry): Promise<Float32Array> {
  return readNumbers(entry, 0, entry.cols);
}

/** `count` numbers from the byte `start` of a tensor. */
async function readNumbers(entry: TensorEntry, start: number, count: number): Promise<Float32Array> {
  const bytes = new Uint8Array(rowBytes(entry.dtype, count));
  await entry.read(start, bytes);
  requireFinite(entry, start, bytes);
  const values = new Float32Array(count);
  dequantiseRow(entry.dtype, bytes, 0, count, values);
  return values;
}

/** Where a weight goes, and who is told what its first bytes are. */
interface Target {
  readonly slot: WeightSlot;
  readonly begins: (bytes: Uint8Array) => void;
}

function exactRead(pair: WeightEntry, target: Target): Read {
  const { rows, cols } = pair.use.ref;
  const bytes = 4 * rows * cols;
  return { bytes, entry: pair.entry, start: extentOf(pair).start, run: () => readExact(pair, target) };
}

async function readExact(pair: WeightEntry, { slot, begins }: Target): Promise<void> {
  const { rows, cols } = pair.use.ref;
  const values = await readNumbers(pair.entry, extentOf(pair).start, rows * cols);
  const bytes = new Uint8Array(values.buffer);
  begins(bytes);
  slot.write(0, bytes);
}

function splitReads(pair: WeightEntry, target: Target, reads: Read[]): void {
  const { start: first, bytes } = extentOf(pair);
  // Whole blocks, which begin at words.
  const unit = 4 * DTYPES[pair.entry.dtype].blockBytes;
  const chunk = CHUNK_BYTES - (CHUNK_BYTES % unit);
  for (let start = 0; start < bytes; start += chunk) {
    const count = Math.min(chunk, bytes - start);
    const { entry } = pair;
    const run = () => readChunk(entry, first + start, target, start, count);
    reads.push({ bytes: count, entry, start: first + start, run });
  }
}

/** One file after another and front to back, which files behind URLs need: they come in large blocks. */
function inFileOrder(reads: readonly Read[]): Read[] {
  const sources = [...new Set(reads.map(({ entry }) => entry.source))];
  const rank = new Map(sources.map((source, at) => [source, at]));
  const position = ({ entry, start }: Read) => (entry.offset ?? 0) + start;
  const file = ({ entry }: Read) => rank.get(entry.source) ?? 0;
  return reads.toSorted((a, b) => file(a) - file(b) || position(a) - position(b));
}

/** `count` bytes from the byte `start` of the tensor become those from `offset` on of the weight. */
async function readChunk(
  entry: TensorEntry,
  start: number,
  { slot, begins }: Target,
  offset: number,
  count: number,
): Promise<void> {
  const { memory } = slot;
  const bytes = memory ? memory.subarray(offset, offset + count) : new Uint8Array(count);
  await entry.read(start, bytes);
  requireFinite(entry, start, bytes);
  if (offset === 0) begins(bytes);
  if (!memory) slot.write(offset, bytes);
}

/** `bytes` lie at the byte `start` of the tensor. @throws NumericError */
function requireFinite({ name, dtype }: TensorEntry, start: number, bytes: Uint8Array): void {
  const found = firstNonFinite(dtype, bytes);
  if (found < 0) return;
  const { blockBytes, blockSize } = DTYPES[dtype];
  const block = start / blockBytes + found;
  const where = blockSize === 1 ? "number" : "scale of block";
  throw new NumericError(
    `The tensor "${name}" (${dtype}) is not finite: expected numbers, found infinity or NaN as the ${where} ${block}. The file ` +
      "is damaged, or values overflowed when it was made: fetch it again, or convert it anew from the original.",
    { tensor: name, dtype, block },
  );
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
