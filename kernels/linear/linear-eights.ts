// A weight by eights (see eights.ts) times few rows of activations in two planes of bytes (see planes.ts): weights are read
// once, in order, some columns of eight rows at a time, which meet all tokens. A bundle is one item of work.

import { PLANES_WIDE, PLANES_WORDS, WIDE_PLANES } from "../abi";
import { PANEL_COLUMNS } from "../quantise/eights";
import { eightsRecord, RECORD_BYTES } from "../quantise/eights-record";
import { PLANES_RECORD } from "../quantise/planes";
import { blockBytes, blockShift, Q4_0_EIGHTS, Q4_K_EIGHTS, Q5_K_EIGHTS, rowBytes } from "../quantise/unpack";
import { eightQ4_0, eightSupers } from "./planes-eight";

/**
 * Columns whose scales are unpacked before they are multiplied: two super-blocks. With eight, whose first lines are then read
 * ahead of the others, the processor no longer sees one stream and memory is read half as fast.
 */
const PIECE_COLUMNS = 512;
// Places in a thread's scratch memory: the records of a piece, and the sums of a tile of tokens, f32 [groups][tokens][8].
const RECORDS: usize = 0;
// @ts-ignore: decorator
@inline
export const EIGHTS_SUMS: usize = 2 * RECORD_BYTES;
// @ts-ignore: decorator
@inline
export const EIGHTS_TOKENS = 64;

function q4_0(w: usize, blocks: i32, x: usize, records: usize, sums: usize): void {
  eightQ4_0(false, w, blocks, x, records, sums);
}

function q4_0InWords(w: usize, blocks: i32, x: usize, records: usize, sums: usize): void {
  eightQ4_0(true, w, blocks, x, records, sums);
}

function q4K(w: usize, supers: i32, scales: usize, x: usize, records: usize, sums: usize): void {
  eightSupers(0, false, w, supers, scales, x, records, sums);
}

function q4KInWords(w: usize, supers: i32, scales: usize, x: usize, records: usize, sums: usize): void {
  eightSupers(0, true, w, supers, scales, x, records, sums);
}

function q5K(w: usize, supers: i32, scales: usize, x: usize, records: usize, sums: usize): void {
  eightSupers(1, false, w, supers, scales, x, records, sums);
}

function q5KInWords(w: usize, supers: i32, scales: usize, x: usize, records: usize, sums: usize): void {
  eightSupers(1, true, w, supers, scales, x, records, sums);
}

function q6K(w: usize, supers: i32, scales: usize, x: usize, records: usize, sums: usize): void {
  eightSupers(2, false, w, supers, scales, x, records, sums);
}

function q6KInWords(w: usize, supers: i32, scales: usize, x: usize, records: usize, sums: usize): void {
  eightSupers(2, true, w, supers, scales, x, records, sums);
}

/**
 * Adds the products of eight rows' `blocks` blocks of the file at w, whose records lie at `scales`, and activations at x, their
 * scales and sums at `records`, to f32 [8] at `sums`.
 */
function planesProducts(
  form: i32, dtype: i32, w: usize, blocks: i32, scales: usize, x: usize, records: usize, sums: usize,
): void {
  if (form == PLANES_WIDE) {
    call_indirect<void>(WIDE_PLANES, dtype, w, blocks, scales, x, records, sums);
  } else if (form == PLANES_WORDS) {
    if (dtype == Q4_0_EIGHTS) q4_0InWords(w, blocks, x, records, sums);
    else if (dtype == Q4_K_EIGHTS) q4KInWords(w, blocks, scales, x, records, sums);
    else if (dtype == Q5_K_EIGHTS) q5KInWords(w, blocks, scales, x, records, sums);
    else q6KInWords(w, blocks, scales, x, records, sums);
  } else if (dtype == Q4_0_EIGHTS) q4_0(w, blocks, x, records, sums);
  else if (dtype == Q4_K_EIGHTS) q4K(w, blocks, scales, x, records, sums);
  else if (dtype == Q5_K_EIGHTS) q5K(w, blocks, scales, x, records, sums);
  else q6K(w, blocks, scales, x, records, sums);
}

function unpackRecords(dtype: i32, group: usize, supers: i32, to: usize): void {
  const step = <usize>blockBytes(dtype) << 3;
  for (const end = to + <usize>supers * RECORD_BYTES; to < end; to += RECORD_BYTES) {
    eightsRecord(dtype, group, to);
    group += step;
  }
}

/**
 * A bundle of `groups` groups of eight rows times `tokens` rows of activations, at most EIGHTS_TOKENS, `stride` bytes apart: f32
 * [groups][tokens][8] at scratch + EIGHTS_SUMS.
 */
export function bundleProducts(
  form: i32, dtype: i32, bundle: usize, groups: i32, columns: i32, x: usize, stride: usize, tokens: i32, scratch: usize,
): void {
  const sumBytes = <usize>tokens << 5;
  memory.fill(scratch + EIGHTS_SUMS, 0, <usize>groups * sumBytes);
  for (let k = 0; k < columns; k += PANEL_COLUMNS) {
    const end = min(k + PANEL_COLUMNS, columns);
    let sums = scratch + EIGHTS_SUMS;
    for (let group = 0; group < groups; group++) {
      addPanel(form, dtype, bundle, k, end, columns, x, stride, tokens, scratch + RECORDS, sums);
      bundle += rowBytes(dtype, end - k) << 3;
      sums += sumBytes;
    }
  }
}

/** Adds the products of the columns [k, end) of eight rows at `group` to f32 [tokens][8] at `sums`. */
function addPanel(
  form: i32, dtype: i32, group: usize, k: i32, end: i32, columns: i32, x: usize, stride: usize, tokens: i32,
  records: usize, sums: usize,
): void {
  const shift = blockShift(dtype);
  const planes = x + ((<usize>columns) << 1);
  const piece = dtype == Q4_0_EIGHTS ? PANEL_COLUMNS : PIECE_COLUMNS;
  for (; k < end; k += piece) {
    const blocks = min(piece, end - k) >> shift;
    if (dtype != Q4_0_EIGHTS) unpackRecords(dtype, group, blocks, records);
    for (let t: usize = 0; t < <usize>tokens; t++) {
      planesProducts(
        form, dtype, group, blocks, records, x + t * stride + (<usize>k << 1),
        planes + t * stride + <usize>(k >> 5) * PLANES_RECORD, sums + (t << 5),
      );
    }
    group += <usize>(blocks * blockBytes(dtype)) << 3;
  }
}
