/**
 * A small problem of attention's derivatives that the wide module (kernels/training/attend-tiles-wide.ts, attend-weights.ts) must solve
 * before it is used: seven rows (a group of four and what is left), one page of keys of which each row sees others, widths
 * with and without a rest of dims. Products are of whole numbers and must be exact.
 */
import { BLOCK_SLOTS } from "../../../kernels/abi.js";
import { kernelFunction } from "./module.js";

const ROWS = 7;
const KEYS = 16;
const WIDTHS = [32, 20];
const TOLERANCE = 1e-5;

/** Where the problem lies in a memory of one page. */
const AT = {
  x: 0,
  columns: 4096,
  scores: 8192,
  derivatives: 16384,
  weights: 18432,
  out: 20480,
  words: 28672,
  work: 32768,
} as const;
/** Places in `work`, eight lanes each, as writeWeighConstants of kernels/training/attend-weights.ts writes them. */
const CONSTANTS = [
  Math.LOG2E,
  12582912,
  12582812,
  1,
  0.6931470036506653,
  0.24022242426872253,
  0.05550733581185341,
  0.009671512991189957,
  0.001326472731307149,
];

const numberOf = (row: number, d: number) => ((row * 5 + d * 3) % 9) - 4;
const keyOf = (key: number, d: number) => ((key * 7 + d * 5) % 11) - 5;
const weightOf = (row: number, key: number) => ((row * 3 + key * 7) % 13) - 6;
const sum = (count: number, of: (i: number) => number) =>
  Array.from({ length: count }, (_, i) => of(i)).reduce((a, b) => a + b, 0);

/** Whether the module's products and weights for attention in training are right. */
export function derivesRight(wide: WebAssembly.Module): boolean {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const instance = new WebAssembly.Instance(wide, { env: { memory } });
  const products = WIDTHS.every((width) => scoresRight(instance, memory, width) && addsRight(instance, memory, width));
  return products && weighsRight(instance, memory, false) && weighsRight(instance, memory, true);
}

function fill(
  memory: WebAssembly.Memory,
  at: number,
  rows: number,
  cols: number,
  of: (r: number, c: number) => number,
) {
  const numbers = new Float32Array(memory.buffer, at, rows * cols);
  for (let i = 0; i < numbers.length; i++) numbers[i] = of(Math.floor(i / cols), i % cols);
}

/** Rows `stride` numbers apart. */
function equal(
  memory: WebAssembly.Memory,
  at: number,
  [rows, cols, stride]: readonly [number, number, number],
  of: (r: number, c: number) => number,
  tolerance = 0,
): boolean {
  const found = new Float32Array(memory.buffer, at);
  for (let row = 0; row < rows; row++) {
    for (let c = 0; c < cols; c++) if (!(Math.abs(found[row * stride + c] - of(row, c)) <= tolerance)) return false;
  }
  return true;
}

function scoresRight(instance: WebAssembly.Instance, memory: WebAssembly.Memory, width: number): boolean {
  const { x, columns, scores } = AT;
  fill(memory, x, ROWS, width, numberOf);
  fill(memory, columns, width, KEYS, (d, key) => keyOf(key, d));
  const exact = (row: number, key: number) => sum(width, (d) => numberOf(row, d) * keyOf(key, d));
  const strides = { scoreBlockWide: BLOCK_SLOTS, scoreRowsWide: KEYS };
  return Object.entries(strides).every(([name, stride]) => {
    kernelFunction(instance, name)(x, ROWS, width, columns, scores);
    return equal(memory, scores, [ROWS, KEYS, stride], exact);
  });
}

function addsRight(instance: WebAssembly.Instance, memory: WebAssembly.Memory, width: number): boolean {
  const { x, columns, weights, out } = AT;
  fill(memory, weights, ROWS, KEYS, weightOf);
  fill(memory, columns, KEYS, width, keyOf);
  fill(memory, out, ROWS, width, () => 1);
  kernelFunction(instance, "addToRowsWide")(out, ROWS, width, weights, columns);
  const ofRow = (row: number, d: number) => 1 + sum(KEYS, (key) => weightOf(row, key) * keyOf(key, d));
  if (!equal(memory, out, [ROWS, width, width], ofRow)) return false;
  fill(memory, x, ROWS, width, numberOf);
  fill(memory, out, KEYS, width, () => 1);
  kernelFunction(instance, "addToKeysWide")(out, ROWS, width, weights, x);
  const ofKey = (key: number, d: number) => 1 + sum(ROWS, (row) => weightOf(row, key) * numberOf(row, d));
  return equal(memory, out, [KEYS, width, width], ofKey);
}

function weighsRight(instance: WebAssembly.Instance, memory: WebAssembly.Memory, masked: boolean): boolean {
  const { scores, derivatives, weights, words, work } = AT;
  const floats = new Float32Array(memory.buffer);
  const integers = new Int32Array(memory.buffer);
  const score = (row: number, key: number) => weightOf(row, key) / 4;
  // A key whose bit is not set is not seen, whatever its numbers are.
  const seen = (row: number, key: number) => !masked || (row + key) % 3 > 0;
  fill(memory, scores, ROWS, KEYS, score);
  fill(memory, derivatives, ROWS, KEYS, (row, key) => (seen(row, key) ? numberOf(row, key) : Number.NaN));
  const [shifts, deltas, bits] = [words, words + 64, words + 128];
  for (let row = 0; row < ROWS; row++) {
    floats[shifts / 4 + row] = -row / 2;
    floats[deltas / 4 + row] = row - 3;
    integers[bits / 4 + row] = sum(KEYS, (key) => (seen(row, key) ? 1 << key : 0));
  }
  CONSTANTS.forEach((value, i) => {
    floats.fill(value, work / 4 + i * 8, work / 4 + i * 8 + 8);
  });
  for (let key = 0; key < KEYS; key++) integers[work / 4 + CONSTANTS.length * 8 + key] = 1 << key;
  kernelFunction(instance, "weighWide")(ROWS, scores, shifts, deltas, masked ? bits : 0, weights, derivatives, work);
  const weight = (row: number, key: number) => (seen(row, key) ? Math.exp(score(row, key)) * 2 ** (-row / 2) : 0);
  const derivative = (row: number, key: number) =>
    seen(row, key) ? weight(row, key) * (numberOf(row, key) - (row - 3)) : 0;
  const size: readonly [number, number, number] = [ROWS, KEYS, KEYS];
  const found = equal(memory, weights, size, weight, TOLERANCE);
  return found && equal(memory, derivatives, size, derivative, 8 * TOLERANCE);
}
