/** Slices of a cache, checked, as kernels are told of them (kernels/kv/slice-record.ts). */
import * as at from "../../../../kernels/kv/slice-record.js";
import { type KvSlice, PAGE_TOKENS } from "../../../tensor/kv.js";
import { WasmKvStore } from "../kv-store.js";
import type { Machine } from "../machine.js";
import { WasmPageTable } from "../page-table.js";
import { SliceWords } from "../slice-words.js";
import { foreign, refuse } from "../tensors.js";

/** Fails unless the table covers slots [0, slots), the slice's members are there and its pages in the machine's memory. */
export function checkSlice(machine: Machine, operation: string, slice: KvSlice, slots: number): WasmPageTable {
  const table = ownTable(slice.table);
  const { place } = ownStore(slice.store);
  if (place !== machine.place) refuse(operation, `pages of memory ${place} in memory ${machine.place}`);
  if (!(slots <= table.length * PAGE_TOKENS))
    refuse(operation, `slot ${slots - 1} of a table of ${table.length} pages`);
  return table;
}

/** Of a slice with heads. Fails unless its members are there and the heads ascend. */
export function sliceWords(operation: string, { store, table, member, heads }: KvSlice): SliceWords {
  const { slices } = ownTable(table);
  const { layout } = store;
  const known = slices.get(member);
  if (known && known.heads === heads && known.layout === layout) return known;
  if (!(member >= 0 && member + heads.length <= layout.members))
    refuse(operation, `member ${member + heads.length - 1} of ${layout.members}`);
  for (let i = 1; i < heads.length; i++) {
    if (!(heads[i] > heads[i - 1])) refuse(operation, `head ${heads[i]} after head ${heads[i - 1]}`);
  }
  const made = new SliceWords(layout, member, heads);
  slices.set(member, made);
  return made;
}

/**
 * The command that is being written reads or writes pages of the table. What it touches is told by the table's own address:
 * pages that several tables have are full and never written again, and a page changes tables only when nothing waits.
 */
export function touchPages(machine: Machine, table: WasmPageTable, written: boolean): void {
  machine.commands.touches(table.address, 1, written);
}

/** Writes the slice's words at `record`, which lies in the step's memory. */
export function writeSlice(machine: Machine, record: number, slice: KvSlice, { words, neighbours }: SliceWords): void {
  const { heads, table } = slice;
  const list = neighbours ? 0 : machine.allocateInput(heads.length * 4);
  const { i32 } = machine.space;
  i32.set(words, record >>> 2);
  i32[(record + at.TABLE) >>> 2] = ownTable(table).address;
  if (list === 0) return;
  i32[(record + at.HEAD_LIST) >>> 2] = list;
  i32.set(heads, list >>> 2);
}

function ownTable(handle: object): WasmPageTable {
  return handle instanceof WasmPageTable ? handle : foreign(handle);
}

function ownStore(handle: object): WasmKvStore {
  return handle instanceof WasmKvStore ? handle : foreign(handle);
}
