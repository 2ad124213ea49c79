/** Python's operators on values: arithmetic, comparison, `in`, and truth. */
import { withoutGuard } from "../message-guard.js";
import type { Budget } from "./budget.js";
import { calculate } from "./calculation.js";
import { broken } from "./fault.js";
import { escapeHtml } from "./html.js";
import { iterate } from "./iteration.js";
import { percentFormat } from "./percent-format.js";
import { toText } from "./printing.js";
import { indexIn } from "./search.js";
import type { ArithmeticOperator, CompareOperator } from "./syntax.js";
import { compareTexts } from "./text.js";
import {
  Dict,
  isList,
  Markup,
  Range,
  Thing,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
  workOfKey,
} from "./values.js";

export function isTrue(value: Value): boolean {
  if (typeof value === "object") {
    if (value === null || value instanceof Undefined) return false;
    if (isList(value) || value instanceof Range) return value.length > 0;
    if (value instanceof Tuple) return value.items.length > 0;
    if (value instanceof Dict) return value.size > 0;
    if (value instanceof View) return value.dict.size > 0;
    return value instanceof Markup ? value.text !== "" : true;
  }
  return typeof value === "number" ? value !== 0 : Boolean(value);
}

export function isText(value: Value): value is string | Markup {
  return typeof value === "string" || value instanceof Markup;
}

/** What a text says, without the marks of a guarded one. */
function plain(text: string | Markup): string {
  return withoutGuard(text instanceof Markup ? text.text : text);
}

/** A number as Python counts with it; booleans are 0 and 1. */
export function numberOf(value: Value): bigint | number | undefined {
  if (typeof value === "boolean") return value ? 1n : 0n;
  return typeof value === "bigint" || typeof value === "number" ? value : undefined;
}

export function arithmetic(operator: ArithmeticOperator, left: Value, right: Value, budget: Budget): Value {
  if (operator === "%" && typeof left === "string") return percentFormat(left, right, budget);
  if (operator === "%" && left instanceof Markup) {
    return new Markup(percentFormat(left.text, escapedAll(right, budget), budget));
  }
  if (left instanceof Undefined) left.fail();
  if (right instanceof Undefined) right.fail();
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a !== undefined && b !== undefined) return calculate(operator, a, b);
  const made =
    operator === "+" ? joined(left, right, budget) : operator === "*" ? repeated(left, right, budget) : undefined;
  if (made !== undefined) return made;
  throw broken(`unsupported operand types for ${operator}: '${typeName(left)}' and '${typeName(right)}'`);
}

/** What is put into markup is escaped, but for numbers. */
function escapedAll(value: Value, budget: Budget): Value {
  if (value instanceof Markup || numberOf(value) !== undefined) return value;
  if (value instanceof Tuple) return new Tuple(value.items.map((item) => escapedAll(item, budget)));
  if (!(value instanceof Dict)) return escapeHtml(toText(value, budget));
  const escaped = new Dict();
  for (const [key, item] of value.entries()) escaped.set(key, escapedAll(item, budget));
  return escaped;
}

function joined(left: Value, right: Value, budget: Budget): Value | undefined {
  if (typeof left === "string" && typeof right === "string") return plus(left, right, budget);
  if (isText(left) && isText(right)) {
    const part = (value: string | Markup) => (value instanceof Markup ? value.text : escapeHtml(value));
    return new Markup(plus(part(left), part(right), budget));
  }
  if (isList(left) && isList(right)) {
    budget.items(left.length + right.length);
    return [...left, ...right];
  }
  if (!(left instanceof Tuple) || !(right instanceof Tuple)) return undefined;
  budget.items(left.items.length + right.items.length);
  return new Tuple([...left.items, ...right.items]);
}

function plus(left: string, right: string, budget: Budget): string {
  budget.characters(left.length + right.length);
  return left + right;
}

function repeated(left: Value, right: Value, budget: Budget): Value | undefined {
  const [series, by] = numberOf(left) === undefined ? [left, numberOf(right)] : [right, numberOf(left)];
  if (typeof by !== "bigint") return undefined;
  const count = by > 0n ? Number(by) : 0;
  const length = (each: number) => (each === 0 ? 0 : each * count);
  if (isText(series)) {
    const text = toText(series, budget);
    budget.characters(length(text.length));
    const made = text === "" ? "" : text.repeat(count);
    return series instanceof Markup ? new Markup(made) : made;
  }
  const items = isList(series) ? series : series instanceof Tuple ? series.items : undefined;
  if (items === undefined) return undefined;
  budget.items(length(items.length));
  const made =
    items.length === 0 ? [] : Array.from({ length: items.length * count }, (_, i) => items[i % items.length]);
  return isList(series) ? made : new Tuple(made);
}

