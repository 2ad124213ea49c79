// Whole pages rotated into others, for scalings whose base changes with length. Misfits: see append.ts.
import { copyValue, loadKey, misfitOf, storeKey } from "./kv-page";
import { memberAt } from "./slice";
import { HEADS, KEY_BYTES, KEY_TYPE, VALUE_TYPE } from "./slice-record";
import { rotateHead } from "../rows/rope";
import { share } from "../vector/simd";
import { MAX_HEAD_WIDTH, SCRATCH_BYTES } from "../abi";

/**
 * Arguments: 0 slice from and 4 slice to (slice-record.ts), of one layout, 8 slots, 12 D, 16 Dv, 20 angles (a row per slot),
 * 24 dims, 28 layout, 32 scratch, 36 the word of misfits. An item is a page of one head.
 */
export function rotatePages(args: usize, thread: i32, threads: i32): void {
  const pages = (load<i32>(args, 8) + 15) >> 4;
  const items = pages * load<i32>(load<usize>(args), HEADS);
  const scratch = load<usize>(args, 32) + usize(thread) * SCRATCH_BYTES;
  const end = share(items, thread + 1, threads);
  for (let item = share(items, thread, threads); item < end; item++) {
    rotatePage(args, item / pages, item % pages, scratch);
  }
}

function rotatePage(args: usize, head: i32, page: i32, scratch: usize): void {
  const slice = load<usize>(args);
  const from = memberAt(slice, head, page);
  const to = memberAt(load<usize>(args, 4), head, page);
  const keyBytes = load<usize>(slice, KEY_BYTES);
  const keyType = load<i32>(slice, KEY_TYPE);
  const width = load<i32>(args, 12);
  const dims = load<i32>(args, 24);
  const packed = scratch + usize(MAX_HEAD_WIDTH) * 4;
  const last = min(load<i32>(args, 8), page * 16 + 16);
  let misfits = 0;
  for (let slot = page * 16; slot < last; slot++) {
    const angles = load<usize>(args, 20) + usize(slot) * dims * 4;
    loadKey(from, keyType, width, slot & 15, scratch);
    rotateHead(scratch, scratch, width, angles, dims, load<i32>(args, 28));
    misfits |= misfitOf(scratch, keyType, width);
    storeKey(to, keyType, width, slot & 15, scratch, packed);
    copyValue(from + keyBytes, to + keyBytes, load<i32>(slice, VALUE_TYPE), load<i32>(args, 16), slot & 15);
  }
  if (misfits != 0) atomic.or<i32>(load<usize>(args, 36), misfits);
}
