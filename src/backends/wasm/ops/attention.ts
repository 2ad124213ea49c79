/** A layer's attention in a step: one command for all parts of the call, and one more that joins what was cut into chunks. */
import * as abi from "../../../../kernels/abi.js";
import * as at from "../../../../kernels/attention/attention-record.js";
import type { AttentionCall } from "../../../tensor/backend.js";
import type { KvSlice } from "../../../tensor/kv.js";
import type { Machine } from "../machine.js";
import { WasmPageTable } from "../page-table.js";
import { WasmPages } from "../selected-pages.js";
import { own, ownTensor, refuse } from "../tensors.js";
import { writeAdjustments } from "./attention-adjust.js";
import { PartTotals, placePartials, writePart } from "./attention-part.js";
import { rowsOf } from "./cache.js";
import { touchPages } from "./slice.js";

/** Nanoseconds of one thread per multiplication, and per number of a partial result. */
const PRODUCT_NS = 0.06;
const MERGE_NS = 0.3;

export function attention(machine: Machine, call: AttentionCall): void {
  const { parts, queries } = call;
  // The call's record, those of its parts, then the addresses of the queries.
  const record = machine.allocateInput(at.CALL_BYTES + parts.length * at.PART_BYTES + queries.length * 4);
  const list = record + at.CALL_BYTES;
  const addresses = list + parts.length * at.PART_BYTES;
  writeQueries(machine, call, addresses);
  const totals = new PartTotals();
  for (const part of parts) writePart(machine, call, part, list, addresses, totals);
  if (totals.items === 0) return;
  writeCall(machine, call, record, totals);
  const partials = totals.partialBytes > 0 ? machine.allocate(totals.partialBytes) : 0;
  placePartials(machine, list, totals.parts, partials);
  ownTensor(call.out).forgetForms();
  const commands = machine.commands.begin(abi.ATTENTION, totals.products * PRODUCT_NS);
  if (commands.meets) touchParts(machine, call);
  commands.touches(partials, totals.partialBytes, true).word(record).end();
  if (totals.mergedRows === 0) return;
  machine.commands.begin(abi.ATTENTION_MERGE, totals.mergedNumbers * MERGE_NS);
  if (machine.commands.meets) touchRows(machine, call.out, rowsOf(call.parts), true);
  machine.commands.touches(partials, totals.partialBytes, false).word(record).end();
}

/** The addresses of the queries of all ranges; of a part with fewer ranges the last ones are meant. */
function writeQueries(machine: Machine, { queries, out }: AttentionCall, list: number): void {
  for (let range = 0; range < queries.length; range++) {
    const { rows, cols, address } = ownTensor(queries[range]);
    if (!(rows === out.rows && cols === queries[0].cols))
      refuse("attention", `queries of ${rows} rows and ${cols} columns beside ${out.rows} and ${queries[0].cols}`);
    machine.space.i32[(list >>> 2) + range] = address;
  }
}

function writeCall(machine: Machine, call: AttentionCall, record: number, totals: PartTotals): void {
  const { keyWidth, valueWidth } = call.parts[0].slice.store.layout;
  const out = ownTensor(call.out);
  writeAdjustments(machine, call, record, totals.columns);
  const { i32, f32 } = machine.space;
  i32[(record + at.OUT) >>> 2] = out.address;
  i32[(record + at.OUT_STRIDE) >>> 2] = out.cols * 4;
  i32[(record + at.QUERY_STRIDE) >>> 2] = call.queries.length > 0 ? call.queries[0].cols * 4 : 0;
  i32[(record + at.WIDTH) >>> 2] = keyWidth;
  i32[(record + at.VALUE_WIDTH) >>> 2] = valueWidth;
  i32[(record + at.GROUP) >>> 2] = call.group;
  f32[(record + at.SCALE) >>> 2] = call.scale;
  i32[(record + at.WIDE) >>> 2] = machine.wide ? 1 : 0;
  i32[(record + at.SCRATCH) >>> 2] = machine.scratch;
  i32[(record + at.PARTS) >>> 2] = totals.parts;
  i32[(record + at.PART_LIST) >>> 2] = record + at.CALL_BYTES;
  i32[(record + at.ITEMS) >>> 2] = totals.items;
  i32[(record + at.MERGED_ROWS) >>> 2] = totals.mergedRows;
}

function touchParts(machine: Machine, { parts, queries, out }: AttentionCall): void {
  let touched: KvSlice | undefined;
  for (const { rows, slice, selection } of parts) {
    // A prompt's parts follow one another.
    if (rows > 0 && slice !== touched) touchPages(machine, own(WasmPageTable, slice.table), false);
    touched = slice;
    if (selection) touchLists(machine, own(WasmPages, selection));
  }
  const rows = rowsOf(parts);
  touchRows(machine, out, rows, true);
  for (const query of queries) touchRows(machine, query, rows, false);
}

function touchLists({ commands }: Machine, { lists, entries, bytes }: WasmPages): void {
  commands.touches(lists, bytes, false).touches(entries, bytes, false);
}

function touchRows(machine: Machine, tensor: object, [first, end]: readonly [number, number], written: boolean): void {
  const { address, cols } = ownTensor(tensor);
  machine.commands.touches(address + first * cols * 4, (end - first) * cols * 4, written);
}
