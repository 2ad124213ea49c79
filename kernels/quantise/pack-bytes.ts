// Panels of weights for linear-bytes, in a thread's scratch memory: eight or sixteen rows, up to 256 columns, as unsigned bytes
// [4 columns][rows][4] with f32 scales and offsets [block or half][rows].

import { EIGHTS } from "../abi";
import { eightsAt, eightsStart, eightsStep } from "./eights";
import { eightsBytes, eightsScales, RECORD_BYTES } from "./eights-record";
import { interleave } from "../linear/linear-panel";
import { blockBytes, blockShift, hasOffsets } from "./unpack";
import { offsetsHalves, scalesHalves, unpackBytes, zeroOf } from "./unpack-bytes";

// Places in the scratch memory: 16 rows of 384 bytes as they are unpacked, u8 [256], f32 scales [16], f32 offsets [16];
const UNPACKED: usize = 0;
const UNPACKED_STRIDE: usize = 384;
const UNPACKED_SCALES: usize = 256;
const UNPACKED_OFFSETS: usize = 320;
// the panel, its scales and its offsets;
// @ts-ignore: decorator
@inline
export const PANEL: usize = 6144;
// @ts-ignore: decorator
@inline
export const SCALES: usize = 10240;
// @ts-ignore: decorator
@inline
export const OFFSETS: usize = 11264;
// and from here on what is free.
// @ts-ignore: decorator
@inline
export const PANEL_END: usize = 12288;

/** `count` words of each row's part at `from`, to [count][rows]. */
function interleaveRows(rows: i32, from: usize, count: i32, to: usize): void {
  const width = <usize>rows << 2;
  interleave(from, UNPACKED_STRIDE, count, to, width);
  if (rows == 16) interleave(from + 8 * UNPACKED_STRIDE, UNPACKED_STRIDE, count, to + 32, width);
}

/** Eight floats; memory.copy takes as long as packing a block. */
// @ts-ignore: decorator
@inline
function copyEight(to: usize, from: usize): void {
  v128.store(to, v128.load(from));
  v128.store(to, v128.load(from, 16), 16);
}

/** Rows [row, row + 8) of the panel from the group of a weight by eights at `group`: the layout is nearly the panel's. */
function packBytesOfEights(dtype: i32, rows: i32, row: i32, group: usize, blocks: i32, scratch: usize): void {
  const width = <usize>rows << 2;
  const first = <usize>row << 2;
  const record = scratch + UNPACKED;
  const scales = record + RECORD_BYTES;
  const offsets = scales + 512;
  const parts = <usize>blocks << (scalesHalves(dtype) ? 1 : 0);
  eightsScales(dtype, group, blocks, zeroOf(dtype), record, scales, offsets);
  for (let part: usize = 0; part < parts; part++) {
    copyEight(scratch + SCALES + first + part * width, scales + (part << 5));
    if (hasOffsets(dtype)) copyEight(scratch + OFFSETS + first + part * width, offsets + (part << 5));
  }
  const step = eightsStep(dtype);
  let panel = scratch + PANEL + first;
  group += eightsStart(dtype);
  for (const end = panel + (<usize>blocks << 3) * width; panel < end; panel += width << 3) {
    eightsBytes(dtype, group, panel, width);
    group += step;
  }
}

/** Columns [first, first + count) of weight rows [row, row + rows) to the panel; rows past `last` repeat it. */
export function packBytes(
  dtype: i32, rows: i32, weight: usize, stride: usize, row: i32, last: i32, first: i32, count: i32, scratch: usize,
): void {
  const skipped = (<usize>first >> blockShift(dtype)) * blockBytes(dtype);
  if (dtype >= EIGHTS) {
    for (let r = 0; r < rows; r += 8) {
      // Their rows are a multiple of eight, so eight rows are past the last one or none is.
      const group = eightsAt(dtype, weight, stride, last + 1, min(row + r, last - 7), skipped);
      packBytesOfEights(dtype, rows, r, group, count >> 5, scratch);
    }
    return;
  }
  for (let r = 0; r < rows; r++) {
    const from = weight + <usize>min(row + r, last) * stride + skipped;
    const to = scratch + UNPACKED + <usize>r * UNPACKED_STRIDE;
    unpackBytes(dtype, from, count, to, to + UNPACKED_SCALES, to + UNPACKED_OFFSETS);
  }
  const from = scratch + UNPACKED;
  interleaveRows(rows, from, count >> 2, scratch + PANEL);
  interleaveRows(rows, from + UNPACKED_SCALES, count >> (scalesHalves(dtype) ? 4 : 5), scratch + SCALES);
  if (!hasOffsets(dtype)) return;
  interleaveRows(rows, from + UNPACKED_OFFSETS, count >> (offsetsHalves(dtype) ? 4 : 5), scratch + OFFSETS);
}
