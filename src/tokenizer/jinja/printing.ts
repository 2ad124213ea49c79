/** Values as Python prints them: `str` and `repr`. */
import type { Budget } from "./budget.js";
import { broken } from "./fault.js";
import { Dict, Iter, isList, Markup, Namespace, Range, Thing, Tuple, Undefined, type Value, View } from "./values.js";

/** `str(value)`; what templates print. */
export function toText(value: Value, budget: Budget): string {
  if (typeof value === "string") return value;
  if (value instanceof Markup) return value.text;
  if (value instanceof Undefined) return "";
  return repr(value, budget);
}

export function repr(value: Value, budget: Budget): string {
  if (value === null) return "None";
  switch (typeof value) {
    case "boolean":
      return value ? "True" : "False";
    case "bigint":
      return integerText(value);
    case "number":
      return floatText(value);
    case "string":
      return budget.text(quoted(value));
  }
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Markup) return `Markup(${budget.text(quoted(value.text))})`;
  if (value instanceof Range) return rangeText(value);
  if (value instanceof Iter) return `<${value.typeName} object>`;
  budget.enter();
  const text = budget.text(containerText(value, budget));
  budget.leave();
  return text;
}

function containerText(value: Exclude<Value, null | boolean | bigint | number | string>, budget: Budget): string {
  const series = (items: Iterable<Value>) => Array.from(items, (item) => repr(item, budget)).join(", ");
  if (isList(value)) return `[${series(value)}]`;
  if (value instanceof Tuple)
    return value.items.length === 1 ? `(${series(value.items)},)` : `(${series(value.items)})`;
  if (value instanceof Dict) return dictText(value.entries(), budget);
  if (value instanceof View) return `dict_${value.part}([${series(value)}])`;
  if (value instanceof Namespace) return `<Namespace ${dictText(value.members.entries(), budget)}>`;
  return value instanceof Thing ? value.text : "";
}

function dictText(entries: Iterable<readonly [Value, Value]>, budget: Budget): string {
  return `{${Array.from(entries, ([key, value]) => `${repr(key, budget)}: ${repr(value, budget)}`).join(", ")}}`;
}

function rangeText({ start, stop, step }: Range): string {
  return step === 1 ? `range(${start}, ${stop})` : `range(${start}, ${stop}, ${step})`;
}

/** Python refuses to print longer whole numbers. */
const MOST_DIGITS = 4300;
const LARGEST = 10n ** BigInt(MOST_DIGITS);

export function integerText(value: bigint): string {
  if (value >= LARGEST || value <= -LARGEST) throw broken(`a whole number has more than ${MOST_DIGITS} digits.`);
  return value.toString();
}

/** `repr` of a float: the shortest digits that read back as the same number. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  const [mantissa, power] = Math.abs(value).toExponential().split("e");
  const exponent = Number(power);
  const digits = mantissa.replace(".", "");
  if (value !== 0 && (exponent < -4 || exponent >= 16)) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : "";
    return `${sign}${digits[0]}${fraction}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${sign}${whole}.${digits.slice(exponent + 1) || "0"}`;
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** A text in quotes: single ones, unless it has single and no double ones. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = text.replace(/[\\\n\r\t]|[\p{C}\p{Zl}\p{Zp}\p{Zs}]/gu, (character) => {
    if (character === " " || character === "\uFDD0") return character;
    return ESCAPES[character] ?? escaped(character);
  });
  return `${quote}${quote === "'" ? body.replaceAll("'", "\\'") : body}${quote}`;
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
}

/** Whether `repr` would show the text as it is. */
export function isPrintable(text: string): boolean {
  return !/[^\P{C}]|[\p{Zl}\p{Zp}]|(?! )\p{Zs}/u.test(text);
}
