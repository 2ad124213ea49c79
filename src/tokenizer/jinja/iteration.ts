/** Going through values as Python's `iter` does. */
import { MARK, withoutGuard } from "../message-guard.js";
import type { Budget } from "./budget.js";
import { broken } from "./fault.js";
import { Dict, Iter, isList, Markup, Range, Tuple, typeName, Undefined, type Value, View } from "./values.js";

/** The items of a value, each counted as work; texts by code points, dicts by keys. */
export function* iterate(value: Value, budget: Budget): Generator<Value, void, undefined> {
  for (const item of itemsOf(value)) {
    budget.work(8);
    yield item;
  }
}

function itemsOf(value: Value): Iterable<Value> {
  const items = iterable(value);
  if (items === undefined) throw broken(`'${typeName(value)}' object is not iterable`);
  return items;
}

/** Undefined for what can't be gone through. */
export function iterable(value: Value): Iterable<Value> | undefined {
  if (isList(value)) return value;
  if (typeof value === "string") return charactersOf(value);
  if (value instanceof Markup) return charactersOf(value.text);
  if (value instanceof Tuple) return value.items;
  if (value instanceof Dict) return value.keys();
  if (value instanceof Range || value instanceof View || value instanceof Iter) return value;
  return value instanceof Undefined ? [] : undefined;
}

/** `list(value)`. */
export function listOf(value: Value, budget: Budget): Value[] {
  const items: Value[] = [];
  for (const item of itemsOf(value)) {
    budget.items(1);
    items.push(item);
  }
  return items;
}

/** Code points; those of a guarded text stay so. */
function charactersOf(text: string): Iterable<string> {
  const plain = withoutGuard(text);
  return plain === text ? text : Array.from(plain, (character) => character + MARK);
}
