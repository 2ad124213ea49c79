/**
 * A small problem of attention that the wide module (kernels/attention-wide.ts) must solve before it is used: six rows
 * (rounded up to eight), two pages of half floats, the first five slots unseen, values of 20 dims, compared with the same
 * sums in double precision.
 */
import { KV_F16 } from "../../../kernels/abi.js";
import { writeHalf } from "../../quant/f16.js";
import { kernelFunction } from "./module.js";

const ROWS = 6;
const WIDTH = 8;
const VALUE_WIDTH = 20;
const PAGE = 16;
const SLOTS = 2 * PAGE;
const FIRST = 5;
/** Rows of the tables that the kernels keep, and slots of a row of scores (kernels/attention-tile.ts). */
const TILE_ROWS = 64;
const ROW_SLOTS = 64;
/** Half floats are widened without this factor (kernels/kv-page.ts). */
const HALF_UNIT = 2 ** 112;
/** Binary logarithm of the weights' unit. */
const SHIFT = 64;
const TOLERANCE = 1e-5;
/** What is there before: each row's maximum, total and sums. */
const BEFORE = 1;

const queryOf = (row: number, d: number) => (((row * 5 + d * 3) % 9) - 4) / 4;
const keyOf = (slot: number, d: number) => (((slot * 7 + d * 5) % 11) - 5) / 2;
const numberOf = (slot: number, d: number) => ((slot * 3 + d * 7) % 13) - 6;

/** Where the problem lies in a memory. */
const AT = { q: 0, page: 2048, scores: 4096, sums: 12288, state: 16384, ones: 17408, work: 17920, members: 20736 };
const MEMBERS = 24576;
const KEY_BYTES = WIDTH * PAGE * 2;
const MEMBER_BYTES = KEY_BYTES + VALUE_WIDTH * PAGE * 2;

function layOut(memory: WebAssembly.Memory): void {
  const bytes = new Uint8Array(memory.buffer);
  const floats = new Float32Array(memory.buffer);
  for (let row = 0; row < ROWS; row++) {
    for (let d = 0; d < WIDTH; d++) floats[AT.q / 4 + row * WIDTH + d] = queryOf(row, d);
    for (let d = 0; d < VALUE_WIDTH; d++) floats[AT.sums / 4 + row * VALUE_WIDTH + d] = BEFORE * 2 ** (SHIFT - 112);
    floats[AT.state / 4 + row] = BEFORE;
    floats[AT.state / 4 + TILE_ROWS + row] = BEFORE * 2 ** SHIFT;
  }
  floats.fill(1, AT.ones / 4, AT.ones / 4 + TILE_ROWS);
  for (let slot = 0; slot < SLOTS; slot++) {
    const place = slot % PAGE;
    const member = MEMBERS + Math.floor(slot / PAGE) * MEMBER_BYTES;
    new Uint32Array(memory.buffer)[AT.members / 4 + Math.floor(slot / PAGE)] = member;
    for (let d = 0; d < WIDTH; d++) writeHalf(keyOf(slot, d), bytes, member + (d * PAGE + place) * 2);
    for (let d = 0; d < VALUE_WIDTH; d++) {
      writeHalf(numberOf(slot, d), bytes, member + KEY_BYTES + (place * VALUE_WIDTH + d) * 2);
    }
  }
}

function scoreOf(row: number, slot: number): number {
  let sum = 0;
  for (let d = 0; d < WIDTH; d++) sum += queryOf(row, d) * keyOf(slot, d);
  return sum;
}

/** What a row must come to: its mixed values. */
function exact(row: number, d: number): number {
  let total = BEFORE * 2 ** BEFORE;
  let sum = total;
  for (let slot = FIRST; slot < SLOTS; slot++) {
    const weight = 2 ** scoreOf(row, slot);
    total += weight;
    sum += weight * numberOf(slot, d);
  }
  return sum / total;
}

/** Whether the module's scores, weights and sums are right. */
export function attendsRight(wide: WebAssembly.Module): boolean {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
  const instance = new WebAssembly.Instance(wide, { env: { memory } });
  const floats = new Float32Array(memory.buffer);
  const { q, page, scores, sums, state, ones, work, members } = AT;
  layOut(memory);
  kernelFunction(instance, "scoreWide")(q, ROWS, WIDTH, members, 2, KV_F16, page, scores);
  for (let row = 0; row < ROWS; row++) {
    const start = scores / 4 + row * ROW_SLOTS;
    floats.fill(Number.NEGATIVE_INFINITY, start, start + FIRST);
  }
  kernelFunction(instance, "softmaxWide")(scores, ROWS, 2, HALF_UNIT, SHIFT, state, work);
  const factors = state + TILE_ROWS * 8;
  const widths = [sums, ROWS, VALUE_WIDTH, scores, factors, ones, members, KEY_BYTES];
  kernelFunction(instance, "addWide")(...widths, FIRST, SLOTS, KV_F16, page);
  for (let row = 0; row < ROWS; row++) {
    const total = floats[state / 4 + TILE_ROWS + row];
    for (let d = 0; d < VALUE_WIDTH; d++) {
      const found = (floats[sums / 4 + row * VALUE_WIDTH + d] / total) * HALF_UNIT;
      if (!(Math.abs(found - exact(row, d)) < TOLERANCE)) return false;
    }
  }
  return true;
}
