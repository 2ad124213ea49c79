/**
 * The products of few rows over half floats (kernels/attention/attention-halves-wide.ts) on small whole numbers, which they must
 * find exactly: four pages, keys and values of both signs, slots that no row sees at both ends.
 */
import { BLOCK_SLOTS } from "../../../kernels/abi.js";
import { halfFromFloat } from "../../quant/f16.js";
import { PAGE_TOKENS } from "../../tensor/kv.js";
import { kernelFunction } from "./module.js";

const FUNCTIONS = [
  { rows: 1, score: "scoreOneRow", add: "addOneRow" },
  { rows: 2, score: "scoreTwoRows", add: "addTwoRows" },
  { rows: 4, score: "scoreFourRows", add: "addFourRows" },
] as const;
const WIDTH = 20;
const VALUE_WIDTH = 80;
/** Dims of values before those that are added, and the slots that are seen. */
const SKIPPED = 16;
const [LOW, HIGH] = [5, 50];
/** What halves that were widened by shifts are divided by. */
const UNIT = 2 ** 112;

const AT = { q: 0, weights: 2048, found: 4096, members: 8192, pages: 9216 };
const MEMBER_BYTES = 8192;
const KEY_BYTES = WIDTH * PAGE_TOKENS * 2;
const STRIDE = VALUE_WIDTH * 2;

const queryOf = (row: number, d: number) => ((row * 5 + d * 3) % 9) - 4;
const keyOf = (slot: number, d: number) => ((slot * 7 + d * 5) % 11) - 5;
const weightOf = (row: number, slot: number) => (row * 3 + slot * 5) % 7;
const numberOf = (slot: number, d: number) => ((slot * 3 + d * 7) % 13) - 6;

function layOut(view: DataView): void {
  for (let row = 0; row < 4; row++) {
    for (let d = 0; d < WIDTH; d++) view.setFloat32(AT.q + (row * WIDTH + d) * 4, queryOf(row, d), true);
    for (let slot = 0; slot < BLOCK_SLOTS; slot++)
      view.setFloat32(AT.weights + (row * BLOCK_SLOTS + slot) * 4, weightOf(row, slot), true);
  }
  for (let slot = 0; slot < BLOCK_SLOTS; slot++) {
    const place = slot % PAGE_TOKENS;
    const page = Math.floor(slot / PAGE_TOKENS);
    const keys = AT.pages + page * MEMBER_BYTES;
    view.setUint32(AT.members + page * 4, keys, true);
    const write = (at: number, index: number, x: number) => view.setUint16(at + index * 2, halfFromFloat(x), true);
    for (let d = 0; d < WIDTH; d++) write(keys, d * PAGE_TOKENS + place, keyOf(slot, d));
    for (let d = 0; d < VALUE_WIDTH; d++) write(keys + KEY_BYTES, place * VALUE_WIDTH + d, numberOf(slot, d));
  }
}

const sum = (count: number, term: (i: number) => number) =>
  Array.from({ length: count }, (_, i) => term(i)).reduce((total, x) => total + x, 0);

const scoreOf = (row: number, slot: number) => sum(WIDTH, (d) => queryOf(row, d) * keyOf(slot, d));

const mixOf = (row: number, d: number) => sum(HIGH - LOW, (i) => weightOf(row, LOW + i) * numberOf(LOW + i, d));

/** Where lane i of sixteen is: even ones first. */
const laneOf = (i: number) => (i & ~15) + (i & 1) * 8 + ((i & 15) >> 1);

/** Whether the module's functions find what they must. */
export function readsHalvesRight(instance: WebAssembly.Instance, memory: WebAssembly.Memory): boolean {
  layOut(new DataView(memory.buffer));
  const found = new Float32Array(memory.buffer, AT.found, 4 * BLOCK_SLOTS);
  const is = (at: number, expected: number) => found[at] * UNIT === expected;
  const every = (count: number, test: (i: number) => boolean) => Array.from({ length: count }, (_, i) => i).every(test);
  const call = (name: string, ...args: readonly number[]) => {
    found.fill(Number.NaN);
    kernelFunction(instance, name)(...args);
  };
  const offset = KEY_BYTES + SKIPPED * 2;
  const scored = (rows: number, name: string) => {
    const second = AT.pages + MEMBER_BYTES;
    call(name, AT.q, WIDTH * 4, second, AT.found);
    return every(rows * PAGE_TOKENS, (i) => {
      const [row, place] = [Math.floor(i / PAGE_TOKENS), i % PAGE_TOKENS];
      return is(row * BLOCK_SLOTS + laneOf(place), scoreOf(row, PAGE_TOKENS + place));
    });
  };
  const added = (rows: number, name: string) => {
    const dims = BLOCK_SLOTS / rows;
    call(name, AT.found, AT.weights, AT.members, offset, STRIDE, LOW, HIGH);
    return every(BLOCK_SLOTS, (i) => is(laneOf(i), mixOf(Math.floor(i / dims), SKIPPED + (i % dims))));
  };
  return FUNCTIONS.every(({ rows, score, add }) => scored(rows, score) && added(rows, add));
}
