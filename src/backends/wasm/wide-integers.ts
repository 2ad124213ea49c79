/**
 * Small problems that the wide module's products of integers (kernels/linear/wide-integers.ts) must solve exactly before they are
 * used, each form by itself: products of bytes in 32 bits are exact on some processors only. Among the operands are the
 * largest of both signs in a whole row and a whole token, so that sums that saturate, or end too early in 16 bits, are found.
 */
import type { WideProducts } from "./byte-form.js";
import { kernelFunction } from "./module.js";

// 16 rows, two blocks of 32 columns, 12 tokens (a whole group, and half of a second that the kernel must find). All sums, of
// extremes too, are numbers that f32 holds exactly.
const ROWS = 16;
const COLUMNS = 64;
const TOKENS = 12;
const STRIDE = 4096;

/** Where the problem lies in a memory. */
const AT = { panel: 1024, scales: 8192, offsets: 9216, groups: 16384, sums: 32768 };
// Places in a group: integers, scales, negative sums of pairs, sums (see kernels/quantise/quantise-bytes.ts and -pairs.ts).
const GROUP = { scales: 1024, less: 1536, sums: 2048 };

interface Trial {
  /** Stored weights are from `least` to `most`, worth `zero` less. */
  readonly least: number;
  readonly most: number;
  readonly zero: number;
  /** The largest magnitude of an activation. */
  readonly activations: number;
  /** Scales of weights in the problem, and offsets; 0: there are no offsets. */
  readonly parts: number;
  readonly offsets: number;
}

/** In bytes: the largest that each form takes, with a scale for each block and for each half of one. */
const BYTES = { least: 0, activations: 127 };
const WORDS: readonly Trial[] = [2, 4].map((parts) => ({ ...BYTES, most: 255, zero: 128, parts, offsets: parts }));
const NIBBLES: readonly Trial[] = [
  { ...BYTES, most: 31, zero: 16, parts: 2, offsets: 2 },
  { ...BYTES, most: 63, zero: 32, parts: 4, offsets: 4 },
];
const SIXTEEN: readonly Trial[] = [
  { least: -128, most: 127, zero: 0, activations: 127, parts: 2, offsets: 4 },
  { least: -4096, most: 4096, zero: 0, activations: 16383, parts: 2, offsets: 0 },
];

const weightOf = ({ least, most, offsets }: Trial, row: number, k: number) => {
  if (row === 5) return most;
  if (row === 10) return least;
  // Of the largest integers only sums of equal ones stay exact.
  return offsets === 0 ? 0 : least + ((k * 89 + row * 37 + 11) % (most - least + 1));
};
const activationOf = ({ activations }: Trial, token: number, k: number) => {
  if (token === 2) return activations;
  if (token === 7) return -activations;
  return ((k * 67 + token * 29 + 5) % 255) - 127;
};
/** Of block or half `part`: powers of two, different in neighbouring lanes. */
const scaleOf = (row: number, part: number) => 1 << ((row + part) & 1);
const tokenScaleOf = (token: number, block: number) => 1 << ((token + block) & 1);
const offsetOf = (row: number, part: number) => ((row * 5 + part * 3) & 31) - 16;
const sumOf = (token: number, part: number) => ((token * 7 + part * 11) & 63) - 32;
const partOf = (parts: number, k: number) => Math.floor((k * parts) / COLUMNS);

/** What the kernel must find for one row and token. */
function exact(trial: Trial, row: number, token: number): number {
  let sum = 0;
  for (let k = 0; k < COLUMNS; k++) {
    const scales = scaleOf(row, partOf(trial.parts, k)) * tokenScaleOf(token, k >> 5);
    sum += (weightOf(trial, row, k) - trial.zero) * activationOf(trial, token, k) * scales;
  }
  for (let part = 0; part < trial.offsets; part++) sum += offsetOf(row, part) * sumOf(token, part);
  return sum;
}

