/** Commands that write the cache. */
import * as abi from "../../../../kernels/abi.js";
import * as at from "../../../../kernels/kv/append-record.js";
import { SLICE_BYTES } from "../../../../kernels/kv/slice-record.js";
import type { Angles, AppendCall, AppendPart, BoundPart } from "../../../tensor/backend.js";
import { type KvSlice, PAGE_TOKENS } from "../../../tensor/kv.js";
import type { Machine } from "../machine.js";
import { WasmPageTable } from "../page-table.js";
import { expect, own, ownInput, ownTensor, refuse } from "../tensors.js";
import { checkBounds, pagesOf, writeBounds } from "./bounds.js";
import { checkAngles, LAYOUTS } from "./elementwise.js";
import { checkSlice, sliceWords, touchPages, writeSlice } from "./slice.js";

/** Nanoseconds of one thread per element written. */
const APPEND_NS = 1;
const ROTATE_NS = 3;

/** Keys and values of all parts of a call, in one command (kernels/kv/append.ts). */
export function append(machine: Machine, call: AppendCall): void {
  const { parts } = call;
  checkTensors(call);
  // The call's record, then those of its parts.
  const record = machine.allocateInput(at.CALL_BYTES + parts.length * at.PART_BYTES);
  let count = 0;
  let items = 0;
  let rows = 0;
  for (const part of parts) {
    checkPart(machine, call, part);
    if (part.rows === 0 || part.slice.heads.length === 0) continue;
    writePart(machine, record + at.CALL_BYTES + count++ * at.PART_BYTES, part);
    items += part.slice.heads.length * pagesOf(part);
    rows += part.slice.heads.length * part.rows;
  }
  if (count === 0) return;
  const keys = ownTensor(call.keys);
  const values = ownTensor(call.values);
  writeCall(machine, call, record, count);
  const { keyWidth, valueWidth } = parts[0].slice.store.layout;
  const commands = machine.commands.begin(abi.APPEND, rows * (keyWidth + valueWidth) * APPEND_NS);
  if (commands.meets) {
    for (const part of parts) touchWritten(machine, part);
    const [first, end] = rowsOf(parts);
    commands
      .touches(keys.address + first * keys.cols * 4, (end - first) * keys.cols * 4, false)
      .touches(values.address + first * values.cols * 4, (end - first) * values.cols * 4, false);
  }
  commands.word(record).word(items).end();
}

function touchWritten(machine: Machine, { slice, rows, bounds }: AppendPart): void {
  if (rows === 0) return;
  touchPages(machine, own(WasmPageTable, slice.table), true);
  if (bounds) touchPages(machine, own(WasmPageTable, bounds.bounds.table), true);
}

/** Bounds of pages that are there: what `append` does when it has written its rows, by the same command. */
export function bound(machine: Machine, parts: readonly BoundPart[]): void {
  const record = machine.allocateInput(at.CALL_BYTES + parts.length * at.PART_BYTES);
  let count = 0;
  let items = 0;
  for (const part of parts) {
    const { slice, bounds, slot, rows } = part;
    if (rows === 0 || slice.heads.length === 0) continue;
    checkSlice(machine, "bound", slice, slot + rows);
    checkBounds(machine, "bound", slice, bounds.bounds, bounds.at, pagesOf(part));
    if (slice.store.layout.keyWidth !== parts[0].slice.store.layout.keyWidth)
      refuse("bound", "parts of different widths");
    writePart(machine, record + at.CALL_BYTES + count++ * at.PART_BYTES, { ...part, first: 0 });
    items += slice.heads.length * pagesOf(part);
  }
  if (count === 0) return;
  const { keyWidth } = parts[0].slice.store.layout;
  const { i32 } = machine.space;
  i32[(record + at.KEYS) >>> 2] = 0;
  i32[(record + at.WIDTH) >>> 2] = keyWidth;
  writeEnds(machine, record, count);
  machine.commands.begin(abi.APPEND, items * PAGE_TOKENS * keyWidth * APPEND_NS);
  for (const { slice, bounds } of parts) {
    touchPages(machine, own(WasmPageTable, slice.table), false);
    touchPages(machine, own(WasmPageTable, bounds.bounds.table), true);
  }
  machine.commands.word(record).word(items).end();
}

/** The first row of any of the parts, and the one after the last: their commands touch no other. */
export function rowsOf(parts: readonly { readonly first: number; readonly rows: number }[]): readonly [number, number] {
  let first = Number.POSITIVE_INFINITY;
  let end = 0;
  for (const part of parts) {
    if (part.rows === 0) continue;
    first = Math.min(first, part.first);
    end = Math.max(end, part.first + part.rows);
  }
  return [first, end];
}

function checkTensors({ keys, values, angles, parts }: AppendCall): void {
  if (!(values.rows === keys.rows)) refuse("append", `${keys.rows} rows of keys and ${values.rows} of values`);
  if (angles && parts.length > 0) checkAngles("append", angles, keys.rows, parts[0].slice.store.layout.keyWidth);
}

