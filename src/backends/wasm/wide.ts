/**
 * The wide module (kernels/wide.ts): the inner loops of prefill and attention, which some engines can compile to 256-bit
 * vectors. The compiler that does it is not meant for all code yet, so what it made is believed only when it computes right
 * here: floats and attention as a whole. Products of bytes are exact on some processors only, and tried apart.
 */
import {
  WIDE_ADD,
  WIDE_BLOCK_SCORES,
  WIDE_FLOATS,
  WIDE_PRODUCT,
  WIDE_ROW_SCORES,
  WIDE_SCORES,
  WIDE_SLOT,
  WIDE_SOFTMAX,
  WIDE_TO_KEYS,
  WIDE_TO_ROWS,
  WIDE_WEIGHTS,
} from "../../../kernels/abi.js";
import { InternalError } from "../../util/errors.js";
import { platform } from "../../util/platform.js";
import { WIDE } from "./generated/kernels.js";
import { decode, kernelFunction } from "./module.js";
import { attendsRight } from "./wide-attention.js";
import { derivesRight } from "./wide-training.js";

/** The module, compiled to 256-bit vectors and tried out; once for all models. `asked`: see Platform.compileWide. */
export function compileWide(asked?: boolean): WebAssembly.Module | undefined {
  const isRight = (module: WebAssembly.Module) =>
    multipliesFloatsRight(module) && addsProductsRight(module) && attendsRight(module) && derivesRight(module);
  return platform().compileWide?.(() => decode(WIDE), isRight, asked ?? false);
}

/** The module's functions and their places in the kernels' table. */
export const WIDE_FUNCTIONS: Readonly<Record<string, number>> = {
  multiply: WIDE_SLOT,
  scoreWide: WIDE_SCORES,
  softmaxWide: WIDE_SOFTMAX,
  addWide: WIDE_ADD,
  floatsWide: WIDE_FLOATS,
  productWide: WIDE_PRODUCT,
  scoreBlockWide: WIDE_BLOCK_SCORES,
  scoreRowsWide: WIDE_ROW_SCORES,
  weighWide: WIDE_WEIGHTS,
  addToRowsWide: WIDE_TO_ROWS,
  addToKeysWide: WIDE_TO_KEYS,
};

/** Puts the module's functions where the kernels of `instance` call them. kernel-thread.ts does the same in its script. */
export function installWide(
  instance: WebAssembly.Instance,
  wide: WebAssembly.Module,
  memory: WebAssembly.Memory,
): void {
  const { table } = instance.exports;
  if (!(table instanceof WebAssembly.Table)) throw new InternalError("The kernels' module does not export its table.");
  const made = new WebAssembly.Instance(wide, { env: { memory } });
  for (const [name, slot] of Object.entries(WIDE_FUNCTIONS)) {
    if (table.length <= slot) table.grow(slot + 1 - table.length);
    table.set(slot, kernelFunction(made, name));
  }
}

// The problem: 16 rows, two blocks of 32 columns, 12 tokens (a whole group, and half of a second that the kernel must
// find). All numbers are small enough that their sums are whole numbers below 2^24, exact in f32.
const ROWS = 16;
const COLUMNS = 64;
const TOKENS = 12;
const ZERO = 128;
const STRIDE = 4096;

const weightOf = (row: number, k: number) => (k * 89 + row * 37 + 11) & 255;
const activationOf = (token: number, k: number) => ((k * 67 + token * 29 + 5) % 255) - 127;
/** Of block or half `part`: powers of two, different in neighbouring lanes. */
const scaleOf = (row: number, part: number) => 1 << ((row + part) & 1);
const tokenScaleOf = (token: number, block: number) => 1 << ((token + block) & 1);
const offsetOf = (row: number, part: number) => ((row * 5 + part * 3) & 31) - 16;
const sumOf = (token: number, part: number) => ((token * 7 + part * 11) & 63) - 32;

/** What the kernel must find for one row and token; `parts` scales and offsets, each for COLUMNS / parts columns. */
function exact(row: number, token: number, parts: number): number {
  let sum = 0;
  for (let k = 0; k < COLUMNS; k++) {
    const part = Math.floor((k * parts) / COLUMNS);
    const scales = scaleOf(row, part) * tokenScaleOf(token, k >> 5);
    sum += (weightOf(row, k) - ZERO) * activationOf(token, k) * scales;
  }
  for (let part = 0; part < parts; part++) sum += offsetOf(row, part) * sumOf(token, part);
  return sum;
}

/** Where the problem lies in a memory. */
const AT = { panel: 1024, scales: 8192, offsets: 9216, groups: 16384, sums: 32768 };
// Places in a group: integers, scales, negative sums of pairs, sums (see kernels/quantise-bytes.ts).
const GROUP = { scales: 1024, less: 1536, sums: 2048 };

