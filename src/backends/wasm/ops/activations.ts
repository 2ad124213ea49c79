/**
 * Activations as integers, as products with quantised weights read them. Made once for all products that read the same
 * rows, and only of those rows; quantise.ts, planes.ts, quantise-bytes.ts and quantise-pairs.ts in kernels/quantise document
 * the layouts.
 */
import * as abi from "../../../../kernels/abi.js";
import type { Machine } from "../machine.js";
import type { WasmTensor } from "../tensors.js";

/** Nanoseconds of one thread per activation. */
const QUANTISE_NS = 0.4;

/** Rows [first, first + rows) of a tensor. */
export interface RowRange {
  readonly first: number;
  readonly rows: number;
}

/** Bytes of a row in 16 bits, as kernels/quantise/quantise.ts pads it. */
function quantisedRowBytes(columns: number): number {
  return Math.ceil((columns * 2 + (columns / 32) * 4 + (columns / 16) * 4) / 64) * 64;
}

/** Bytes of a row in planes, as kernels/quantise/planes.ts pads it. */
function planesRowBytes(columns: number): number {
  return Math.ceil((columns * 3) / 64) * 64;
}

const PLANES: readonly number[] = [abi.PLANES, abi.PLANES_WORDS, abi.PLANES_WIDE];

/** The command that makes the integers that a product of this form reads. */
function makerOf(form: number): number {
  if (form === abi.SIXTEEN_BITS || form === abi.STREAMED) return abi.QUANTISE;
  if (form === abi.SIXTEEN_WIDE) return abi.QUANTISE_PAIRS;
  return PLANES.includes(form) ? abi.SPLIT_PLANES : abi.QUANTISE_BYTES;
}

/** Bytes of so many rows for a product of this form. Some lie in groups of eight (quantise-bytes.ts, quantise-pairs.ts). */
export function integerBytes(form: number, rows: number, cols: number): number {
  const maker = makerOf(form);
  if (maker === abi.QUANTISE_BYTES) return Math.ceil(rows / 8) * 15 * cols;
  if (maker === abi.QUANTISE_PAIRS) return Math.ceil(rows / 8) * 19 * cols;
  return rows * (maker === abi.SPLIT_PLANES ? planesRowBytes(cols) : quantisedRowBytes(cols));
}

/** The address of these rows' integers for products of this form. */
export function integersOf(machine: Machine, x: WasmTensor, { first, rows }: RowRange, form: number): number {
  const maker = makerOf(form);
  const known = x.formOf(maker, first, rows);
  if (known !== 0) return known;
  const bytes = integerBytes(form, rows, x.cols);
  const address = x.arena.allocate(bytes);
  x.keepForm(maker, first, rows, address);
  machine.commands
    .begin(maker, rows * x.cols * QUANTISE_NS)
    .word(rows)
    .word(x.cols)
    .reads(x.address + first * x.cols * 4, rows * x.cols * 4)
    .word(x.cols)
    .writes(address, bytes)
    .end();
  return address;
}
