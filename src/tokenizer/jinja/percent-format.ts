/** Python's `text % values`. */
import type { Budget } from "./budget.js";
import { broken } from "./fault.js";
import { exponentDigits, fixedDigits, generalDigits } from "./number-format.js";
import { integerText, repr, toText } from "./printing.js";
import { lengthOf, slicePoints } from "./text.js";
import { Dict, isList, Markup, Tuple, typeName, Undefined, type Value } from "./values.js";

interface Conversion {
  readonly flags: string;
  readonly width: number;
  readonly precision: number | undefined;
  readonly type: string;
}

/** Python has its own limit for precisions; widths are limited by the budget. */
const MOST_PRECISION = 1000;
const CONVERSION = /%(?:\(([^()]*)\))?([-+ #0]*)(\*|\d*)(?:\.(\*|\d*))?[hlL]?([a-zA-Z%])?/g;

export function percentFormat(format: string, values: Value, budget: Budget): string {
  const queue = values instanceof Tuple ? values.items : [values];
  let taken = 0;
  const mapping = values instanceof Dict ? values : undefined;
  let named = false;
  const next = (): Value => {
    const value = queue[taken++];
    if (value === undefined) throw broken("not enough arguments for format string");
    return value;
  };
  const size = (text: string | undefined): number | undefined => {
    if (text !== "*") return text === undefined ? undefined : Number(text);
    const value = next();
    if (typeof value !== "bigint") throw broken("* wants int");
    return Number(value);
  };
  const text = format.replace(
    CONVERSION,
    (whole, key: string | undefined, flags: string, wide: string, exact, type) => {
      if (type === undefined) throw broken(`incomplete format ${JSON.stringify(whole)}`);
      if (key !== undefined && !mapping) throw broken("format requires a mapping");
      const width = size(wide) ?? 0;
      const precision = size(exact);
      if (type === "%") return "%";
      named ||= key !== undefined;
      const value = key === undefined ? next() : mapping?.get(key);
      if (value === undefined) throw broken(`the key ${JSON.stringify(key)} is missing`);
      const left = width < 0 ? "-" : "";
      return converted({ flags: flags + left, width: Math.abs(width), precision, type }, value, budget);
    },
  );
  // What was not used is an error, but for a list, a dict and an undefined value, which may be mappings.
  const spare = values instanceof Tuple || !(isList(values) || mapping || values instanceof Undefined);
  if (taken < queue.length && spare && !named) throw broken("not all arguments converted during string formatting");
  return budget.text(text);
}

function converted({ flags, width, precision, type }: Conversion, value: Value, budget: Budget): string {
  if (precision !== undefined && precision > MOST_PRECISION && !"sra".includes(type)) throw broken("precision too big");
  budget.characters(width + ("sra".includes(type) ? 0 : (precision ?? 0)));
  if ("sra".includes(type)) {
    const text = type === "s" ? toText(value, budget) : type === "r" ? repr(value, budget) : asciiRepr(value, budget);
    return padded(precision === undefined ? text : slicePoints(text, 0, precision), "", width, flags.replace("0", ""));
  }
  if (type === "c") return padded(characterOf(value), "", width, flags.replace("0", ""));
  const { digits, negative } = numeric(type, value, precision, flags.includes("#"));
  const sign = negative ? "-" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
  return padded(digits, sign, width, flags);
}

export function asciiRepr(value: Value, budget: Budget): string {
  return repr(value, budget).replace(/[\x80-\u{10ffff}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    const [kind, length] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return `\\${kind}${code.toString(16).padStart(Number(length), "0")}`;
  });
}

function padded(body: string, sign: string, width: number, flags: string): string {
  const missing = Math.max(0, width - lengthOf(body) - sign.length);
  if (flags.includes("-")) return sign + body + " ".repeat(missing);
  if (!flags.includes("0")) return " ".repeat(missing) + sign + body;
  const prefix = /^0[xo]/i.exec(body)?.[0] ?? "";
  return sign + prefix + "0".repeat(missing) + body.slice(prefix.length);
}

function characterOf(value: Value): string {
  if (typeof value === "bigint" && value >= 0n && value <= 0x10ffffn) return String.fromCodePoint(Number(value));
  if (typeof value !== "string" || lengthOf(value) !== 1) throw broken("%c requires int or char");
  return value;
}

function numeric(type: string, value: Value, precision: number | undefined, alternate: boolean) {
  const number = typeof value === "boolean" ? BigInt(value) : value;
  if (value instanceof Undefined) value.fail();
  if (typeof number !== "bigint" && typeof number !== "number") {
    const given = value instanceof Markup ? "Markup" : typeName(value);
    throw broken(`%${type} format: a real number is required, not ${given}`);
  }
  if ((precision ?? 0) > MOST_PRECISION) throw broken("precision too big");
  const negative = number < 0 || Object.is(number, -0);
  if ("diuxXo".includes(type)) {
    return { digits: wholeDigits(type, number, precision ?? 0, alternate), negative: negative && number < 0 };
  }
  if (!"eEfFgG".includes(type)) throw broken(`unsupported format character '${type}'`);
  const digits = floatDigits(type.toLowerCase(), Number(number), precision ?? 6, alternate);
  return { digits: type === type.toUpperCase() ? digits.toUpperCase() : digits, negative };
}

function wholeDigits(type: string, number: bigint | number, precision: number, alternate: boolean): string {
  const hexadecimal = "xXo".includes(type);
  if (typeof number === "number" && (hexadecimal || !Number.isFinite(number))) {
    throw broken(`%${type} format: an integer is required, not float`);
  }
  const whole = typeof number === "number" ? BigInt(Math.trunc(number)) : number;
  const absolute = whole < 0n ? -whole : whole;
  const digits = hexadecimal ? absolute.toString(type === "o" ? 8 : 16) : integerText(absolute);
  const prefixed = `${alternate && hexadecimal ? `0${type.toLowerCase()}` : ""}${digits.padStart(precision, "0")}`;
  return type === "X" ? prefixed.toUpperCase() : prefixed;
}

/** Digits of the absolute value for `e`, `f` and `g`. */
export function floatDigits(type: string, value: number, precision: number, alternate: boolean): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return "inf";
  if (type === "e") return exponentDigits(value, precision, alternate);
  if (type === "g") return generalDigits(value, precision, alternate);
  return fixedDigits(value, precision) + (alternate && precision === 0 ? "." : "");
}
