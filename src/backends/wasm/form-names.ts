/** What forms of the matrix products (kernels/abi.ts) are called where they are told: by the bench, and in SLUICE_FORM. */
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

const NAMES: Readonly<Record<number, string>> = {
  [SIXTEEN_BITS]: "sixteen",
  [BYTES_NIBBLES]: "nibbles",
  [BYTES_FOUR]: "bytes",
  [BYTES_WIDE]: "bytes in 256 bits",
  [FLOATS_WIDE]: "floats in 256 bits",
  [PLANES]: "planes",
  [PLANES_WORDS]: "planes of 32-bit sums",
  [PLANES_WIDE]: "planes in 256 bits",
  [STREAMED]: "rows",
  [NIBBLES_WIDE]: "nibbles in 256 bits",
  [SIXTEEN_WIDE]: "sixteen in 256 bits",
};

/** The forms in which few tokens (decode) and many (prefill) meet a weight. */
export interface FormsInUse {
  readonly few: string;
  readonly many: string;
}

/** A form's name. */
export function formName(form: number): string {
  return NAMES[form] ?? `form ${form}`;
}
