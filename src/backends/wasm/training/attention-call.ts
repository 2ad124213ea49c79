/** A call of attention for training, checked, as the record that kernels/training/attend-record.ts describes. */
import * as abi from "../../../../kernels/abi.js";
import * as at from "../../../../kernels/training/attend-record.js";
import type { AttentionBias } from "../../../tensor/backend.js";
import type { Tensor } from "../../../tensor/tensor.js";
import type { AttentionTrainingCall } from "../../../tensor/training.js";
import { WasmKept } from "../kept.js";
import { checkWidths } from "../kv-layout.js";
import type { Machine } from "../machine.js";
import { expect, own, ownInput, ownTensor, ownWeight, shape, type WasmTensor } from "../tensors.js";
import type { VisitPlan } from "./visit.js";
import { PAGE_KEYS, visitPlan } from "./visit-plan.js";

/** Of the constants there (kernels/training/attend-weights.ts). */
const WEIGH_BYTES = 352;
/** Bytes of a thread's scratch before the rows of a tile (kernels/training/attend-rows-back.ts). */
const TILE_SCRATCH = 4 * abi.TILE_ROWS * 64 + 3 * abi.TILE_ROWS * 4 + WEIGH_BYTES;

/** Something that commands touch: a tensor, a weight that is trained, a gradient. */
export interface Piece {
  readonly address: number;
  readonly bytes: number;
}

/** A call's figures. `first`: its first query head. */
export interface Figures {
  readonly q: WasmTensor;
  readonly k: WasmTensor;
  readonly v: WasmTensor;
  readonly out: WasmTensor;
  readonly logSums: WasmTensor;
  readonly width: number;
  readonly valueWidth: number;
  readonly pages: number;
  readonly first: number;
  readonly heads: number;
  readonly plan: VisitPlan;
  readonly bias: BiasFigures;
  readonly sinks: Piece | undefined;
}

/** Of no bias and of slopes: `rowBytes` is 0. */
interface BiasFigures {
  readonly kind: number;
  readonly places: number;
  readonly slopes: number;
  readonly reach: number;
  readonly buckets: number;
  readonly table: (Piece & { readonly cols: number; readonly rows: number }) | undefined;
  /** Bytes of a query head's row of biases. */
  readonly rowBytes: number;
}

export function measure(machine: Machine, call: AttentionTrainingCall, out: Tensor, logSums: Tensor): Figures {
  const [q, k, v] = [ownTensor(call.q), ownTensor(call.k), ownTensor(call.v)];
  const [result, logs] = [ownTensor(out), ownTensor(logSums)];
  const { group, head, heads } = call;
  const columns = logs.cols;
  const width = q.cols / columns;
  const valueWidth = result.cols / columns;
  checkWidths(width, valueWidth);
  const found = `q ${shape(q)}, k ${shape(k)}, v ${shape(v)}, out ${shape(result)} and logs ${shape(logs)}`;
  const kvHeads = columns / group;
  expect(q.rows === result.rows && q.rows === logs.rows && k.rows === v.rows, "attendRows", found);
  expect(
    k.cols === kvHeads * width && v.cols === kvHeads * valueWidth,
    "attendRows",
    `${found} for groups of ${group}`,
  );
  expect(head >= 0 && heads > 0 && head + heads <= kvHeads, "attendRows", `heads from ${head}, ${heads} of ${kvHeads}`);
  expect(call.softcap === undefined || call.softcap > 0, "attendRows", `a soft cap of ${call.softcap}`);
  const spans = ownInput(call.spans);
  const ranges = spans.length / (q.rows * 2);
  expect(Number.isInteger(ranges), "attendRows", `${spans.length} span bounds for ${q.rows} rows`);
  const height = tileHeight(2 * width + valueWidth);
  const plan = visitPlan(machine, spans, { tokens: q.rows, keys: k.rows, ranges, group, heads, height });
  const pages = Math.ceil(k.rows / PAGE_KEYS);
  const first = head * group;
  const bias = biasFigures(machine, call.bias, q.rows * ranges, columns);
  const sinks = call.sinks && ownWeight(call.sinks);
  expect(!sinks || sinks.rows * sinks.cols === columns, "attendRows", `sinks of ${sinks?.cols} heads`);
  const piece = sinks && { address: machine.elements(sinks), bytes: columns * 4 };
  return { q, k, v, out: result, logSums: logs, width, valueWidth, pages, first, heads, plan, bias, sinks: piece };
}

/** Rows of a tile: as many as the scratch memory holds of queries, their gradients and those of the result. */
function tileHeight(widths: number): number {
  let height = abi.TILE_ROWS;
  while (TILE_SCRATCH + height * widths * 4 > abi.SCRATCH_BYTES) height /= 2;
  return height;
}