function checkPart(
  machine: Machine,
  { keys, values, parts }: AppendCall,
  { slice, first, rows, slot, bounds }: AppendPart,
): void {
  const { keyWidth, valueWidth } = slice.store.layout;
  const { layout } = parts[0].slice.store;
  if (bounds) checkBounds(machine, "append", slice, bounds.bounds, bounds.at, pagesOf({ slot, rows }));
  checkSlice(machine, "append", slice, slot + rows);
  if (!(first >= 0 && slot >= 0 && first + rows <= keys.rows))
    refuse("append", `row ${first + rows - 1} of ${keys.rows} for slot ${slot}`);
  if (keyWidth !== layout.keyWidth || valueWidth !== layout.valueWidth) refuse("append", "parts of different widths");
  const heads = slice.heads.length > 0 ? sliceWords("append", slice).headsEnd : 0;
  if (heads * keyWidth > keys.cols || heads * valueWidth > values.cols)
    refuse("append", `keys without head ${heads - 1}`);
}

function writePart(machine: Machine, record: number, { slice, first, rows, slot, bounds }: AppendPart): void {
  writeSlice(machine, record, slice, sliceWords("append", slice));
  const { i32 } = machine.space;
  i32[(record + at.FIRST_ROW) >>> 2] = first;
  i32[(record + at.ROWS) >>> 2] = rows;
  i32[(record + at.SLOT) >>> 2] = slot;
  i32[(record + at.BOUNDS_TABLE) >>> 2] = 0;
  if (!bounds) return;
  i32[(record + at.BOUNDS_AT) >>> 2] = bounds.at;
  writeBounds(
    machine,
    { ...bounds.bounds, table: own(WasmPageTable, bounds.bounds.table) },
    {
      table: record + at.BOUNDS_TABLE,
      member: record + at.BOUNDS_MEMBER,
      memberBytes: record + at.BOUNDS_MEMBER_BYTES,
    },
  );
}

function writeCall(machine: Machine, call: AppendCall, record: number, count: number): void {
  const { angles } = call;
  const keys = ownTensor(call.keys);
  const values = ownTensor(call.values);
  const { keyWidth, valueWidth } = call.parts[0].slice.store.layout;
  const { i32 } = machine.space;
  i32[(record + at.KEYS) >>> 2] = keys.address;
  i32[(record + at.KEY_STRIDE) >>> 2] = keys.cols * 4;
  i32[(record + at.VALUES) >>> 2] = values.address;
  i32[(record + at.VALUE_STRIDE) >>> 2] = values.cols * 4;
  i32[(record + at.WIDTH) >>> 2] = keyWidth;
  i32[(record + at.VALUE_WIDTH) >>> 2] = valueWidth;
  i32[(record + at.ANGLES) >>> 2] = angles ? ownInput(angles.values).address : 0;
  i32[(record + at.ANGLE_DIMS) >>> 2] = angles ? angles.dims : 0;
  i32[(record + at.ANGLE_LAYOUT) >>> 2] = angles ? LAYOUTS[angles.layout] : 0;
  writeEnds(machine, record, count);
}

/** What all calls have. */
function writeEnds(machine: Machine, record: number, count: number): void {
  const { i32 } = machine.space;
  i32[(record + at.SCRATCH) >>> 2] = machine.scratch;
  i32[(record + at.MISFITS) >>> 2] = machine.misfitWord;
  i32[(record + at.PARTS) >>> 2] = count;
  i32[(record + at.PART_LIST) >>> 2] = record + at.CALL_BYTES;
}

export function rotatePages(machine: Machine, from: KvSlice, to: KvSlice, count: number, angles: Angles): void {
  const { keyWidth, valueWidth, keyType, valueType } = from.store.layout;
  const source = checkSlice(machine, "rotatePages", from, count);
  const target = checkSlice(machine, "rotatePages", to, count);
  const other = to.store.layout;
  const alike = other.keyWidth === keyWidth && other.valueWidth === valueWidth;
  const sameTypes = other.keyType === keyType && other.valueType === valueType;
  expect(alike && sameTypes && to.heads.length === from.heads.length, "rotatePages", "two slices of different layouts");
  checkAngles("rotatePages", angles, count, keyWidth);
  if (count === 0 || from.heads.length === 0) return;
  const slices = machine.allocateInput(2 * SLICE_BYTES);
  writeSlice(machine, slices, from, sliceWords("rotatePages", from));
  writeSlice(machine, slices + SLICE_BYTES, to, sliceWords("rotatePages", to));
  machine.commands.begin(abi.ROTATE_PAGES, count * from.heads.length * (keyWidth + valueWidth) * ROTATE_NS);
  touchPages(machine, source, false);
  touchPages(machine, target, true);
  machine.commands
    .word(slices)
    .word(slices + SLICE_BYTES)
    .word(count)
    .word(keyWidth)
    .word(valueWidth)
    .word(ownInput(angles.values).address)
    .word(angles.dims)
    .word(LAYOUTS[angles.layout])
    .word(machine.scratch)
    .word(machine.misfitWord)
    .end();
}
