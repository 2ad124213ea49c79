/**
 * Small problems of attention that the wide module (kernels/attention/attention-wide.ts) must solve before it is used: six rows
 * (rounded up to eight), two pages of every type of the cache that is widened, the first five slots unseen, heads with and without a rest
 * of dims, compared with the same sums in double precision.
 */
import { BLOCK_SLOTS, TILE_ROWS } from "../../../kernels/abi.js";
import { halfFromFloat } from "../../quant/f16.js";
import type { KvType } from "../../tensor/dtype.js";
import { KV_CODES, kvBytes } from "./kv-layout.js";
import { kernelFunction } from "./module.js";
import { readsHalvesRight } from "./wide-halves.js";
import { readsNibblesRight } from "./wide-nibbles.js";

const ROWS = 6;
const PAGE = 16;
const PAGES = 2;
const SLOTS = PAGES * PAGE;
const FIRST = 5;
/** Dims of keys and of values. 64: whole vectors and groups; 36: a vector, and a group of q8, that are not whole. */
const WIDTHS = [
  [64, 36],
  [36, 64],
] as const;
/** Types whose pages are widened into memory. */
const WIDENED = ["f32", "f16", "q8"] as const satisfies readonly KvType[];
const TOLERANCE = 1e-5;
/** What is there before: each row's maximum, total and sums. */
const BEFORE = 1;

// Keys and values are integers times powers of two, a group's scale in q8, so that every type holds the same numbers.
const queryOf = (row: number, d: number) => (((row * 5 + d * 3) % 9) - 4) / 8;
const keyOf = (slot: number, d: number) => ((slot * 7 + d * 5) % 11) - 5;
const numberOf = (slot: number, d: number) => ((slot * 3 + d * 7) % 13) - 6;
const groupOf = (d: number) => d >> 5;
const scaleOf = (slot: number, d: number) => 2 ** -((slot + groupOf(d)) & 1);

/** Half floats are widened without the factor `unit` (kernels/kv/kv-page.ts); their weights carry 2^shift. */
const unitsOf = (type: KvType) => (type === "f16" ? { unit: 2 ** 112, shift: 64 } : { unit: 1, shift: 0 });

interface Problem {
  readonly type: KvType;
  readonly width: number;
  readonly valueWidth: number;
}

/** Where a problem lies in a memory of one page; `pages`: the cache's, one after the other. */
const AT = {
  q: 0,
  page: 2048,
  scores: 6144,
  sums: 8192,
  state: 10240,
  ones: 11008,
  work: 11264,
  members: 13824,
  pages: 14336,
};
const MEMBER_BYTES = 8192;

function layOut(view: DataView, problem: Problem): void {
  const { type, width, valueWidth } = problem;
  const { unit, shift } = unitsOf(type);
  const setFloat = (at: number, index: number, value: number) => view.setFloat32(at + index * 4, value, true);
  new Uint8Array(view.buffer).fill(0);
  for (let row = 0; row < ROWS; row++) {
    for (let d = 0; d < width; d++) setFloat(AT.q, row * width + d, queryOf(row, d));
    for (let d = 0; d < valueWidth; d++) setFloat(AT.sums, row * valueWidth + d, (BEFORE * 2 ** shift) / unit);
    setFloat(AT.state, row, BEFORE);
    setFloat(AT.state, TILE_ROWS + row, BEFORE * 2 ** shift);
  }
  for (let row = 0; row < TILE_ROWS; row++) setFloat(AT.ones, row, 1);
  for (let slot = 0; slot < SLOTS; slot++) writeSlot(view, problem, slot);
}

/** The keys and values of one slot, as kernels/kv/kv-page.ts lays them. */
function writeSlot(view: DataView, { type, width, valueWidth }: Problem, slot: number): void {
  const place = slot % PAGE;
  const page = Math.floor(slot / PAGE);
  const keys = AT.pages + page * MEMBER_BYTES;
  const values = keys + kvBytes(type, width, "keys");
  const groups = Math.ceil(valueWidth / 32);
  view.setUint32(AT.members + page * 4, keys, true);
  for (let d = 0; d < width; d++) {
    const scale = scaleOf(slot, d);
    writeNumber(view, type, keys, d * PAGE + place, keyOf(slot, d), scale);
    if (type === "q8") view.setFloat32(keys + width * PAGE + (groupOf(d) * PAGE + place) * 4, scale, true);
  }
  for (let d = 0; d < valueWidth; d++) {
    const scale = scaleOf(slot, d);
    writeNumber(view, type, values, place * valueWidth + d, numberOf(slot, d), scale);
    if (type === "q8") view.setFloat32(values + valueWidth * PAGE + (place * groups + groupOf(d)) * 4, scale, true);
  }
}

