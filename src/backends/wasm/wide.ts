/**
 * The wide module (kernels/wide.ts): the inner loops of prefill and attention, which some engines can compile to 256-bit
 * vectors. The compiler that does it is not meant for all code yet, so what it made is believed only when it computes right
 * here: floats and attention as a whole, products of integers each by itself (wide-integers.ts).
 */
import {
  WIDE_ADD,
  WIDE_ADD_FOUR_ROWS,
  WIDE_ADD_NIBBLES,
  WIDE_ADD_ONE_ROW,
  WIDE_ADD_TWO_ROWS,
  WIDE_BLOCK_SCORES,
  WIDE_FLOATS,
  WIDE_NIBBLES,
  WIDE_PLANES,
  WIDE_PRODUCT,
  WIDE_ROW_SCORES,
  WIDE_SCORE_FOUR_ROWS,
  WIDE_SCORE_NIBBLES,
  WIDE_SCORE_ONE_ROW,
  WIDE_SCORE_TWO_ROWS,
  WIDE_SCORES,
  WIDE_SIXTEEN,
  WIDE_SLOT,
  WIDE_SOFTMAX,
  WIDE_TO_KEYS,
  WIDE_TO_ROWS,
  WIDE_WEIGH_NIBBLES,
  WIDE_WEIGHTS,
} from "../../../kernels/abi.js";
import { InternalError } from "../../util/errors.js";
import { platform } from "../../util/platform.js";
import { WIDE } from "./generated/kernels.js";
import { decode, kernelFunction } from "./module.js";
import { attendsRight } from "./wide-attention.js";
import { wideProducts } from "./wide-integers.js";
import { multipliesPlanesRight } from "./wide-planes.js";
import { derivesRight } from "./wide-training.js";

/** The module, compiled to 256-bit vectors and tried out; once for all models. `asked`: see Platform.compileWide. */
export function compileWide(asked?: boolean): WebAssembly.Module | undefined {
  const isRight = (module: WebAssembly.Module) => {
    // Whatever it says: a function that is not called here is not compiled to 256-bit vectors.
    wideProducts(module);
    const floats = multipliesFloatsRight(module) && addsProductsRight(module);
    return floats && multipliesPlanesRight(module) && attendsRight(module) && derivesRight(module);
  };
  return platform().compileWide?.(() => decode(WIDE), isRight, asked ?? false);
}

/** The module's functions and their places in the kernels' table. */
export const WIDE_FUNCTIONS: Readonly<Record<string, number>> = {
  multiply: WIDE_SLOT,
  multiplyNibbles: WIDE_NIBBLES,
  multiplySixteen: WIDE_SIXTEEN,
  scoreWide: WIDE_SCORES,
  softmaxWide: WIDE_SOFTMAX,
  addWide: WIDE_ADD,
  floatsWide: WIDE_FLOATS,
  planesWide: WIDE_PLANES,
  productWide: WIDE_PRODUCT,
  scoreBlockWide: WIDE_BLOCK_SCORES,
  scoreRowsWide: WIDE_ROW_SCORES,
  weighWide: WIDE_WEIGHTS,
  addToRowsWide: WIDE_TO_ROWS,
  addToKeysWide: WIDE_TO_KEYS,
  scoreOneRow: WIDE_SCORE_ONE_ROW,
  addOneRow: WIDE_ADD_ONE_ROW,
  scoreTwoRows: WIDE_SCORE_TWO_ROWS,
  addTwoRows: WIDE_ADD_TWO_ROWS,
  scoreFourRows: WIDE_SCORE_FOUR_ROWS,
  addFourRows: WIDE_ADD_FOUR_ROWS,
  scoreNibbles4: WIDE_SCORE_NIBBLES,
  addNibbles4: WIDE_ADD_NIBBLES,
  weighNibbles: WIDE_WEIGH_NIBBLES,
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

// The problems of floats: small whole numbers, in these places.
const ROWS = 16;
const BEFORE = 128;
const AT = { panel: 1024, groups: 16384, sums: 32768 };
const weightOf = (row: number, k: number) => (k * 89 + row * 37 + 11) & 255;
const activationOf = (token: number, k: number) => ((k * 67 + token * 29 + 5) % 255) - 127;

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
  const found = new Float32Array(memory.buffer, sums, rows * ROWS).fill(BEFORE);
  productWide(panel, count, groups, stride, rows / 4, sums);
  const exact = (column: number, row: number) =>
    Array.from({ length: count }, (_, k) => weightOf(column, k) * activationOf(row, k)).reduce((a, b) => a + b);
  return found.every((value, i) => value === BEFORE + exact(i % ROWS, Math.floor(i / ROWS)));
}
