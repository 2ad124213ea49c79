// Writing the cache: new keys (rotated on the way) and values, and whole pages rotated into others. Numbers that do not fit
// into the cache's type, and what is no number, leave a mark in the word of misfits, which the caller looks at with the
// step's result: what was written for them is wrong.
import { copyValue, loadKey, misfitOf, storeKey, storeValue } from "./kv-page";
import { rotateHead } from "./rope";
import { share } from "./simd";
import { MAX_HEAD_WIDTH, SCRATCH_BYTES } from "./abi";

/**
 * Arguments: 0 keys, 4 values (columns of the slice's first head), 8 and 12 bytes of a row of each, 16 rows, 20 table,
 * 24 first slot, 28 offset of the slice's first member in a page, 32 bytes of a member, 36 bytes of its keys, 40 heads,
 * 44 D, 48 Dv, 52 key type, 56 value type, 60 angles or 0, 64 dims, 68 layout, 72 scratch, 76 the word of misfits.
 * An item is a page of one head, so no two threads write to one page of a head.
 */
export function append(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 16);
  const slot = load<i32>(args, 24);
  const pages = ((slot + rows + 15) >> 4) - (slot >> 4);
  const items = pages * load<i32>(args, 40);
  const scratch = load<usize>(args, 72) + usize(thread) * SCRATCH_BYTES;
  const end = share(items, thread + 1, threads);
  for (let item = share(items, thread, threads); item < end; item++) {
    const page = (slot >> 4) + item % pages;
    appendPage(args, item / pages, page, max(slot, page * 16), min(slot + rows, page * 16 + 16), scratch);
  }
}

/** Rows of slots [first, last), all in one page, of one head. */
function appendPage(args: usize, head: i32, page: i32, first: i32, last: i32, scratch: usize): void {
  const width = load<i32>(args, 44);
  const valueWidth = load<i32>(args, 48);
  const angles = load<usize>(args, 60);
  const dims = load<i32>(args, 64);
  const member = memberAt(load<usize>(args, 20), page, args + 28, head);
  const values = member + load<usize>(args, 36);
  const packed = scratch + usize(MAX_HEAD_WIDTH) * 4;
  let misfits = 0;
  for (let at = first; at < last; at++) {
    const row = at - load<i32>(args, 24);
    let key = load<usize>(args) + usize(row) * load<usize>(args, 8) + usize(head * width) * 4;
    if (angles) {
      rotateHead(key, scratch, width, angles + usize(row) * dims * 4, dims, load<i32>(args, 68));
      key = scratch;
    }
    storeKey(member, load<i32>(args, 52), width, at & 15, key, packed);
    const value = load<usize>(args, 4) + usize(row) * load<usize>(args, 12) + usize(head * valueWidth) * 4;
    storeValue(values, load<i32>(args, 56), valueWidth, at & 15, value);
    misfits |= misfitOf(key, load<i32>(args, 52), width) | misfitOf(value, load<i32>(args, 56), valueWidth);
  }
  if (misfits != 0) atomic.or<i32>(load<usize>(args, 76), misfits);
}

/** Address of a member: `place` points at two words, the offset of the slice's first member and the bytes of one. */
// @ts-ignore: decorator
@inline
function memberAt(table: usize, page: i32, place: usize, head: i32): usize {
  return load<usize>(table + usize(page) * 4) + load<usize>(place) + usize(head) * load<usize>(place, 4);
}

/**
 * Arguments: 0 table from, 4 table to, 8 slots, 12 and 16 as append's 28 and 32 in `from`, 20 and 24 in `to`, 28 bytes of
 * a member's keys, 32 heads, 36 D, 40 Dv, 44 key type, 48 value type, 52 angles, 56 dims, 60 layout, 64 scratch, 68 the
 * word of misfits.
 */
export function rotatePages(args: usize, thread: i32, threads: i32): void {
  const pages = (load<i32>(args, 8) + 15) >> 4;
  const items = pages * load<i32>(args, 32);
  const scratch = load<usize>(args, 64) + usize(thread) * SCRATCH_BYTES;
  const end = share(items, thread + 1, threads);
  for (let item = share(items, thread, threads); item < end; item++) {
    rotatePage(args, item / pages, item % pages, scratch);
  }
}

function rotatePage(args: usize, head: i32, page: i32, scratch: usize): void {
  const from = memberAt(load<usize>(args), page, args + 12, head);
  const to = memberAt(load<usize>(args, 4), page, args + 20, head);
  const keyBytes = load<usize>(args, 28);
  const width = load<i32>(args, 36);
  const keyType = load<i32>(args, 44);
  const dims = load<i32>(args, 56);
  const packed = scratch + usize(MAX_HEAD_WIDTH) * 4;
  const last = min(load<i32>(args, 8), page * 16 + 16);
  let misfits = 0;
  for (let slot = page * 16; slot < last; slot++) {
    const angles = load<usize>(args, 52) + usize(slot) * dims * 4;
    loadKey(from, keyType, width, slot & 15, scratch);
    rotateHead(scratch, scratch, width, angles, dims, load<i32>(args, 60));
    misfits |= misfitOf(scratch, keyType, width);
    storeKey(to, keyType, width, slot & 15, scratch, packed);
    copyValue(from + keyBytes, to + keyBytes, load<i32>(args, 48), load<i32>(args, 40), slot & 15);
  }
  if (misfits != 0) atomic.or<i32>(load<usize>(args, 68), misfits);
}