export function signed(negative: boolean, value: Value): Value {
  if (value instanceof Undefined) value.fail();
  const number = numberOf(value);
  if (number === undefined) throw broken(`bad operand type for a sign: '${typeName(value)}'`);
  return negative ? -number : number;
}

export function compare(operator: CompareOperator, left: Value, right: Value, budget: Budget): boolean {
  switch (operator) {
    case "==":
      return equals(left, right, budget);
    case "!=":
      return !equals(left, right, budget);
    case "in":
      return contains(right, left, budget);
    case "not in":
      return !contains(right, left, budget);
  }
  const order = orderOf(left, right, budget);
  if (operator === "<") return order < 0;
  if (operator === "<=") return order <= 0;
  return operator === ">" ? order > 0 : order >= 0;
}

export function equals(left: Value, right: Value, budget: Budget): boolean {
  if (left === right) return true;
  const [a, b] = [numberOf(left), numberOf(right)];
  // JavaScript compares bigint and number by value with ==.
  // biome-ignore lint/suspicious/noDoubleEquals: of a whole number and a float
  if (a !== undefined || b !== undefined) return a !== undefined && b !== undefined && a == b;
  if (isText(left) && isText(right)) return plain(left) === plain(right);
  if (left instanceof Undefined) return right instanceof Undefined;
  if (isList(left)) return isList(right) && sameItems(left, right, budget);
  if (left instanceof Tuple) return right instanceof Tuple && sameItems(left.items, right.items, budget);
  if (left instanceof Dict) return right instanceof Dict && sameEntries(left, right, budget);
  if (left instanceof Range) return right instanceof Range && sameItems([...left], [...right], budget);
  if (!(left instanceof View) || left.part === "values" || !(right instanceof View)) return false;
  return left.dict.size === right.dict.size && [...left].every((item) => contains(right, item, budget));
}

function sameItems(left: readonly Value[], right: readonly Value[], budget: Budget): boolean {
  if (left.length !== right.length) return false;
  budget.enter();
  budget.work(left.length * 8);
  const same = left.every((item, i) => equals(item, right[i], budget));
  budget.leave();
  return same;
}

function sameEntries(left: Dict, right: Dict, budget: Budget): boolean {
  if (left.size !== right.size) return false;
  budget.enter();
  budget.work(left.size * 8);
  let same = true;
  for (const [key, value] of left.entries()) {
    const other = right.get(key);
    same &&= other !== undefined && equals(value, other, budget);
  }
  budget.leave();
  return same;
}

/** Negative, zero or positive; NaN where floats have no order. */
export function orderOf(left: Value, right: Value, budget: Budget): number {
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a !== undefined && b !== undefined) return a < b ? -1 : a > b ? 1 : a >= b ? 0 : Number.NaN;
  if (isText(left) && isText(right)) {
    const [one, other] = [plain(left), plain(right)];
    budget.work(Math.min(one.length, other.length));
    return compareTexts(one, other);
  }
  if (left instanceof Undefined) left.fail();
  if (right instanceof Undefined) right.fail();
  const items = (value: Value) => (isList(value) ? value : value instanceof Tuple ? value.items : undefined);
  const [one, other] = [items(left), items(right)];
  if (one && other && isList(left) === isList(right)) return orderOfItems(one, other, budget);
  throw broken(`'<' not supported between '${typeName(left)}' and '${typeName(right)}'`);
}

function orderOfItems(left: readonly Value[], right: readonly Value[], budget: Budget): number {
  budget.enter();
  budget.work(Math.min(left.length, right.length) * 8);
  const at = left.findIndex((item, i) => i >= right.length || !equals(item, right[i], budget));
  const order = at < 0 || at >= right.length ? left.length - right.length : orderOf(left[at], right[at], budget);
  budget.leave();
  return order;
}

export function contains(container: Value, item: Value, budget: Budget): boolean {
  if (isText(container)) {
    if (item instanceof Undefined || !isText(item)) {
      throw broken(`'in <string>' requires string as left operand, not ${typeName(item)}`);
    }
    const text = plain(container);
    budget.work(text.length);
    return indexIn(text, plain(item), 0, budget) >= 0;
  }
  if (container instanceof Dict || (container instanceof View && container.part === "keys")) {
    budget.work(workOfKey(item));
    return (container instanceof Dict ? container : container.dict).has(item);
  }
  if (container === null || container instanceof Thing)
    throw broken(`argument of type '${typeName(container)}' is not iterable`);
  for (const other of iterate(container, budget)) {
    if (equals(other, item, budget)) return true;
  }
  return false;
}
