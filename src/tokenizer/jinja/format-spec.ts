/** Python's format specifications: `{:>8.2f}`, `{:,}` and the like. */
import type { Budget } from "./budget.js";
import { broken } from "./fault.js";
import { grouped } from "./number-format.js";
import { floatDigits } from "./percent-format.js";
import { floatText, integerText, toText } from "./printing.js";
import { lengthOf, slicePoints } from "./text.js";
import { Markup, typeName, Undefined, type Value } from "./values.js";

interface Spec {
  readonly fill: string;
  readonly align: string | undefined;
  readonly sign: string;
  readonly alternate: boolean;
  readonly width: number;
  readonly group: string;
  readonly precision: number | undefined;
  readonly type: string;
}

const SPEC = /^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d*)([,_])?(?:\.(\d+))?([a-zA-Z%])?$/su;
const MOST_PRECISION = 1000;

export function formatValue(value: Value, spec: string, budget: Budget): string {
  if (spec === "") return toText(value, budget);
  if (value instanceof Undefined) throw broken("unsupported format string passed to Undefined.__format__");
  const parsed = parse(spec);
  budget.characters(parsed.width);
  if (typeof value === "string" || value instanceof Markup) return formatText(toText(value, budget), parsed);
  if (typeof value === "number") return formatFloat(value, parsed);
  if (typeof value === "bigint" || typeof value === "boolean") return formatWhole(BigInt(value), parsed);
  throw broken(`unsupported format string passed to ${typeName(value)}.__format__`);
}

function parse(text: string): Spec {
  const match = SPEC.exec(text);
  if (!match) throw broken(`Invalid format specifier ${JSON.stringify(text)}`);
  const [, fill, align, sign = "-", alternate, zero, width, group = "", precision, type = ""] = match;
  if (Number(precision ?? 0) > MOST_PRECISION) throw broken("precision too big");
  return {
    fill: fill ?? (zero ? "0" : " "),
    align: align ?? (zero ? "=" : undefined),
    sign,
    alternate: alternate !== undefined,
    width: Number(width),
    group,
    precision: precision === undefined ? undefined : Number(precision),
    type,
  };
}

function formatText(text: string, spec: Spec): string {
  const { align, fill, precision, type } = spec;
  if (type !== "" && type !== "s") throw unknownType(type, "str");
  if (align === "=" && fill !== "0") throw broken("'=' alignment not allowed in string format specifier");
  const kept = precision === undefined ? text : slicePoints(text, 0, precision);
  return aligned("", kept, { ...spec, align: align === "=" ? "<" : (align ?? "<") });
}

function formatWhole(value: bigint, spec: Spec): string {
  const { type, group, alternate, precision } = spec;
  if (type !== "" && "eEfFgG%".includes(type)) return formatFloat(Number(value), spec);
  if (precision !== undefined) throw broken("Precision not allowed in integer format specifier");
  const absolute = value < 0n ? -value : value;
  const bases: Readonly<Record<string, number>> = { b: 2, o: 8, x: 16, X: 16 };
  const base = bases[type] ?? 10;
  if (base === 10 && !["", "d", "n", "c"].includes(type)) throw unknownType(type, "int");
  if (type === "c") return aligned("", String.fromCodePoint(Number(absolute)), { ...spec, align: spec.align ?? "<" });
  const digits = base === 10 ? integerText(absolute) : absolute.toString(base);
  const cased = type === "X" ? digits.toUpperCase() : digits;
  return number(value < 0n, alternate && base !== 10 ? `0${type}` : "", cased, spec, group && base !== 10 ? 4 : 3);
}

function formatFloat(value: number, spec: Spec): string {
  const { type, precision, alternate } = spec;
  if (!["", "e", "E", "f", "F", "g", "G", "n", "%"].includes(type)) throw unknownType(type, "float");
  const negative = value < 0 || Object.is(value, -0);
  return number(negative, "", floatBody(value, type, precision, alternate), spec, 3);
}

function floatBody(value: number, type: string, precision: number | undefined, alternate: boolean): string {
  const absolute = Math.abs(value);
  if (type === "%") return `${floatDigits("f", absolute * 100, precision ?? 6, alternate)}%`;
  if (type === "" && precision === undefined) return floatText(absolute);
  if (type === "") {
    const digits = floatDigits("g", absolute, precision ?? 6, alternate);
    return /^\d+$/.test(digits) ? wholeFloat(digits, precision ?? 6) : digits;
  }
  const digits = floatDigits(type === "n" ? "g" : type.toLowerCase(), absolute, precision ?? 6, alternate);
  return type === type.toUpperCase() ? digits.toUpperCase() : digits;
}

/** Without a type a float never looks like a whole number. */
function wholeFloat(digits: string, precision: number): string {
  if (digits.length < Math.max(1, precision)) return `${digits}.0`;
  const mantissa = digits.replace(/0+$/, "") || "0";
  const fraction = mantissa.length > 1 ? `.${mantissa.slice(1)}` : "";
  return `${mantissa[0]}${fraction}e+${String(digits.length - 1).padStart(2, "0")}`;
}

function number(negative: boolean, prefix: string, digits: string, spec: Spec, size: number): string {
  const sign = (negative ? "-" : spec.sign === "-" ? "" : spec.sign) + prefix;
  const body = spec.group ? grouped(digits, spec.group, size) : digits;
  if (!spec.group || spec.align !== "=" || spec.fill !== "0")
    return aligned(sign, body, { ...spec, align: spec.align ?? ">" });
  // Zeros are grouped too, and never begin with a separator.
  const whole = /^\d*/.exec(digits)?.[0].length ?? 0;
  const room = spec.width - sign.length - (digits.length - whole);
  const needed = Math.floor((room * size) / (size + 1)) + 1;
  return sign + grouped("0".repeat(Math.max(0, needed - whole)) + digits, spec.group, size);
}

function aligned(sign: string, body: string, { width, fill, align }: Spec): string {
  const missing = Math.max(0, width - lengthOf(body) - sign.length);
  if (align === "=") return sign + fill.repeat(missing) + body;
  if (align === "<") return sign + body + fill.repeat(missing);
  if (align === ">") return fill.repeat(missing) + sign + body;
  const left = Math.floor(missing / 2);
  return fill.repeat(left) + sign + body + fill.repeat(missing - left);
}

function unknownType(type: string, of: string) {
  return broken(`Unknown format code '${type}' for object of type '${of}'`);
}
