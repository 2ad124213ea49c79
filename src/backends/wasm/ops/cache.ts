/** Commands that write the cache. */
import * as abi from "../../../../kernels/abi.js";
import type { Angles, AppendCall } from "../../../tensor/backend.js";
import { type KvSlice, PAGE_TOKENS } from "../../../tensor/kv.js";
import { KV_CODES, kvBytes, memberBytes } from "../kv-layout.js";
import { WasmKvStore, WasmPageTable } from "../kv-store.js";
import type { Machine } from "../machine.js";
import { expect, own, refuse, WasmInput, WasmTensor } from "../tensors.js";
import { checkAngles, LAYOUTS } from "./elementwise.js";

/** Nanoseconds of one thread per element written. */
const APPEND_NS = 1;
const ROTATE_NS = 3;

/** Made-up addresses, beyond those of the memory, that stand for all pages of a store. */
export function footprint(slice: KvSlice): number {
  return 2 ** 33 + own(WasmKvStore, slice.store).id;
}

/** Fails unless the table covers slots [0, slots) and the slice's members are there. */
export function checkSlice(operation: string, slice: KvSlice, slots: number): WasmPageTable {
  const table = own(WasmPageTable, slice.table);
  const { members } = slice.store.layout;
  if (!(slots <= table.length * PAGE_TOKENS))
    refuse(operation, `slot ${slots - 1} of a table of ${table.length} pages`);
  if (!(slice.member + slice.heads <= members))
    refuse(operation, `member ${slice.member + slice.heads - 1} of ${members}`);
  return table;
}

export function append(machine: Machine, call: AppendCall): void {
  const { slice, angles, slot } = call;
  const { keyWidth, valueWidth, keyType, valueType } = slice.store.layout;
  const keys = own(WasmTensor, call.keys);
  const values = own(WasmTensor, call.values);
  const table = checkSlice("append", slice, slot + keys.rows);
  const heads = slice.head + slice.heads;
  if (!(values.rows === keys.rows)) refuse("append", `${keys.rows} rows of keys and ${values.rows} of values`);
  if (!(heads * keyWidth <= keys.cols && heads * valueWidth <= values.cols))
    refuse("append", `keys without head ${heads - 1}`);
  if (angles) checkAngles("append", angles, keys.rows, keyWidth);
  if (keys.rows === 0) return;
  machine.commands
    .begin(abi.APPEND, keys.rows * slice.heads * (keyWidth + valueWidth) * APPEND_NS)
    .touches(footprint(slice), 1, true)
    .touches(keys.address, keys.bytes, false)
    .touches(values.address, values.bytes, false)
    .word(keys.address + slice.head * keyWidth * 4)
    .word(values.address + slice.head * valueWidth * 4)
    .word(keys.cols * 4)
    .word(values.cols * 4)
    .word(keys.rows)
    .word(table.address)
    .word(slot)
    .word(slice.member * memberBytes(slice.store.layout))
    .word(memberBytes(slice.store.layout))
    .word(kvBytes(keyType, keyWidth))
    .word(slice.heads)
    .word(keyWidth)
    .word(valueWidth)
    .word(KV_CODES[keyType])
    .word(KV_CODES[valueType])
    .word(angles ? own(WasmInput, angles.values).address : 0)
    .word(angles?.dims ?? 0)
    .word(angles ? LAYOUTS[angles.layout] : 0)
    .word(machine.scratch)
    .word(machine.misfitWord)
    .end();
}

export function rotatePages(machine: Machine, from: KvSlice, to: KvSlice, count: number, angles: Angles): void {
  const { keyWidth, valueWidth, keyType, valueType } = from.store.layout;
  const source = checkSlice("rotatePages", from, count);
  const target = checkSlice("rotatePages", to, count);
  const other = to.store.layout;
  const alike = other.keyWidth === keyWidth && other.valueWidth === valueWidth;
  const sameTypes = other.keyType === keyType && other.valueType === valueType;
  expect(alike && sameTypes && to.heads === from.heads, "rotatePages", "two slices of different layouts");
  checkAngles("rotatePages", angles, count, keyWidth);
  if (count === 0) return;
  const bytes = memberBytes(from.store.layout);
  machine.commands
    .begin(abi.ROTATE_PAGES, count * from.heads * (keyWidth + valueWidth) * ROTATE_NS)
    .touches(footprint(from), 1, false)
    .touches(footprint(to), 1, true)
    .word(source.address)
    .word(target.address)
    .word(count)
    .word(from.member * bytes)
    .word(bytes)
    .word(to.member * bytes)
    .word(bytes)
    .word(kvBytes(keyType, keyWidth))
    .word(from.heads)
    .word(keyWidth)
    .word(valueWidth)
    .word(KV_CODES[keyType])
    .word(KV_CODES[valueType])
    .word(own(WasmInput, angles.values).address)
    .word(angles.dims)
    .word(LAYOUTS[angles.layout])
    .word(machine.scratch)
    .word(machine.misfitWord)
    .end();
}