/** `Numbers` lie four bytes together: two or four columns of a row or token. */
function layOut(memory: WebAssembly.Memory, trial: Trial, numbers: Int8Array | Int16Array): void {
  const floats = new Float32Array(memory.buffer);
  const pairs = new Int16Array(memory.buffer);
  const { parts, offsets } = trial;
  const size = numbers.BYTES_PER_ELEMENT;
  const width = 4 / size;
  /** The place of column k of a row or token in lines of `lanes` words. */
  const place = (start: number, lanes: number, lane: number, k: number) =>
    start / size + (Math.floor(k / width) * lanes + lane) * width + (k % width);
  new Uint8Array(memory.buffer).fill(0);
  for (let row = 0; row < ROWS; row++) {
    for (let k = 0; k < COLUMNS; k++) numbers[place(AT.panel, ROWS, row, k)] = weightOf(trial, row, k);
    for (let part = 0; part < parts; part++) floats[AT.scales / 4 + part * ROWS + row] = scaleOf(row, part);
    for (let part = 0; part < offsets; part++) floats[AT.offsets / 4 + part * ROWS + row] = offsetOf(row, part);
  }
  for (let token = 0; token < TOKENS; token++) {
    const group = AT.groups + (token >> 3) * STRIDE;
    const at = group + (token & 7) * 4;
    for (let k = 0; k < COLUMNS; k++) {
      const activation = activationOf(trial, token, k);
      numbers[place(group, 8, token & 7, k)] = activation;
      pairs[(at + GROUP.less) / 2 + partOf(parts, k) * 16 + ((k >> 1) & 1)] -= activation;
      floats[(at + GROUP.scales) / 4 + (k >> 5) * 8] = tokenScaleOf(token, k >> 5);
    }
    for (let part = 0; part < offsets; part++) floats[(at + GROUP.sums) / 4 + part * 8] = sumOf(token, part);
  }
}

/** Whether what the kernel left is exact for every row and token. */
function isExact(memory: WebAssembly.Memory, trial: Trial): boolean {
  const found = new Float32Array(memory.buffer, AT.sums, TOKENS * ROWS);
  return found.every((value, i) => value === exact(trial, i % ROWS, Math.floor(i / ROWS)));
}

/** Every trial is made, whatever those before it said: a function that is not called is not compiled to 256-bit vectors. */
function passes(trials: readonly Trial[], solve: (trial: Trial) => boolean): boolean {
  return trials.map(solve).every(Boolean);
}

/** Which of the module's products of integers are exact. */
export function wideProducts(wide: WebAssembly.Module): WideProducts {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const instance = new WebAssembly.Instance(wide, { env: { memory } });
  const { panel, scales, offsets, groups, sums } = AT;
  const [xScales, less, xSums] = [groups + GROUP.scales, groups + GROUP.less, groups + GROUP.sums];
  const bytes = (name: string) => {
    const multiply = kernelFunction(instance, name);
    return (trial: Trial) => {
      layOut(memory, trial, new Int8Array(memory.buffer));
      const shift = trial.parts === 4 ? 1 : 0;
      const weights = [panel, scales, offsets, trial.parts, shift, trial.offsets];
      multiply(...weights, groups, xScales, less, xSums, STRIDE, trial.zero, 1, TOKENS, sums);
      return isExact(memory, trial);
    };
  };
  const multiplySixteen = kernelFunction(instance, "multiplySixteen");
  const sixteen = (trial: Trial) => {
    layOut(memory, trial, new Int16Array(memory.buffer));
    const weights = [panel, scales, offsets, trial.parts, trial.offsets];
    multiplySixteen(...weights, groups, xScales, xSums, STRIDE, TOKENS, sums);
    return isExact(memory, trial);
  };
  return {
    words: passes(WORDS, bytes("multiply")),
    nibbles: passes(NIBBLES, bytes("multiplyNibbles")),
    sixteen: passes(SIXTEEN, sixteen),
  };
}
