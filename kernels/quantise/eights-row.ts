// One row of a weight by eights as floats, for embeddings: the numbers of its file's layout, bit for bit.

import { eightsAt, eightsStart, eightsStep } from "./eights";
import { eightsBytes, eightsScales, FACTORS, RECORD_BYTES } from "./eights-record";
import { blockBytes, blockShift, Q4_0_EIGHTS, Q6_K_EIGHTS, rowBytes } from "./unpack";

// Places in scratch memory.
const SCALES: usize = RECORD_BYTES;
const OFFSETS: usize = SCALES + 512;
const BYTES: usize = OFFSETS + 256;

/** What is added to integers as they are stored. */
// @ts-ignore: decorator
@inline
export function middleOf(dtype: i32): i32 {
  return dtype == Q4_0_EIGHTS ? 8 : dtype == Q6_K_EIGHTS ? 32 : 0;
}

/** The byte of a row's column among those of eight rows. */
// @ts-ignore: decorator
@inline
function byteAt(bytes: usize, lane: usize, column: usize): i32 {
  return <i32>load<u8>(bytes + ((column >> 2) << 5) + (lane << 2) + (column & 3));
}

/** Columns [0, 32) of block `block`. Q6_K multiplies its integers first, as where its file is unpacked. */
function unpackBlock(dtype: i32, block: usize, lane: usize, scratch: usize, out: usize): void {
  const row = lane << 2;
  const bytes = scratch + BYTES;
  const zero = middleOf(dtype);
  if (dtype == Q6_K_EIGHTS) {
    const d = load<f32>(scratch + FACTORS + row);
    for (let column: usize = 0; column < 32; column++) {
      const factor = <i32>load<i16>(scratch + (((block << 1) + (column >> 4)) << 5) + row);
      // The zero makes -0, of a negative scale, 0 as it does there.
      store<f32>(out + (column << 2), d * <f32>((byteAt(bytes, lane, column) - zero) * factor) + 0);
    }
    return;
  }
  const scale = load<f32>(scratch + SCALES + (block << 5) + row);
  const offset = load<f32>(scratch + OFFSETS + (block << 5) + row);
  for (let column: usize = 0; column < 32; column++) {
    store<f32>(out + (column << 2), scale * <f32>(byteAt(bytes, lane, column) - zero) + offset);
  }
}

/** Row `row` of a matrix of `rows` rows by eights as floats. `scratch` holds 1,600 bytes. */
export function unpackEightsRow(
  dtype: i32, weight: usize, rows: i32, row: i32, columns: i32, out: usize, scratch: usize,
): void {
  const lane = <usize>(row & 7);
  const blocks = <usize>1 << (blockShift(dtype) - 5);
  const stride = rowBytes(dtype, columns);
  memory.fill(scratch + OFFSETS, 0, 256);
  for (let skipped: usize = 0; skipped < stride; skipped += blockBytes(dtype)) {
    const group = eightsAt(dtype, weight, stride, rows, row & ~7, skipped);
    eightsScales(dtype, group, <i32>blocks, 0, scratch, scratch + SCALES, scratch + OFFSETS);
    let at = group + eightsStart(dtype);
    for (let block: usize = 0; block < blocks; block++) {
      eightsBytes(dtype, at, scratch + BYTES, 32);
      unpackBlock(dtype, block, lane, scratch, out);
      at += eightsStep(dtype);
      out += 128;
    }
  }
}