function biasFigures(machine: Machine, bias: AttentionBias | undefined, count: number, columns: number): BiasFigures {
  const none = { kind: abi.BIAS_NONE, places: 0, slopes: 0, reach: 0, buckets: 0, table: undefined, rowBytes: 0 };
  if (!bias) return none;
  const places = ownInput(bias.places);
  expect(places.length === count, "attendRows", `${places.length} places of ${count} rows and ranges`);
  if (bias.kind === "linear") {
    const slopes = ownInput(bias.slopes);
    expect(slopes.length === columns, "attendRows", `${slopes.length} slopes of ${columns} heads`);
    return { ...none, kind: abi.BIAS_LINEAR, places: places.address, slopes: slopes.address };
  }
  const weight = ownWeight(bias.table);
  const buckets = ownInput(bias.buckets);
  const { rows, cols } = weight;
  expect(cols === columns, "attendRows", `a table of ${cols} heads, not ${columns}`);
  expect(buckets.length % 2 === 1, "attendRows", `${buckets.length} buckets of distances`);
  const start = buckets.address >>> 2;
  for (const bucket of machine.space.i32.subarray(start, start + buckets.length)) {
    expect(bucket >= 0 && bucket < rows, "attendRows", `bucket ${bucket} of ${rows}`);
  }
  const reach = (buckets.length - 1) / 2;
  const table = { address: machine.elements(weight), bytes: rows * cols * 4, rows, cols };
  const rowBytes = 2 * (reach + abi.BLOCK_SLOTS) * 4;
  return { kind: abi.BIAS_TABLE, places: places.address, slopes: 0, reach, buckets: buckets.address, table, rowBytes };
}

/** A gradient of the shape [rows, cols] in this memory. */
export function gradientOf(
  machine: Machine,
  tensor: Tensor | undefined,
  rows: number,
  cols: number,
): WasmKept | undefined {
  if (!tensor) return undefined;
  const kept = own(WasmKept, tensor);
  expect(kept.place === machine.place, "attendRowsBack", "a gradient in another memory");
  expect(kept.rows === rows && kept.cols === cols, "attendRowsBack", `a gradient ${shape(kept)} of [${rows}, ${cols}]`);
  return kept;
}

/** Address of a new record with the words that both ways share; `biases`: where a table's are laid out. */
export function newRecord(machine: Machine, call: AttentionTrainingCall, figures: Figures, biases: number): number {
  const { q, k, v, out, logSums, width, valueWidth, pages, first, heads, plan, bias, sinks } = figures;
  const words: [number, number][] = [
    [at.Q, q.address + first * width * 4],
    [at.Q_STRIDE, q.cols * 4],
    [at.K, k.address + call.head * width * 4],
    [at.K_STRIDE, k.cols * 4],
    [at.V, v.address + call.head * valueWidth * 4],
    [at.V_STRIDE, v.cols * 4],
    [at.KEYS, k.rows],
    [at.PAGES, pages],
    [at.SPANS, ownInput(call.spans).address],
    [at.RANGES, ownInput(call.spans).length / (q.rows * 2)],
    [at.ROWS, q.rows * call.group],
    [at.WIDTH, width],
    [at.VALUE_WIDTH, valueWidth],
    [at.GROUP, call.group],
    [at.HEADS, heads],
    [at.BIAS, bias.kind],
    [at.PLACES, bias.places],
    [at.BIASES, bias.table ? biases : bias.slopes + first * 4],
    [at.REACH, bias.reach],
    [at.SINKS, sinks ? sinks.address + first * 4 : 0],
    [at.OUT, out.address + first * valueWidth * 4],
    [at.OUT_STRIDE, out.cols * 4],
    [at.LOG_SUMS, logSums.address + first * 4],
    [at.LOG_STRIDE, logSums.cols * 4],
    [at.TILES, plan.tiles],
    [at.TILE_HEIGHT, tileHeight(2 * width + valueWidth)],
    [at.TILE_STARTS, plan.starts],
    [at.VISITS, plan.visits],
    [at.CHUNKS, plan.chunks],
    [at.CHUNK_TILES, plan.chunkTiles],
    [at.CHUNK_SLOTS, plan.chunkSlots],
    [at.SLOT_OF, plan.slotOf],
    [at.TABLE, bias.table ? bias.table.address + first * 4 : 0],
    [at.TABLE_COLUMNS, bias.table?.cols ?? 0],
    [at.BUCKETS, bias.buckets],
    [at.WIDE, machine.wide ? 1 : 0],
  ];
  const record = machine.allocateInput(at.RECORD_BYTES);
  machine.space.i32.fill(0, record >>> 2, (record + at.RECORD_BYTES) >>> 2);
  setWords(machine, record, words);
  machine.space.f32[(record + at.SCALE) >>> 2] = call.scale;
  machine.space.f32[(record + at.SOFTCAP) >>> 2] = call.softcap ?? 0;
  return record;
}

/** Words of a record, by byte offset. */
export function setWords(machine: Machine, record: number, words: readonly (readonly [number, number])[]): void {
  const { i32 } = machine.space;
  for (const [offset, value] of words) i32[(record + offset) >>> 2] = value;
}
