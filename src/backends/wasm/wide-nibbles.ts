/**
 * The products over pages of 4 bits (kernels/attention/attention-nibbles-wide.ts) on whole numbers, which they must find
 * exactly: two blocks of keys, the second not whole, four pages of values, extreme nibbles and integers among them; and the
 * packing of weights.
 */
import { BLOCK_SLOTS } from "../../../kernels/abi.js";
import { PAGE_TOKENS } from "../../tensor/kv.js";
import { kernelFunction } from "./module.js";

const ROWS = 4;
const WIDTH = 48;
const BLOCK = 32;
/** Words of eight dims, and of a page's values. */
const GROUPS = WIDTH / 8;
const VALUE_WIDTH = 48;
/** Dims of values before those that are added. */
const SKIPPED = 16;
const PAGES = 4;
const PAGE_BYTES = 4096;
const AT = { q: 0, scales: 2048, units: 3072, weights: 4096, found: 8192, members: 16384, packed: 20480, pages: 24576 };

const nibbleOf = (a: number, b: number) => ((a * 7 + b * 5 + 3) % 16) - 8;
const integerOf = (row: number, i: number) => [32767, -32767, -1, 12345, 0, -20001, 513][(row * 3 + i * 5) % 7];
/** None is 1, by which a product is as a quotient. */
const unitOf = (row: number) => 2 ** -(row + 1);
const scaleOf = (block: number, place: number) => 2 ** -((block + place) % 3);
const weightOf = (row: number, slot: number) => ((row * 5 + slot * 3) % 9) / 8;

const sum = (count: number, term: (i: number) => number) =>
  Array.from({ length: count }, (_, i) => term(i)).reduce((total, x) => total + x, 0);
/** Whether the function holds for 0 to count - 1. */
const every = (count: number, holds: (i: number) => boolean) => Array.from({ length: count }, (_, i) => i).every(holds);

/** Whether the module's functions find what they must. */
export function readsNibblesRight(instance: WebAssembly.Instance, memory: WebAssembly.Memory): boolean {
  const view = new DataView(memory.buffer);
  new Uint8Array(memory.buffer).fill(0);
  return scoresRight(instance, view) && addsRight(instance, view) && weighsRight(instance, view);
}

/** Puts a nibble `at` so many places up in a word. */
function setNibble(view: DataView, word: number, at: number, nibble: number): void {
  view.setUint32(word, view.getUint32(word, true) | ((nibble & 15) << (4 * at)), true);
}

function scoresRight(instance: WebAssembly.Instance, view: DataView): boolean {
  for (let d = 0; d < WIDTH; d++) {
    for (let row = 0; row < ROWS; row++) {
      const pair = AT.q + ((row * GROUPS + (d >> 3)) * 4 + (d & 3)) * 4;
      view.setInt16(pair + ((d >> 2) & 1) * 2, integerOf(row, d), true);
    }
    for (let place = 0; place < PAGE_TOKENS; place++) {
      setNibble(view, AT.pages + ((d >> 3) * PAGE_TOKENS + place) * 4, d & 7, nibbleOf(place, d));
    }
  }
  for (let row = 0; row < ROWS; row++) view.setFloat32(AT.units + row * 4, unitOf(row), true);
  for (let i = 0; i < (WIDTH / BLOCK) * PAGE_TOKENS + PAGE_TOKENS; i++) {
    view.setFloat32(AT.scales + i * 4, scaleOf(i >> 4, i & 15), true);
  }
  kernelFunction(instance, "scoreNibbles4")(AT.q, GROUPS * 16, AT.pages, AT.scales, AT.units, AT.found);
  return every(ROWS * PAGE_TOKENS, (i) => {
    const [row, place] = [i >> 4, i & 15];
    const exact = sum(WIDTH, (d) => integerOf(row, d) * nibbleOf(place, d) * scaleOf(d >> 5, place)) * unitOf(row);
    const found = view.getFloat32(AT.found + (row * BLOCK_SLOTS + place) * 4, true);
    return Math.abs(found - exact) <= 2 ** -22 * sum(WIDTH, (d) => Math.abs(integerOf(row, d) * nibbleOf(place, d)));
  });
}

/** A slot's pair in a row of packed weights, and which half of it. */
function packedAt(row: number, slot: number): number {
  const [page, place] = [slot >> 4, slot & 15];
  return row * 128 + page * 32 + ((place >> 2) & 1) * 16 + (place & 3) * 4 + (place >> 3) * 2;
}

function addsRight(instance: WebAssembly.Instance, view: DataView): boolean {
  for (let page = 0; page < PAGES; page++) {
    const words = AT.pages + page * PAGE_BYTES;
    new Uint8Array(view.buffer, words, PAGE_BYTES).fill(0);
    view.setUint32(AT.members + page * 4, words, true);
    for (let place = 0; place < PAGE_TOKENS; place++) {
      for (let d = 0; d < VALUE_WIDTH; d++) {
        const word = words + (((place >> 2) & 1) * VALUE_WIDTH + d) * 4;
        setNibble(view, word, (place & 3) + 4 * (place >> 3), nibbleOf(page * PAGE_TOKENS + place, d));
      }
    }
  }
  for (let row = 0; row < ROWS; row++) {
    for (let slot = 0; slot < BLOCK_SLOTS; slot++) {
      view.setInt16(AT.packed + packedAt(row, slot), integerOf(row, slot), true);
    }
  }
  const add = kernelFunction(instance, "addNibbles4");
  add(AT.found, AT.packed, AT.units, AT.members, PAGES, SKIPPED * 4, VALUE_WIDTH * 4);
  return every(ROWS * 16, (i) => {
    const [row, d] = [i >> 4, SKIPPED + (i & 15)];
    const exact = sum(BLOCK_SLOTS, (slot) => integerOf(row, slot) * nibbleOf(slot, d)) * unitOf(row);
    return view.getFloat32(AT.found + i * 4, true) === exact;
  });
}

function weighsRight(instance: WebAssembly.Instance, view: DataView): boolean {
  const slots = PAGES * PAGE_TOKENS;
  const product = (row: number, slot: number) => weightOf(row, slot) * scaleOf(0, slot);
  for (let slot = 0; slot < slots; slot++) {
    view.setFloat32(AT.scales + slot * 4, scaleOf(0, slot), true);
    for (let row = 0; row < ROWS - 1; row++) {
      view.setFloat32(AT.weights + (row * BLOCK_SLOTS + slot) * 4, weightOf(row, slot), true);
    }
  }
  kernelFunction(instance, "weighNibbles")(AT.weights, ROWS - 1, AT.scales, PAGES, AT.packed, AT.units);
  const largestOf = (row: number) =>
    Array.from({ length: slots }, (_, slot) => product(row, slot)).reduce((a, b) => Math.max(a, b));
  const unitRight = (row: number) => view.getFloat32(AT.units + row * 4, true) === Math.fround(largestOf(row) / 32767);
  if (!every(ROWS - 1, unitRight)) return false;
  return every(ROWS * slots, (i) => {
    const [row, slot] = [Math.floor(i / slots), i % slots];
    const unit = view.getFloat32(AT.units + row * 4, true);
    const found = view.getInt16(AT.packed + packedAt(row, slot), true);
    if (row === ROWS - 1) return unit === 0 && found === 0;
    return Math.abs(found * unit - product(row, slot)) <= unit;
  });
}
