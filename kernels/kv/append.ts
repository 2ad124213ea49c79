// Writing the cache: new keys (rotated on the way) and values of all sequences and sets of heads of a step. Numbers that do
// not fit into the cache's type, and what is no number, leave a mark in the word of misfits, which the caller looks at with
// the step's result: what was written for them is wrong.
import {
  ANGLE_DIMS, ANGLE_LAYOUT, ANGLES, BOUNDS_AT, BOUNDS_MEMBER, BOUNDS_MEMBER_BYTES, BOUNDS_TABLE, FIRST_ROW, KEY_STRIDE, KEYS,
  MISFITS, PART_BYTES, PART_LIST, PARTS, ROWS, SCRATCH, SLOT, VALUE_STRIDE, VALUE_WIDTH, VALUES, WIDTH,
} from "./append-record";
import { boundPage } from "./bounds";
import { misfitOf, storeKey, storeValue } from "./kv-page";
import { headOf, memberAt } from "./slice";
import { HEADS, KEY_BYTES, KEY_TYPE, SLICE_BYTES, VALUE_TYPE } from "./slice-record";
import { rotateHead } from "../rows/rope";
import { share } from "../vector/simd";
import { MAX_HEAD_WIDTH, SCRATCH_BYTES } from "../abi";

/** Arguments: 0 record (append-record.ts), 4 items. No two threads write to one page of a head. */
export function append(args: usize, thread: i32, threads: i32): void {
  if (FIRST_ROW != SLICE_BYTES) ERROR("A part's own words do not begin where those of its slice end.");
  const call = load<usize>(args);
  const items = load<i32>(args, 4);
  const from = share(items, thread, threads);
  const to = share(items, thread + 1, threads);
  const scratch = load<usize>(call, SCRATCH) + usize(thread) * SCRATCH_BYTES;
  let part = load<usize>(call, PART_LIST);
  let start = 0;
  for (let i = load<i32>(call, PARTS); i > 0 && start < to; i--) {
    const pages = pagesOf(part);
    const end = start + pages * load<i32>(part, HEADS);
    for (let item = max(start, from); item < min(end, to); item++) {
      appendPage(call, part, (item - start) / pages, (item - start) % pages, scratch);
    }
    start = end;
    part += PART_BYTES;
  }
}

/** Pages that the part's rows go to. */
function pagesOf(part: usize): i32 {
  const slot = load<i32>(part, SLOT);
  return ((slot + load<i32>(part, ROWS) + 15) >> 4) - (slot >> 4);
}

/** The rows of one head that go to the part's page number `index`, then the page's bounds if it has any. */
function appendPage(call: usize, part: usize, head: i32, index: i32, scratch: usize): void {
  let misfits = load<usize>(call, KEYS) != 0 ? writeRows(call, part, head, index, scratch) : 0;
  const blocks = load<usize>(part, BOUNDS_TABLE);
  if (blocks != 0) {
    const slot = load<i32>(part, SLOT);
    const page = (slot >> 4) + index, at = load<i32>(part, BOUNDS_AT) + index;
    const tokens = min(slot + load<i32>(part, ROWS) - page * 16, 16);
    const member = load<usize>(part, BOUNDS_MEMBER) + usize(head) * load<usize>(part, BOUNDS_MEMBER_BYTES);
    const bounds = load<usize>(blocks + usize(at >> 4) * 4) + member + usize(at & 15) * 2;
    const keys = memberAt(part, head, page);
    misfits |= boundPage(keys, load<i32>(part, KEY_TYPE), load<i32>(call, WIDTH), tokens, bounds, scratch);
  }
  if (misfits != 0) atomic.or<i32>(load<usize>(call, MISFITS), misfits);
}

/** What of the rows did not fit. */
function writeRows(call: usize, part: usize, head: i32, index: i32, scratch: usize): i32 {
  const width = load<i32>(call, WIDTH);
  const valueWidth = load<i32>(call, VALUE_WIDTH);
  const keyType = load<i32>(part, KEY_TYPE);
  const valueType = load<i32>(part, VALUE_TYPE);
  const slot = load<i32>(part, SLOT);
  const page = (slot >> 4) + index;
  const last = min(slot + load<i32>(part, ROWS), page * 16 + 16);
  const member = memberAt(part, head, page);
  const values = member + load<usize>(part, KEY_BYTES);
  const column = headOf(part, head);
  const packed = scratch + usize(MAX_HEAD_WIDTH) * 4;
  let misfits = 0;
  for (let at = max(slot, page * 16); at < last; at++) {
    const row = usize(load<i32>(part, FIRST_ROW) + at - slot);
    const key = keyOf(call, row, usize(column * width) * 4, width, scratch);
    storeKey(member, keyType, width, at & 15, key, packed);
    const value = load<usize>(call, VALUES) + row * load<usize>(call, VALUE_STRIDE) + usize(column * valueWidth) * 4;
    storeValue(values, valueType, valueWidth, at & 15, value);
    misfits |= misfitOf(key, keyType, width) | misfitOf(value, valueType, valueWidth);
  }
  return misfits;
}

/** The row's key from byte `offset` on: as it lies in the call's tensor, or rotated, then in `scratch`. */
// @ts-ignore: decorator
@inline
function keyOf(call: usize, row: usize, offset: usize, width: i32, scratch: usize): usize {
  const key = load<usize>(call, KEYS) + row * load<usize>(call, KEY_STRIDE) + offset;
  const angles = load<usize>(call, ANGLES);
  if (angles == 0) return key;
  const dims = load<i32>(call, ANGLE_DIMS);
  rotateHead(key, scratch, width, angles + row * usize(dims) * 4, dims, load<i32>(call, ANGLE_LAYOUT));
  return scratch;
}
