/**
 * Finds infinities and NaN in stored weights without unpacking them: in floats every number is looked at, in blocks only
 * what all numbers of a block are multiplied by or shifted by, since 4 to 8 bits have no infinity. By integer tests alone:
 * the exponent's bits are all ones where adding one to them carries.
 */
import { DTYPES, type DType } from "../tensor/dtype.js";
import { ArgumentError } from "../util/errors.js";

/** Where the halves lie in a block, in bytes. */
const HALVES: Readonly<Partial<Record<DType, readonly number[]>>> = {
  q4_0: [0],
  q4_1: [0, 2],
  q5_0: [0],
  q5_1: [0, 2],
  q8_0: [0],
  q2_k: [80, 82],
  q3_k: [108],
  q4_k: [0, 2],
  q5_k: [0, 2],
  q6_k: [208],
  iq4_nl: [0],
};

/** Of a word of floats: the bits of its exponents, the lowest of each, and where adding that carries to. */
interface Exponents {
  readonly mask: number;
  readonly lowest: number;
  readonly carried: number;
}
const FLOATS: Readonly<Partial<Record<DType, Exponents>>> = {
  f32: { mask: 0x7f800000, lowest: 0x00800000, carried: 0x80000000 },
  f16: { mask: 0x7c007c00, lowest: 0x04000400, carried: 0x80008000 },
  bf16: { mask: 0x7f807f80, lowest: 0x00800080, carried: 0x80008000 },
};

/** MXFP4's scale that is NaN (OCP Microscaling Formats 1.0, 5.4.1). */
const NO_EXPONENT = 255;
/** Words that are looked at together. */
const RUN = 1024;

/**
 * The first block (number, where blocks have one) in `bytes`, whole blocks, that holds an infinity or a NaN; -1: none does.
 * @throws ArgumentError for bytes that are no whole blocks
 */
export function firstNonFinite(dtype: DType, bytes: Uint8Array): number {
  const { blockBytes } = DTYPES[dtype];
  if (bytes.length % blockBytes !== 0) {
    throw new ArgumentError(`Blocks of ${dtype} have ${blockBytes} bytes; found ${bytes.length}.`);
  }
  const floats = FLOATS[dtype];
  if (floats) return firstFloat(aligned(bytes, 4), floats, blockBytes);
  let first = -1;
  if (dtype === "mxfp4") first = firstExponent(bytes, blockBytes);
  for (const at of HALVES[dtype] ?? []) {
    const found = firstHalf(aligned(bytes, 2), at / 2, blockBytes / 2);
    if (found >= 0 && (first < 0 || found < first)) first = found;
  }
  return first;
}

/** The index of the first infinity or NaN; -1: there is none. */
export function firstNonFiniteNumber(numbers: Float32Array): number {
  return firstNonFinite("f32", new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
}

/** The bytes themselves where a view of larger numbers may begin there, else a copy. */
function aligned(bytes: Uint8Array, multiple: number): Uint8Array {
  return bytes.byteOffset % multiple === 0 ? bytes : bytes.slice();
}

function firstFloat(bytes: Uint8Array, exponents: Exponents, size: number): number {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  const mask = exponents.mask | 0;
  const lowest = exponents.lowest | 0;
  const carried = exponents.carried | 0;
  for (let start = 0; start < words.length; start += RUN) {
    const end = Math.min(words.length, start + RUN);
    let [a, b, c, d] = [0, 0, 0, 0];
    let i = start;
    for (; i + 4 <= end; i += 4) {
      a |= (words[i] & mask) + lowest;
      b |= (words[i + 1] & mask) + lowest;
      c |= (words[i + 2] & mask) + lowest;
      d |= (words[i + 3] & mask) + lowest;
    }
    for (; i < end; i++) a |= (words[i] & mask) + lowest;
    if ((a | b | c | d) & carried) return firstIn(bytes, start * 4, end * 4, size, exponents);
  }
  return firstIn(bytes, words.length * 4, bytes.length, size, exponents);
}

/** The first in bytes [start, end), one number after the other. */
function firstIn(bytes: Uint8Array, start: number, end: number, size: number, { mask }: Exponents): number {
  const upper = mask >>> 16;
  for (let at = start; at < end; at += size) {
    const top = bytes[at + size - 2] | (bytes[at + size - 1] << 8);
    if ((top & upper) === upper) return at / size;
  }
  return -1;
}

/** `at` and `step` in halves. */
function firstHalf(bytes: Uint8Array, at: number, step: number): number {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 1);
  for (let i = at; i < halves.length; i += step) {
    if ((halves[i] & 0x7c00) === 0x7c00) return (i - at) / step;
  }
  return -1;
}

function firstExponent(bytes: Uint8Array, step: number): number {
  for (let i = 0; i < bytes.length; i += step) {
    if (bytes[i] === NO_EXPONENT) return i / step;
  }
  return -1;
}
