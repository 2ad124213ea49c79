/**
 * Seeded random numbers: xoshiro128** (Blackman and Vigna, https://prng.di.unimi.it/xoshiro128starstar.c) on 32-bit
 * integers, so that a seed gives the same draws on every platform. Not for secrets.
 */
import { ArgumentError } from "./errors.js";

/** A stream of random numbers that its seed determines. */
export class Random {
  private readonly words = new Uint32Array(4);

  /** @param seed an integer from 0 to 2^53 - 1. @throws ArgumentError */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new ArgumentError(`A seed must be an integer from 0 to 2^53 - 1; found ${seed}.`, { seed });
    }
    const low = mix(seed >>> 0);
    const high = mix((Math.floor(seed / 2 ** 32) ^ 0x9e3779b9) >>> 0);
    for (let i = 0; i < 4; i++) this.words[i] = mix((low + Math.imul(i + 1, 0x9e3779b9)) ^ mix(high + i));
    // The all-zero state is the one that the generator never leaves.
    if (this.words.every((word) => word === 0)) this.words[0] = 1;
  }

  /** A generator that continues from a known state of four 32-bit words, not all zero. @throws ArgumentError */
  static fromState(state: ArrayLike<number>): Random {
    const random = new Random(0);
    random.words.set([state[0] ?? 0, state[1] ?? 0, state[2] ?? 0, state[3] ?? 0]);
    if (state.length !== 4 || random.words.every((word) => word === 0)) {
      throw new ArgumentError("The state of a generator is four 32-bit words, not all zero.");
    }
    return random;
  }

  /** The state, to continue from with `fromState`. */
  state(): Uint32Array {
    return this.words.slice();
  }

  /** An integer from 0 to 2^32 - 1. */
  uint32(): number {
    const s = this.words;
    const product = Math.imul(s[1], 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  /** A double in [0, 1) with 53 random bits. */
  double(): number {
    const high = this.uint32() >>> 5;
    const low = this.uint32() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  /** An integer in [0, bound), every one equally likely; bound from 1 to 2^32. */
  below(bound: number): number {
    // Draws from the incomplete last stretch are thrown away: it would favour small numbers.
    const limit = 2 ** 32 - (2 ** 32 % bound);
    let draw = this.uint32();
    while (draw >= limit) draw = this.uint32();
    return draw % bound;
  }
}

/** A seed that nobody chose, from the platform's source of randomness. */
export function randomSeed(): number {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return (words[0] >>> 11) * 2 ** 32 + words[1];
}

/** The finaliser of MurmurHash3: a bijection on 32 bits that changes half of the output bits per input bit. */
function mix(word: number): number {
  let h = word >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
