/** What an attention call does to its scores, as kernels/attention-adjust.ts reads it, in the step's memory. */
import * as abi from "../../../../kernels/abi.js";
import type { AttentionBias, AttentionCall } from "../../../tensor/backend.js";
import type { Machine } from "../machine.js";
import { own, refuse, WasmInput, WasmWeight } from "../tensors.js";

const RECORD_BYTES = 20;

/** Address of the record; 0 where scores go to the softmax as they are. `rows`: of queries. */
export function adjustRecord(machine: Machine, call: AttentionCall, rows: number): number {
  const { softcap, bias, slice, group } = call;
  if (softcap === undefined && !bias) return 0;
  if (!(softcap === undefined || softcap > 0)) refuse("attention", `a soft cap of ${softcap}`);
  const first = slice.head * group;
  const end = first + slice.heads * group;
  const words = bias ? biasWords(machine, bias, first, end, rows * call.queries.length) : [abi.BIAS_NONE];
  const record = machine.allocateInput(RECORD_BYTES);
  machine.space.f32[record >>> 2] = softcap ?? 0;
  machine.space.i32.set(words, (record >>> 2) + 1);
  return record;
}

/** Address of the sinks of the slice's heads; 0: none. */
export function sinksAddress(machine: Machine, { sinks, slice, group }: AttentionCall): number {
  if (!sinks) return 0;
  const weight = own(WasmWeight, sinks);
  const columns = (slice.head + slice.heads) * group;
  if (!(weight.rows * weight.cols >= columns)) refuse("attention", `sinks of ${weight.rows * weight.cols} heads`);
  return machine.elements(weight) + slice.head * group * 4;
}

/** Kind, places, slopes or rows of biases, and reach, for the heads [first, end). */
function biasWords(machine: Machine, bias: AttentionBias, first: number, end: number, count: number): number[] {
  const places = own(WasmInput, bias.places);
  if (!(places.length === count)) refuse("attention", `${places.length} places of ${count} rows and ranges`);
  if (bias.kind === "linear") {
    const slopes = own(WasmInput, bias.slopes);
    if (!(slopes.length >= end)) refuse("attention", `${slopes.length} slopes`);
    return [abi.BIAS_LINEAR, places.address, slopes.address + first * 4, 0];
  }
  const table = own(WasmWeight, bias.table);
  const buckets = own(WasmInput, bias.buckets);
  if (!(table.cols >= end)) refuse("attention", `a table of ${table.cols} heads`);
  if (!(buckets.length % 2 === 1)) refuse("attention", `${buckets.length} buckets of distances`);
  const reach = (buckets.length - 1) / 2;
  const rowBytes = 2 * (reach + abi.BLOCK_SLOTS) * 4;
  return [abi.BIAS_TABLE, places.address, biasRows(machine, table, buckets, reach) + first * rowBytes, reach];
}

/** The biases of all distances that a block can meet, by head: made once a step, for layers share the table. */
function biasRows(machine: Machine, table: WasmWeight, buckets: WasmInput, reach: number): number {
  const found = buckets.biasRows.get(table);
  if (found !== undefined) return found;
  const width = 2 * (reach + abi.BLOCK_SLOTS);
  const source = machine.elements(table) >>> 2;
  const address = machine.allocateInput(table.cols * width * 4);
  const { f32, i32 } = machine.space;
  for (let i = 0; i < width; i++) {
    const distance = Math.min(Math.max(reach + abi.BLOCK_SLOTS - i, -reach), reach);
    const bucket = i32[(buckets.address >>> 2) + reach + distance];
    if (!(bucket >= 0 && bucket < table.rows)) refuse("attention", `bucket ${bucket} of ${table.rows}`);
    for (let head = 0; head < table.cols; head++) {
      f32[(address >>> 2) + head * width + i] = f32[source + bucket * table.cols + head];
    }
  }
  buckets.biasRows.set(table, address);
  return address;
}
