/** What a call of attention does to its scores, as kernels/attention/attention-adjust.ts reads it, in the call's record. */
import * as abi from "../../../../kernels/abi.js";
import * as at from "../../../../kernels/attention/attention-record.js";
import type { AttentionBias, AttentionCall } from "../../../tensor/backend.js";
import type { Machine } from "../machine.js";
import { ownInput, ownWeight, refuse, type WasmInput, type WasmWeight } from "../tensors.js";

type Adjustments = Pick<AttentionCall, "softcap" | "bias" | "sinks">;

/** Soft cap, biases and sinks of the first `columns` query heads, as words of the record. */
export function writeAdjustments(machine: Machine, call: Adjustments, record: number, columns: number): void {
  const { softcap, bias } = call;
  if (!(softcap === undefined || softcap > 0)) refuse("attention", `a soft cap of ${softcap}`);
  const sinks = sinksAddress(machine, call, columns);
  writeBias(machine, bias, record, columns);
  const { i32, f32 } = machine.space;
  i32[(record + at.ADJUSTED) >>> 2] = softcap !== undefined || bias ? 1 : 0;
  f32[(record + at.SOFTCAP) >>> 2] = softcap ?? 0;
  i32[(record + at.SINKS) >>> 2] = sinks;
}

/** 0: none. */
function sinksAddress(machine: Machine, { sinks }: Adjustments, columns: number): number {
  if (!sinks) return 0;
  const weight = ownWeight(sinks);
  if (!(weight.rows * weight.cols >= columns)) refuse("attention", `sinks of ${weight.rows * weight.cols} heads`);
  return machine.elements(weight);
}

function writeBias(machine: Machine, bias: AttentionBias | undefined, record: number, columns: number): void {
  let [kind, biases, reach] = [abi.BIAS_NONE, 0, 0];
  if (bias?.kind === "linear") {
    const slopes = ownInput(bias.slopes);
    if (!(slopes.length >= columns)) refuse("attention", `${slopes.length} slopes`);
    [kind, biases] = [abi.BIAS_LINEAR, slopes.address];
  } else if (bias) {
    const table = ownWeight(bias.table);
    const buckets = ownInput(bias.buckets);
    if (!(table.cols >= columns)) refuse("attention", `a table of ${table.cols} heads`);
    if (!(buckets.length % 2 === 1)) refuse("attention", `${buckets.length} buckets of distances`);
    reach = (buckets.length - 1) / 2;
    [kind, biases] = [abi.BIAS_TABLE, biasRows(machine, table, buckets, reach)];
  }
  const { i32 } = machine.space;
  i32[(record + at.BIAS) >>> 2] = kind;
  i32[(record + at.BIASES) >>> 2] = biases;
  i32[(record + at.REACH) >>> 2] = reach;
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
