/**
 * Forms that are forced, for tests and the bench alone: SLUICE_FORM in the environment (Platform.forcedForm) holds words with
 * commas between them, of `sixteen`, `nibbles`, `bytes` (how many tokens meet quantised weights) and `128`, `256` (bits of the
 * vectors). So every machine can try what others run by themselves. What it cannot compute exactly is refused.
 */
import {
  BYTES_FOUR,
  BYTES_NIBBLES,
  BYTES_WIDE,
  NIBBLES_WIDE,
  SIXTEEN_BITS,
  SIXTEEN_WIDE,
} from "../../../kernels/abi.js";
import { ArgumentError, UnsupportedError } from "../../util/errors.js";
import { platform } from "../../util/platform.js";
import type { ByteForm, WideProducts } from "./byte-form.js";
import type { KernelFunction } from "./module.js";

const PRODUCTS = ["sixteen", "nibbles", "bytes"] as const;
const BITS = ["128", "256"] as const;

export interface ForcedForm {
  readonly products?: (typeof PRODUCTS)[number] | undefined;
  readonly bits?: (typeof BITS)[number] | undefined;
}

/** What the environment forces. @throws ArgumentError */
export function forcedForm(): ForcedForm {
  return parseForm(platform().forcedForm ?? "");
}

/** For a backend whose options exclude relaxed SIMD: products that need it stay out, as vectors of 256 bits do. */
export function withoutRelaxed({ products, bits }: ForcedForm): ForcedForm {
  return { products: products === "sixteen" ? products : undefined, bits };
}

/** @throws ArgumentError for a word that is none, or two of a kind */
export function parseForm(text: string): ForcedForm {
  const words = text === "" ? [] : text.split(",").map((word) => word.trim());
  const known: readonly string[] = [...PRODUCTS, ...BITS];
  const wrong = words.find((word) => !known.includes(word));
  const products = PRODUCTS.filter((word) => words.includes(word));
  const bits = BITS.filter((word) => words.includes(word));
  if (wrong === undefined && words.length === products.slice(0, 1).length + bits.slice(0, 1).length) {
    return { products: products[0], bits: bits[0] };
  }
  throw new ArgumentError(
    `SLUICE_FORM: expected one of ${PRODUCTS.join(", ")}, or one of ${BITS.join(", ")}, or both with a comma between; ` +
      `found '${text}'.`,
    { found: text },
  );
}

/**
 * The wide module that a backend gets: `compile` gives it where this process has it. `may`: whether the backend's options
 * allow one. @throws UnsupportedError where 256 bits are forced and there are none
 */
export function forceBits(
  { bits }: ForcedForm,
  may: boolean,
  compile: (asked?: boolean) => WebAssembly.Module | undefined,
): WebAssembly.Module | undefined {
  if (!may || bits === "128") return undefined;
  if (bits === undefined) return compile();
  const wide = compile(true);
  if (wide) return wide;
  const why = platform().whyNotWide?.()?.message ?? "This runtime has none.";
  throw new UnsupportedError(`SLUICE_FORM forces 256-bit vectors, which are not to be had here. ${why}`, {
    form: bits,
  });
}

/** What the engine does: see byteForm. */
export interface FormEngine {
  readonly probe: KernelFunction;
  /** The kernels have relaxed SIMD. */
  readonly relaxed: boolean;
  readonly wide: WideProducts;
  /** The wide module is there, whatever it is exact for. */
  readonly hasWide: boolean;
}

/** The forced form, or `own`. @throws UnsupportedError for one that is not exact here */
export function forceProducts({ products }: ForcedForm, own: ByteForm, engine: FormEngine): ByteForm {
  if (products === undefined) return own;
  const sixteen = engine.wide.sixteen ? SIXTEEN_WIDE : SIXTEEN_BITS;
  if (products === "sixteen") return { form: sixteen, largest: 0, sixteen };
  const refuse = (why: string) =>
    new UnsupportedError(`SLUICE_FORM forces '${products}', which is not exact here: ${why}`, { form: products });
  if (!engine.relaxed) throw refuse("this engine, or this build of the kernels, has no relaxed SIMD.");
  // Sums stay in 16 bits, and weights in 7, so that every engine multiplies them alike.
  if (products === "nibbles") return { form: engine.wide.nibbles ? NIBBLES_WIDE : BYTES_NIBBLES, largest: 63, sixteen };
  const exact = (weight: number) => engine.probe(weight) - 100 === 508 * weight;
  if (!exact(127)) throw refuse("the relaxed product of bytes is not exact even with weights of 7 bits.");
  // Weights of 7 bits are exact in the wide module too, also where it was not found so for all bytes.
  return { form: engine.hasWide ? BYTES_WIDE : BYTES_FOUR, largest: exact(255) ? 255 : 127, sixteen };
}
