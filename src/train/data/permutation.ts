/**
 * A random order of 0 .. n-1 without a table: a Feistel network permutes the numbers of an even number of bits, and results
 * beyond n are permuted on until they fall below it (cycle walking: Black and Rogaway 2002).
 */
import type { Random } from "../../util/random.js";

const ROUNDS = 6;

/** The function from places to numbers; `size` from 1 to 2^52. */
export function permutation(size: number, random: Random): (place: number) => number {
  const bits = Math.max(1, Math.ceil(Math.log2(Math.max(size, 2)) / 2));
  const half = 2 ** bits;
  const keys = Array.from({ length: ROUNDS }, () => random.uint32());
  const permuted = (number: number): number => {
    let left = Math.floor(number / half);
    let right = number % half;
    for (const key of keys) {
      const mixed = (left ^ (mix(right ^ key) & (half - 1))) >>> 0;
      left = right;
      right = mixed;
    }
    return left * half + right;
  };
  return (place) => {
    let number = permuted(place);
    while (number >= size) number = permuted(number);
    return number;
  };
}

/** The finaliser of MurmurHash3. */
function mix(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
