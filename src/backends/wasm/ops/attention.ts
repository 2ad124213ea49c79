/** The attention command; kernels/attention.ts documents its arguments. */
import * as abi from "../../../../kernels/abi.js";
import type { AttentionCall } from "../../../tensor/backend.js";
import { KV_CODES, kvBytes, memberBytes } from "../kv-layout.js";
import type { Machine } from "../machine.js";
import { own, refuse, WasmInput, WasmTensor } from "../tensors.js";
import { adjustRecord, sinksAddress } from "./attention-adjust.js";
import { checkSlice, footprint } from "./cache.js";

/** With fewer items than this, long ranges are cut, so that many threads find work. Never depends on the threads. */
const FEW_ITEMS = 64;
/** Slots of a chunk at least; a multiple of the kernel's block. */
const CHUNK_SLOTS = 512;
const MOST_CHUNKS = 64;
/** Nanoseconds of one thread per multiplication. */
const PRODUCT_NS = 0.06;

/** A call's figures. */
interface Shape {
  readonly rows: number;
  readonly ranges: number;
  readonly tiles: number;
  /** Slots from the first that any row sees to the last, summed over the ranges. */
  readonly slots: number;
  /** First word of the spans. */
  readonly spans: number;
}

export function attention(machine: Machine, call: AttentionCall): void {
  const shape = measure(machine, call);
  if (shape.rows === 0) return;
  const { slice, group } = call;
  const out = own(WasmTensor, call.out);
  const { keyWidth, valueWidth } = slice.store.layout;
  const items = shape.tiles * slice.heads;
  const chunks = items < FEW_ITEMS && shape.slots >= 2 * CHUNK_SLOTS ? cutRanges(machine, shape) : undefined;
  const records = (chunks?.count ?? 0) * slice.heads * shape.rows * group;
  const partialBytes = records * (valueWidth * 4 + 16);
  const partial = chunks ? machine.allocate(partialBytes) : 0;
  const cost = shape.slots * shape.rows * slice.heads * group * (keyWidth + valueWidth) * PRODUCT_NS;
  const adjust = adjustRecord(machine, call, shape.rows);
  const sinks = sinksAddress(machine, call);
  out.forgetForms();
  encode(machine, call, shape, cost)
    .word(chunks?.count ?? 0)
    .word(chunks?.address ?? 0)
    .writes(partial, partialBytes)
    .word(machine.wide ? 1 : 0)
    .word(adjust)
    .word(sinks)
    .end();
  if (chunks) merge(machine, call, shape, chunks.count, partial, partialBytes);
}

/** Checks the call against its memory. */
function measure(machine: Machine, call: AttentionCall): Shape {
  const { slice, group, queries } = call;
  const { keyWidth, valueWidth } = slice.store.layout;
  const out = own(WasmTensor, call.out);
  const input = own(WasmInput, call.spans);
  const columns = (slice.head + slice.heads) * group;
  const ranges = queries.length;
  if (!(columns * valueWidth <= out.cols)) refuse("attention", `an output of ${out.cols} columns`);
  if (!(input.length === out.rows * ranges * 2)) refuse("attention", `${input.length} span bounds`);
  for (const query of queries) {
    if (!(query.rows === out.rows && query.cols >= columns * keyWidth))
      refuse("attention", `${query.rows} rows of queries`);
  }
  const spans = input.address >>> 2;
  const { i32 } = machine.space;
  let slots = 0;
  let end = 0;
  for (let range = 0; range < ranges; range++) {
    const extent = extentOf(i32, spans, out.rows, ranges, range);
    end = Math.max(end, extent.high);
    slots += extent.high - extent.low;
  }
  checkSlice("attention", slice, end);
  return { rows: out.rows, ranges, tiles: Math.ceil((out.rows * group) / abi.TILE_ROWS), slots, spans };
}

/** The slots that a range covers in any row; equal bounds when it is empty in all. */
function extentOf(i32: Int32Array, spans: number, rows: number, ranges: number, range: number) {
  let low = 0;
  let high = 0;
  for (let row = 0; row < rows; row++) {
    const at = spans + (row * ranges + range) * 2;
    if (i32[at] >= i32[at + 1]) continue;
    low = high === 0 ? i32[at] : Math.min(low, i32[at]);
    high = Math.max(high, i32[at + 1]);
  }
  return { low, high };
}

/** Cuts the ranges at multiples of the chunk size; the list goes into the step's memory. */
function cutRanges(machine: Machine, { rows, ranges, slots, spans }: Shape): { count: number; address: number } {
  const size = Math.ceil(slots / MOST_CHUNKS / CHUNK_SLOTS) * CHUNK_SLOTS;
  const most = Math.ceil(slots / size) + 2 * ranges;
  const address = machine.allocateInput(most * 12);
  const { i32 } = machine.space;
  let at = address >>> 2;
  for (let range = 0; range < ranges; range++) {
    const { low, high } = extentOf(i32, spans, rows, ranges, range);
    for (let start = low - (low % size); start < high; start += size) {
      i32[at++] = range;
      i32[at++] = start;
      i32[at++] = start + size;
    }
  }
  return { count: (at - (address >>> 2)) / 3, address };
}

function encode(machine: Machine, call: AttentionCall, shape: Shape, cost: number) {
  const { slice, queries } = call;
  const { keyWidth, valueWidth, keyType, valueType } = slice.store.layout;
  const out = own(WasmTensor, call.out);
  const addresses = machine.allocateInput(queries.length * 4);
  const first = slice.head * call.group;
  const commands = machine.commands.begin(abi.ATTENTION, cost).touches(footprint(slice), 1, false);
  commands.touches(out.address, out.bytes, true);
  queries.forEach((query, range) => {
    const { address, bytes } = own(WasmTensor, query);
    machine.space.i32[(addresses >>> 2) + range] = address + first * keyWidth * 4;
    commands.touches(address, bytes, false);
  });
  return commands
    .word(out.address + first * valueWidth * 4)
    .word(out.cols * 4)
    .word(addresses)
    .word((queries.at(0)?.cols ?? 0) * 4)
    .word(shape.ranges)
    .word(own(WasmInput, call.spans).address)
    .word(shape.rows)
    .word(keyWidth)
    .word(valueWidth)
    .word(call.group)
    .word(slice.heads)
    .word(checkSlice("attention", slice, 0).address)
    .word(slice.member * memberBytes(slice.store.layout))
    .word(memberBytes(slice.store.layout))
    .word(kvBytes(keyType, keyWidth))
    .word(KV_CODES[keyType])
    .word(KV_CODES[valueType])
    .float(call.scale)
    .word(machine.scratch)
    .word(shape.tiles);
}

function merge(
  machine: Machine,
  call: AttentionCall,
  shape: Shape,
  chunks: number,
  partial: number,
  partialBytes: number,
): void {
  const { slice, group } = call;
  const { valueWidth } = slice.store.layout;
  const out = own(WasmTensor, call.out);
  machine.commands
    .begin(abi.ATTENTION_MERGE, chunks * shape.rows * group * slice.heads * valueWidth * 0.3)
    .touches(out.address, out.bytes, true)
    .word(out.address + slice.head * group * valueWidth * 4)
    .word(out.cols * 4)
    .word(shape.rows * group)
    .word(group)
    .word(slice.heads)
    .word(valueWidth)
    .word(chunks)
    .reads(partial, partialBytes)
    .end();
}
