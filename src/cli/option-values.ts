/** Values of options with their ranges: the option parser refuses everything else, with exit code 2. */
import { InvalidArgumentError } from "commander";
import { parsePolicy } from "../context/policy-text.js";
import { KV_TYPES } from "../tensor/dtype.js";
import { formatCount } from "./figures.js";

export interface NumberRange {
  readonly least: number;
  readonly most: number;
  readonly integer?: true;
  /** `least` itself is not allowed. */
  readonly above?: true;
}

/** A reader of numbers in a range, in decimal notation. */
export function numberIn(range: NumberRange): (value: string) => number {
  const pattern = range.integer ? /^[+-]?\d{1,16}$/ : /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i;
  return (text) => {
    const value = pattern.test(text.trim()) ? Number(text) : Number.NaN;
    if (value <= range.most && (range.above ? value > range.least : value >= range.least)) return value;
    throw new InvalidArgumentError(`Expected ${describeBounds(range)}.`);
  };
}

/** A reader of whole numbers from `least` to `most`. */
export function integerIn(least: number, most = 2 ** 31 - 1): (value: string) => number {
  return numberIn({ least, most, integer: true });
}

/** "a whole number from 1 to 256"; for help, where a bound that nobody meets would only be noise. */
export function describeRange(range: NumberRange): string {
  if (range.most < 2 ** 31 - 1) return describeBounds(range);
  return range.above ? `${kindOf(range)} above ${range.least}` : `${kindOf(range)} of at least ${range.least}`;
}

/** Both bounds in any case: whoever was refused may have met either. */
function describeBounds(range: NumberRange): string {
  const lower = range.above ? `above ${range.least}, at most` : `from ${range.least} to`;
  return `${kindOf(range)} ${lower} ${formatCount(range.most)}`;
}

function kindOf(range: NumberRange): string {
  return range.integer ? "a whole number" : "a number";
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** Below it a size is a slip, such as 8 for 8GB: no model and no WebAssembly memory is that small. */
const LEAST_BYTES = 2 ** 20;

/** "8GB", "512MiB", "1000000000". */
export function byteSize(text: string): number {
  const [, number = "", unit = ""] = /^(\d+\.?\d*)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const bytes = number === "" ? Number.NaN : Number(number) * (SIZE_UNITS[unit.toLowerCase()] ?? Number.NaN);
  if (bytes >= LEAST_BYTES && bytes <= Number.MAX_SAFE_INTEGER) return Math.round(bytes);
  if (bytes < LEAST_BYTES) {
    const slip = unit === "" ? `; did you mean ${number}GB?` : ".";
    throw new InvalidArgumentError(`Expected a size of at least 1MiB, such as 512MB, 8GB or 6GiB${slip}`);
  }
  throw new InvalidArgumentError("Expected a size such as 512MB, 8GB or 6GiB.");
}

/** "f16", or keys and values apart: "q8/q4". */
export function cacheType(text: string): string {
  const types: readonly string[] = KV_TYPES;
  const parts = text.split("/");
  if (parts.length <= 2 && parts.every((part) => types.includes(part))) return text;
  throw new InvalidArgumentError(`Expected ${KV_TYPES.join(", ")}, or keys and values apart such as q8/q4.`);
}

/** A policy text, checked before anything is loaded. @throws PolicyError, which points at the wrong place */
export function policyText(text: string): string {
  parsePolicy(text);
  return text;
}

/** A path: not the empty one, which a shell makes of a variable that is not set. */
export function pathText(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("Expected a path; found nothing.");
  return text;
}

/** Gathers paths over several options. */
export function gatherPaths(path: string, gathered: readonly string[] = []): string[] {
  return gather(pathText(path), gathered);
}

/** `id=value`, gathered over several options; `-inf` bans a token. */
export function logitBias(text: string, gathered: Readonly<Record<number, number>> = {}): Record<number, number> {
  const [, id = "", value = ""] = /^(\d{1,10})=(.+)$/.exec(text.trim()) ?? [];
  if (id === "") throw new InvalidArgumentError("Expected ID=VALUE, such as 1234=-2.5 or 1234=-inf.");
  const bias = value === "-inf" ? Number.NEGATIVE_INFINITY : numberIn({ least: -1e6, most: 1e6 })(value);
  return { ...gathered, [Number(id)]: bias };
}

/** Gathers the values of an option that may be given several times. */
export function gather(value: string, gathered: readonly string[] = []): string[] {
  return [...gathered, value];
}

/** Gathers whole numbers from `least` on over several options. */
export function gatherIntegers(least: number): (value: string, gathered?: readonly number[]) => number[] {
  const read = integerIn(least);
  return (value, gathered = []) => [...gathered, read(value)];
}
