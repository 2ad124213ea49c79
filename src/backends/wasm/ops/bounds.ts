/** Blocks of bounds, checked, as kernels are told of them (kernels/kv/bounds.ts). */
import { boundsLayout, type KvBounds, type KvLayout, type KvSlice, PAGE_TOKENS } from "../../../tensor/kv.js";
import { memberBytes } from "../kv-layout.js";
import type { Machine } from "../machine.js";
import type { WasmPageTable } from "../page-table.js";
import { refuse } from "../tensors.js";
import { checkSlice } from "./slice.js";

/** Fails unless the table has the bounds places [at, at + pages) of the slice's heads. */
export function checkBounds(
  machine: Machine,
  operation: string,
  slice: KvSlice,
  bounds: KvBounds,
  at: number,
  pages: number,
): WasmPageTable {
  const { members, keyWidth, valueWidth, keyType } = bounds.store.layout;
  const expected: KvLayout = boundsLayout(slice.store.layout);
  if (keyWidth !== expected.keyWidth || valueWidth !== expected.valueWidth || keyType !== expected.keyType)
    refuse(operation, `bounds of width ${keyWidth} for keys of width ${slice.store.layout.keyWidth}`);
  if (!(bounds.member >= 0 && bounds.member + slice.heads.length <= members))
    refuse(operation, `bounds of member ${bounds.member + slice.heads.length - 1} of ${members}`);
  if (!(at >= 0)) refuse(operation, `the bounds place ${at}`);
  // A place is that of a page, but blocks are checked as pages of so many tokens.
  return checkSlice(machine, operation, { ...bounds, heads: slice.heads }, at + pages);
}

/** Writes where the blocks and the first head's member are, as three words. */
export function writeBounds(
  machine: Machine,
  {
    store,
    table,
    member,
  }: { readonly store: KvBounds["store"]; readonly table: WasmPageTable; readonly member: number },
  words: { readonly table: number; readonly member: number; readonly memberBytes: number },
): void {
  const bytes = memberBytes(store.layout);
  const { i32 } = machine.space;
  i32[words.table >>> 2] = table.address;
  i32[words.member >>> 2] = member * bytes;
  i32[words.memberBytes >>> 2] = bytes;
}

/** Pages that have slots of [slot, slot + rows). */
export function pagesOf({ slot, rows }: { readonly slot: number; readonly rows: number }): number {
  return Math.ceil((slot + rows) / PAGE_TOKENS) - Math.floor(slot / PAGE_TOKENS);
}
