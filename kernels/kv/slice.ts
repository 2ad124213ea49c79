// The heads of a slice of the cache (slice-record.ts), and where their members lie. Heads are counted within the slice.
import { FIRST_HEAD, HEAD_LIST, MEMBER, MEMBER_BYTES, TABLE, TABLE_STRIDE } from "./slice-record";

/** The head's number in the layer, which says where its columns are. */
// @ts-ignore: decorator
@inline
export function headOf(slice: usize, head: i32): i32 {
  const list = load<usize>(slice, HEAD_LIST);
  return list == 0 ? load<i32>(slice, FIRST_HEAD) + head : load<i32>(list + usize(head) * 4);
}

/** Address of the head's page addresses. */
// @ts-ignore: decorator
@inline
export function tableOf(slice: usize, head: i32): usize {
  return load<usize>(slice, TABLE) + usize(head) * load<usize>(slice, TABLE_STRIDE);
}

/** Where the head's member begins in a page. */
// @ts-ignore: decorator
@inline
export function offsetOf(slice: usize, head: i32): usize {
  return load<usize>(slice, MEMBER) + usize(head) * load<usize>(slice, MEMBER_BYTES);
}

/** Address of the head's member in entry `page` of its table. */
// @ts-ignore: decorator
@inline
export function memberAt(slice: usize, head: i32, page: i32): usize {
  return load<usize>(tableOf(slice, head) + usize(page) * 4) + offsetOf(slice, head);
}
