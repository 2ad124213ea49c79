/**
 * `value.name` and `value[key]`: Python's methods and attributes first for the one, items first for the other. As in
 * Jinja2's immutable sandbox, what begins with an underscore and what would change a value is not there.
 */
import { CONTAINER_METHODS, callMethod as callContainerMethod } from "./container-methods.js";
import { numberOf } from "./operators.js";
import { integerText } from "./printing.js";
import type { Runtime } from "./runtime.js";
import { itemOf } from "./slices.js";
import { callTextMethod, TEXT_METHODS } from "./text-methods.js";
import {
  Dict,
  Group,
  isList,
  Markup,
  NativeFunction,
  Range,
  Thing,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.js";

export function getAttribute(value: Value, name: string, runtime: Runtime): Value {
  if (value instanceof Undefined) value.fail();
  const own = ownAttribute(value, name, runtime);
  const found = own === undefined ? itemOf(value, name, runtime) : own;
  return found === undefined ? missing(value, name) : found;
}

export function getItem(value: Value, key: Value, runtime: Runtime): Value {
  if (value instanceof Undefined) value.fail();
  const item = itemOf(value, key, runtime);
  if (item !== undefined) return item;
  const name = typeof key === "string" ? key : key instanceof Markup ? key.text : undefined;
  if (name !== undefined) {
    const own = ownAttribute(value, name, runtime);
    return own === undefined ? missing(value, name) : own;
  }
  const shown = typeof key === "bigint" ? integerText(key) : typeName(key);
  return new Undefined(`'${typeName(value)} object' has no element ${shown}`);
}

function missing(value: Value, name: string): Undefined {
  return new Undefined(`'${typeName(value)} object' has no attribute '${name}'`);
}

const CHANGING: Readonly<Record<string, ReadonlySet<string>>> = {
  list: new Set("append clear extend insert pop remove reverse sort".split(" ")),
  dict: new Set("clear pop popitem setdefault update".split(" ")),
};

/** An attribute in Python's sense; undefined where there is none. */
export function ownAttribute(value: Value, name: string, runtime: Runtime): Value | undefined {
  if (name.startsWith("_")) return unsafe(value, name);
  if (value instanceof Thing) return value.attribute(name);
  if (typeof value === "string" || value instanceof Markup) {
    const text = typeof value === "string" ? value : value.text;
    if (!TEXT_METHODS.has(name)) return undefined;
    return new NativeFunction(name, (args) => callTextMethod(text, name, args, runtime));
  }
  const type = isList(value) ? "list" : value instanceof Dict ? "dict" : value instanceof Tuple ? "tuple" : "range";
  if (isList(value) || value instanceof Dict || value instanceof Tuple || value instanceof Range) {
    if (value instanceof Group && (name === "grouper" || name === "list")) return value[name];
    if (CHANGING[type]?.has(name)) return unsafe(value, name);
    if (!CONTAINER_METHODS[type].has(name)) return rangeAttribute(value, name);
    return new NativeFunction(name, (args) => callContainerMethod(value, name, args, runtime));
  }
  return numberAttribute(value, name);
}

function unsafe(value: Value, name: string): Undefined {
  return new Undefined(`access to attribute '${name}' of '${typeName(value)}' object is unsafe.`);
}

function rangeAttribute(value: Value, name: string): Value | undefined {
  if (!(value instanceof Range) || (name !== "start" && name !== "stop" && name !== "step")) return undefined;
  return BigInt(value[name]);
}

function numberAttribute(value: Value, name: string): Value | undefined {
  const number = numberOf(value);
  if (number === undefined) return undefined;
  if (name === "real") return number;
  if (name === "imag") return typeof number === "bigint" ? 0n : 0;
  if (name === "conjugate") return new NativeFunction(name, () => number);
  if (typeof number === "number") {
    return name === "is_integer" ? new NativeFunction(name, () => Number.isInteger(number)) : undefined;
  }
  if (name === "numerator") return number;
  if (name === "denominator") return 1n;
  if (name !== "bit_length") return undefined;
  return new NativeFunction(name, () =>
    BigInt(number === 0n ? 0 : (number < 0n ? -number : number).toString(2).length),
  );
}