function layOut(memory: WebAssembly.Memory, parts: number): void {
  const bytes = new Uint8Array(memory.buffer);
  const floats = new Float32Array(memory.buffer);
  const pairs = new Int16Array(memory.buffer);
  bytes.fill(0);
  for (let row = 0; row < ROWS; row++) {
    for (let k = 0; k < COLUMNS; k++) bytes[AT.panel + (k >> 2) * 64 + row * 4 + (k & 3)] = weightOf(row, k);
    for (let part = 0; part < parts; part++) {
      floats[AT.scales / 4 + part * ROWS + row] = scaleOf(row, part);
      floats[AT.offsets / 4 + part * ROWS + row] = offsetOf(row, part);
    }
  }
  for (let token = 0; token < TOKENS; token++) {
    const at = AT.groups + (token >> 3) * STRIDE + (token & 7) * 4;
    for (let k = 0; k < COLUMNS; k++) {
      bytes[at + (k >> 2) * 32 + (k & 3)] = activationOf(token, k);
      const part = Math.floor((k * parts) / COLUMNS);
      pairs[(at + GROUP.less) / 2 + part * 16 + ((k >> 1) & 1)] -= activationOf(token, k);
      floats[(at + GROUP.scales) / 4 + (k >> 5) * 8] = tokenScaleOf(token, k >> 5);
    }
    for (let part = 0; part < parts; part++) floats[(at + GROUP.sums) / 4 + part * 8] = sumOf(token, part);
  }
}

/** Whether the module's products of bytes are exact (x64 with VNNI), with a scale for each block and for each half of one. */
export function multipliesRight(wide: WebAssembly.Module): boolean {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const multiply = kernelFunction(new WebAssembly.Instance(wide, { env: { memory } }), "multiply");
  const { panel, scales, offsets, groups, sums } = AT;
  for (const shift of [0, 1]) {
    const parts = 2 << shift;
    layOut(memory, parts);
    const group = [groups, groups + GROUP.scales, groups + GROUP.less, groups + GROUP.sums];
    multiply(panel, scales, offsets, parts, shift, parts, ...group, STRIDE, ZERO, TOKENS, sums);
    const found = new Float32Array(memory.buffer, sums, TOKENS * ROWS);
    if (!found.every((value, i) => value === exact(i % ROWS, Math.floor(i / ROWS), parts))) return false;
  }
  return true;
}

/** Whether its products of floats are exact: whole numbers, 13 tokens (whole groups and a part of one), 5 columns. */
export function multipliesFloatsRight(wide: WebAssembly.Module): boolean {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const floatsWide = kernelFunction(new WebAssembly.Instance(wide, { env: { memory } }), "floatsWide");
  const [columns, tokens, stride] = [5, 13, 32];
  const floats = new Float32Array(memory.buffer);
  const { panel, groups, sums } = AT;
  for (let k = 0; k < columns; k++) {
    for (let row = 0; row < ROWS; row++) floats[panel / 4 + k * ROWS + row] = weightOf(row, k);
    for (let token = 0; token < tokens; token++) floats[(groups + token * stride) / 4 + k] = activationOf(token, k);
  }
  floatsWide(panel, columns, groups, stride, tokens, sums);
  const found = new Float32Array(memory.buffer, sums, tokens * ROWS);
  const exact = (row: number, token: number) =>
    Array.from({ length: columns }, (_, k) => weightOf(row, k) * activationOf(token, k)).reduce((a, b) => a + b);
  return found.every((value, i) => value === exact(i % ROWS, Math.floor(i / ROWS)));
}

/** Whether its products in training are exact: whole numbers, 2 groups of four rows, 5 steps, added to what is there. */
export function addsProductsRight(wide: WebAssembly.Module): boolean {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const productWide = kernelFunction(new WebAssembly.Instance(wide, { env: { memory } }), "productWide");
  const [count, rows, stride] = [5, 8, 96];
  const floats = new Float32Array(memory.buffer);
  const { panel, groups, sums } = AT;
  for (let k = 0; k < count; k++) {
    for (let column = 0; column < ROWS; column++) floats[panel / 4 + k * ROWS + column] = weightOf(column, k);
    for (let row = 0; row < rows; row++) {
      floats[(groups + (row >> 2) * stride) / 4 + k * 4 + (row & 3)] = activationOf(row, k);
    }
  }
  const found = new Float32Array(memory.buffer, sums, rows * ROWS).fill(ZERO);
  productWide(panel, count, groups, stride, rows / 4, sums);
  const exact = (column: number, row: number) =>
    Array.from({ length: count }, (_, k) => weightOf(column, k) * activationOf(row, k)).reduce((a, b) => a + b);
  return found.every((value, i) => value === ZERO + exact(i % ROWS, Math.floor(i / ROWS)));
}
