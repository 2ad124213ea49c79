/**
 * Small products of few tokens that the wide module (kernels/linear/planes-wide.ts) must make before it is used: of every
 * format that lies by eights, of eight rows. Numbers are small enough that all sums are whole numbers below
 * 2^24, exact in f32.
 */
import { EIGHTS } from "../../../kernels/abi.js";
import { DTYPES } from "../../tensor/dtype.js";
import { kernelFunction } from "./module.js";

/** A format's places by eights, as kernels/quantise/eights.ts has them. `middle` is added to integers as they are stored. */
interface Layout {
  readonly dtype: "q4_0" | "q4_k" | "q5_k" | "q6_k";
  /** Blocks of 32 columns of one of the file's, and how many of those the problem has. */
  readonly parts: number;
  readonly count: number;
  /** Bytes before the first nibbles, and from nibbles to nibbles. */
  readonly start: number;
  readonly step: number;
  /** Bits above the nibble, and columns whose bits share a byte. */
  readonly upper: number;
  readonly middle: number;
}

const LAYOUTS: readonly Layout[] = [
  { dtype: "q4_0", parts: 1, count: 3, start: 16, step: 144, upper: 0, middle: 8 },
  { dtype: "q4_k", parts: 8, count: 2, start: 128, step: 128, upper: 0, middle: 0 },
  { dtype: "q5_k", parts: 8, count: 2, start: 128, step: 160, upper: 1, middle: 0 },
  { dtype: "q6_k", parts: 8, count: 2, start: 144, step: 192, upper: 2, middle: 32 },
];

/** Where a problem lies in a memory: records, planes, their records, sums, and eight rows of weights. */
const AT = { scales: 1024, planes: 12288, records: 16384, sums: 20480, weights: 24576 };
// kernels/quantise/eights-record.ts and planes.ts.
const RECORD = { bytes: 576, minima: 256, factors: 512 };
const PLANES_RECORD = 32;
const ROWS = 8;
const BEFORE = 5;

const coarseOf = (k: number) => ((k * 5) % 7) - 3;
const fineOf = (k: number) => ((k * 67 + 5) % 255) - 127;
const activationOf = (k: number) => 128 * coarseOf(k) + fineOf(k);
const tokenScaleOf = (block: number) => 1 << (block % 3);
/** Of row and block, or half of one: integers, and powers of two. */
const integerScaleOf = (row: number, part: number) => ((row * 3 + part * 5) % 7) - 3;
const minimumOf = (row: number, block: number) => (row * 5 + block * 3) % 11;
const factorOf = (row: number) => 2 ** (1 + (row & 1));
const minimumFactorOf = (row: number) => -(2 ** (2 - (row & 1)));
const byteOf = (at: number) => (at * 89 + (at >> 3) * 37 + (at >> 7) * 11 + 7) & 255;

/** The integer of a row and column as it is stored. */
function storedOf(layout: Layout, bytes: Uint8Array, row: number, k: number): number {
  const { parts, start, step, upper } = layout;
  const block = Math.floor(k / 32) % parts;
  const of = AT.weights + Math.floor(k / (32 * parts)) * 8 * DTYPES[layout.dtype].blockBytes;
  const at = of + start + block * step;
  const column = k & 31;
  const four = row * 4 + (column & 3);
  const nibble = (bytes[at + (column >> 3) * 32 + four] >> (column & 4)) & 15;
  if (upper === 0) return nibble;
  const word = column >> 2;
  const bits =
    upper === 1 ? bytes[at + 128 + four] >> word : bytes[at + 128 + (word >> 2) * 32 + four] >> (2 * (word & 3));
  return nibble | ((bits & (2 ** upper - 1)) << 4);
}

