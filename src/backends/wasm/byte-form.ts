/**
 * Which form of the matrix products an engine should run. Products of many tokens (prefill) take activations of 8 bits
 * where that is exact and faster than 16; few tokens (decode) always take 16, which cost nothing there.
 */
import {
  BYTES_FOUR,
  BYTES_NIBBLES,
  BYTES_WIDE,
  FLOATS_WIDE,
  NIBBLES_WIDE,
  PLANES,
  PLANES_WIDE,
  PLANES_WORDS,
  SIXTEEN_BITS,
  SIXTEEN_WIDE,
  STREAMED,
} from "../../../kernels/abi.js";
import { DTYPES, type DType } from "../../tensor/dtype.js";
import type { KernelFunction } from "./module.js";

/** The largest stored integer of each format, as kernels/quantise/unpack-bytes.ts makes it. */
const LARGEST: Partial<Record<DType, number>> = {
  q2_k: 3,
  q3_k: 7,
  q4_0: 15,
  q4_1: 15,
  q4_k: 15,
  q5_0: 31,
  q5_1: 31,
  q5_k: 31,
  q6_k: 63,
  mxfp4: 24,
};

/** A form for formats whose integers are at most `largest`; 0: for none. The others take 16 bits, in the form `sixteen`. */
export interface ByteForm {
  readonly form: number;
  readonly largest: number;
  readonly sixteen: number;
}

/** Which products of integers the wide module computes exactly: each was tried by itself. */
export interface WideProducts {
  /** Of bytes, in 32 bits. */
  readonly words: boolean;
  /** Of bytes whose sums fit 16 bits. */
  readonly nibbles: boolean;
  readonly sixteen: boolean;
}

/** Without the module. */
export const NO_WIDE: WideProducts = { words: false, nibbles: false, sixteen: false };

/** Of kernels without relaxed SIMD. */
export const SIXTEEN: ByteForm = { form: SIXTEEN_BITS, largest: 0, sixteen: SIXTEEN_BITS };

/** 16 bits for many tokens too. What is known of the engine stays: few tokens meet a weight by eights as it says. */
export function preciseForm({ form, sixteen }: ByteForm): ByteForm {
  return { form, largest: 0, sixteen };
}

/**
 * The engine's form, by what its relaxed product of bytes does with operands beyond 7 bits: `probe` is the kernel
 * probeBytes, `wide` what the wide module is good for.
 */
export function byteForm(probe: KernelFunction, wide: WideProducts): ByteForm {
  const found = (weight: number) => probe(weight) - 100;
  const exact = found(127) === 508 * 127;
  const sixteen = wide.sixteen ? SIXTEEN_WIDE : SIXTEEN_BITS;
  // One instruction for unsigned times signed bytes (x86 with VNNI): all formats.
  if (exact && found(255) === 508 * 255) return { form: wide.words ? BYTES_WIDE : BYTES_FOUR, largest: 255, sixteen };
  // One instruction for signed bytes (ARM).
  if (exact && found(255) === -508) return { form: BYTES_FOUR, largest: 127, sixteen };
  // Two multiplications, the first in 16 bits with saturation (x86): pays only while sums stay in 16 bits.
  return { form: wide.nibbles ? NIBBLES_WIDE : BYTES_NIBBLES, largest: 63, sixteen };
}

/**
 * Who reads a weight in a product: tokens of sequences that read few in this step (decode), or many (prefill). The form
 * of the product follows from that alone, so a token's numbers do not depend on what other sequences read beside it.
 */
export type Readers = "few" | "many";

/** The form of a product with a weight of floats; `wide`: where the wide module is there, which gives the same bits. */
export function floatForm(wide: boolean, readers: Readers): number {
  if (readers === "few") return STREAMED;
  return wide ? FLOATS_WIDE : SIXTEEN_BITS;
}

/**
 * The form in which few tokens meet a weight that lies by eights: all give the same bits. The wide module's sums have 16 bits,
 * and yet it takes fewer instructions than 128-bit vectors with sums of 32, the choice where the engine's product of bytes is
 * one instruction.
 */
export function planesForm({ form }: ByteForm, wide: boolean): number {
  if (wide) return PLANES_WIDE;
  return form === BYTES_FOUR || form === BYTES_WIDE ? PLANES_WORDS : PLANES;
}

/** The form of a product with a quantised weight that lies as in its file; of many tokens, however it lies. */
export function formFor({ form, largest, sixteen }: ByteForm, dtype: DType, readers: Readers): number {
  if (readers === "few") return STREAMED;
  if (DTYPES[dtype].blockSize === 1) return SIXTEEN_BITS;
  return (LARGEST[dtype] ?? 255) <= largest ? form : sixteen;
}