function writeNumber(view: DataView, type: KvType, at: number, index: number, integer: number, scale: number): void {
  if (type === "q8") view.setInt8(at + index, integer);
  else if (type === "f16") view.setUint16(at + index * 2, halfFromFloat(integer * scale), true);
  else view.setFloat32(at + index * 4, integer * scale, true);
}

/** What a row must come to: its mixed values. */
function exact(row: number, width: number, valueWidth: number): Float64Array {
  let total = BEFORE * 2 ** BEFORE;
  const sums = new Float64Array(valueWidth).fill(total);
  for (let slot = FIRST; slot < SLOTS; slot++) {
    let score = 0;
    for (let d = 0; d < width; d++) score += queryOf(row, d) * keyOf(slot, d) * scaleOf(slot, d);
    const weight = 2 ** score;
    total += weight;
    for (let d = 0; d < valueWidth; d++) sums[d] += weight * numberOf(slot, d) * scaleOf(slot, d);
  }
  return sums.map((sum) => sum / total);
}

/** Whether the module's scores, weights and sums are right. */
export function attendsRight(wide: WebAssembly.Module): boolean {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const instance = new WebAssembly.Instance(wide, { env: { memory } });
  if (!(weighsCoarse(instance, memory) && readsHalvesRight(instance, memory))) return false;
  if (!readsNibblesRight(instance, memory)) return false;
  return WIDTHS.every(([width, valueWidth]) => {
    const expected = Array.from({ length: ROWS }, (_, row) => exact(row, width, valueWidth));
    return WIDENED.every((type) => solves(instance, memory, { type, width, valueWidth }, expected));
  });
}

/** Whether scores beyond 2^24, which are lowered before they become weights (kernels/attention/attention-softmax.ts), add up. */
function weighsCoarse(instance: WebAssembly.Instance, memory: WebAssembly.Memory): boolean {
  const { scores, state, work } = AT;
  const unit = 0.5;
  const below = (slot: number) => 4 * (slot % 3);
  const floats = new Float32Array(memory.buffer);
  for (let row = 0; row < ROWS; row++) {
    const start = scores / 4 + row * BLOCK_SLOTS;
    for (let slot = 0; slot < SLOTS; slot++) floats[start + slot] = (2 ** 25 - below(slot)) / unit;
  }
  kernelFunction(instance, "softmaxWide")(scores, ROWS, PAGES, unit, 0, state, work);
  const total = Array.from({ length: SLOTS }, (_, slot) => 2 ** -below(slot)).reduce((sum, weight) => sum + weight, 0);
  const totals = floats.subarray(state / 4 + TILE_ROWS, state / 4 + TILE_ROWS + ROWS);
  return totals.every((found) => Math.abs(found - total) < TOLERANCE * total);
}

function solves(
  instance: WebAssembly.Instance,
  memory: WebAssembly.Memory,
  problem: Problem,
  expected: readonly Float64Array[],
): boolean {
  const { type, width, valueWidth } = problem;
  const { q, page, scores, sums, state, ones, work, members } = AT;
  const { unit, shift } = unitsOf(type);
  const code = KV_CODES[type];
  const floats = new Float32Array(memory.buffer);
  layOut(new DataView(memory.buffer), problem);
  kernelFunction(instance, "scoreWide")(q, ROWS, width, members, PAGES, code, page, scores);
  for (let row = 0; row < ROWS; row++) {
    const start = scores / 4 + row * BLOCK_SLOTS;
    floats.fill(Number.NEGATIVE_INFINITY, start, start + FIRST);
  }
  kernelFunction(instance, "softmaxWide")(scores, ROWS, PAGES, unit, shift, state, work);
  const factors = state + TILE_ROWS * 8;
  const widths = [sums, ROWS, valueWidth, scores, factors, ones, members, kvBytes(type, width, "keys")];
  kernelFunction(instance, "addWide")(...widths, FIRST, SLOTS, code, page);
  return expected.every((row, r) => {
    const total = floats[state / 4 + TILE_ROWS + r];
    const found = (d: number) => (floats[sums / 4 + r * valueWidth + d] / total) * unit;
    return row.every((value, d) => Math.abs(found(d) - value) < TOLERANCE);
  });
}