/** Of k-quants, what the kernels unpack first (`scaleOf` is of 32 columns, or of 16 with two bits above the nibble). */
function layRecords(view: DataView, { parts, count, upper }: Layout): void {
  if (parts === 1) return;
  const scales = upper === 2 ? 16 : 8;
  for (let row = 0; row < ROWS; row++) {
    for (let superBlock = 0; superBlock < count; superBlock++) {
      const at = AT.scales + superBlock * RECORD.bytes;
      for (let i = 0; i < scales; i++) {
        const scale = integerScaleOf(row, superBlock * scales + i);
        for (const twice of [0, 2]) view.setInt16(at + i * 32 + row * 4 + twice, scale, true);
        if (upper === 2) continue;
        view.setFloat32(at + RECORD.minima + i * 32 + row * 4, minimumOf(row, superBlock * 8 + i), true);
      }
      view.setFloat32(at + RECORD.factors + row * 4, factorOf(row), true);
      view.setFloat32(at + RECORD.factors + 32 + row * 4, minimumFactorOf(row), true);
    }
  }
}

function layPlanes(view: DataView, columns: number): void {
  for (let k = 0; k < columns; k++) {
    const [block, column] = [k >> 5, k & 31];
    view.setInt8(AT.planes + block * 64 + column, coarseOf(k));
    view.setInt8(AT.planes + block * 64 + 32 + column, fineOf(k));
    const record = AT.records + block * PLANES_RECORD;
    const addTo = (at: number, value: number) => view.setInt16(at, view.getInt16(at, true) - 32 * value, true);
    const starts = record + 16 + (column >> 4) * 8 + (column & 2);
    addTo(starts, coarseOf(k));
    addTo(starts + 4, fineOf(k));
    view.setFloat32(record, tokenScaleOf(block), true);
    view.setInt32(record + 4, view.getInt32(record + 4, true) - 8 * activationOf(k), true);
    const sum = view.getFloat32(record + 8, true) - activationOf(k) * tokenScaleOf(block);
    view.setFloat32(record + 8, sum, true);
  }
}

function layOut(memory: WebAssembly.Memory, layout: Layout): void {
  const view = new DataView(memory.buffer);
  const bytes = new Uint8Array(memory.buffer).fill(0);
  const { dtype, parts, count, step } = layout;
  for (let i = 0; i < count * ROWS * DTYPES[dtype].blockBytes; i++) bytes[AT.weights + i] = byteOf(i);
  if (parts === 1) {
    // Scales are halves in the weight itself: powers of two.
    for (let row = 0; row < ROWS; row++) {
      for (let block = 0; block < count; block++) {
        const at = AT.weights + block * step + row * 2;
        view.setUint16(at, (15 + integerScaleOf(row, block)) << 10, true);
      }
    }
  }
  layRecords(view, layout);
  layPlanes(view, count * parts * 32);
}

/** What the kernel must find for a row. */
function exact(layout: Layout, bytes: Uint8Array, row: number): number {
  const { parts, count, upper, middle } = layout;
  let sum = BEFORE;
  for (let k = 0; k < count * parts * 32; k++) {
    const block = k >> 5;
    const weight = storedOf(layout, bytes, row, k) - middle;
    const own = integerScaleOf(row, upper === 2 ? k >> 4 : block);
    const scale = parts === 1 ? 2 ** own : own * factorOf(row);
    const minimum = parts === 1 || upper === 2 ? 0 : minimumOf(row, block) * minimumFactorOf(row);
    sum += activationOf(k) * tokenScaleOf(block) * (weight * scale - minimum);
  }
  return sum;
}

/** Whether the module's products of few tokens are exact. */
export function multipliesPlanesRight(wide: WebAssembly.Module): boolean {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const planesWide = kernelFunction(new WebAssembly.Instance(wide, { env: { memory } }), "planesWide");
  const right = (layout: Layout) => {
    layOut(memory, layout);
    const found = new Float32Array(memory.buffer, AT.sums, ROWS).fill(BEFORE);
    const { scales, planes, records, sums, weights } = AT;
    const type = EIGHTS + DTYPES[layout.dtype].ggml;
    planesWide(type, weights, layout.count, scales, planes, records, sums);
    const bytes = new Uint8Array(memory.buffer);
    return found.every((value, row) => value === exact(layout, bytes, row));
  };
  // All of them, whatever the first says: a function that is not called here is not compiled to 256-bit vectors.
  return LAYOUTS.map(right).every((one) => one);
}
