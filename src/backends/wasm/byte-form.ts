/**
 * Which form of the integer matrix products an engine should run. Products of many tokens (prefill) take activations of 8
 * bits where that is exact and faster than 16; few tokens (decode) always take 16, which cost nothing there.
 */
import {
  BYTES_FOUR,
  BYTES_NIBBLES,
  BYTES_WIDE,
  FLOATS_WIDE,
  PLANES,
  PLANES_WORDS,
  SIXTEEN_BITS,
} from "../../../kernels/abi.js";
import { DTYPES, type DType } from "../../tensor/dtype.js";
import type { KernelFunction } from "./module.js";

/** From this many tokens on, 8 bits are faster: measured. */
export const BYTES_FROM = 8;

/** The largest stored integer of each format, as kernels/unpack-bytes.ts makes it. */
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

/** A form for formats whose integers are at most `largest`; 0: for none, products of many tokens take 16 bits. */
export interface ByteForm {
  readonly form: number;
  readonly largest: number;
}

/** Of kernels without relaxed SIMD. */
export const SIXTEEN: ByteForm = { form: SIXTEEN_BITS, largest: 0 };

/** 16 bits for any number of tokens; what is known of the engine stays, for it decides how few tokens are multiplied. */
export function preciseForm({ form }: ByteForm): ByteForm {
  return { form, largest: 0 };
}

/**
 * The engine's form, by what its relaxed product of bytes does with operands beyond 7 bits: `probe` is the kernel
 * probeBytes, `wide` whether the wide module multiplies them exactly.
 */
export function byteForm(probe: KernelFunction, wide: boolean): ByteForm {
  const found = (weight: number) => probe(weight) - 100;
  const exact = found(127) === 508 * 127;
  // One instruction for unsigned times signed bytes (x86 with VNNI): all formats.
  if (exact && found(255) === 508 * 255) return { form: wide ? BYTES_WIDE : BYTES_FOUR, largest: 255 };
  // One instruction for signed bytes (ARM).
  if (exact && found(255) === -508) return { form: BYTES_FOUR, largest: 127 };
  // Two multiplications, the first in 16 bits with saturation (x86): pays only while sums stay in 16 bits.
  return { form: BYTES_NIBBLES, largest: 63 };
}

/**
 * The form of a product with a weight of floats, `wide`: where the wide module is there. Its function gives the same bits as
 * the kernels' own.
 */
export function floatForm(wide: boolean, tokens: number): number {
  return wide && tokens >= BYTES_FROM ? FLOATS_WIDE : SIXTEEN_BITS;
}

/**
 * The form of one product with a quantised weight. Few tokens with a weight that lies by eights take it in planes; 32-bit sums where the relaxed
 * product is one instruction.
 */
export function formFor({ form, largest }: ByteForm, dtype: DType, tokens: number, byEights = false): number {
  if (byEights && tokens < BYTES_FROM) return form === BYTES_FOUR || form === BYTES_WIDE ? PLANES_WORDS : PLANES;
  if (tokens < BYTES_FROM || DTYPES[dtype].blockSize === 1) return SIXTEEN_BITS;
  return (LARGEST[dtype] ?? 255) <= largest ? form : SIXTEEN_BITS;
}
