/** Arguments of built-in functions, filters and methods, given by place or by name as in Python. */
import type { Budget } from "./budget.js";
import { broken } from "./fault.js";
import { numberOf } from "./operators.js";
import { toText } from "./printing.js";
import { type CallArguments, Markup, typeName, Undefined, type Value } from "./values.js";

export const NO_VALUES: CallArguments = { positional: [], named: new Map() };

/** Values by the parameters' order; those after `required` may be left out. */
export function bind(
  name: string,
  { positional, named }: CallArguments,
  parameters: readonly string[],
  required = 0,
): (Value | undefined)[] {
  if (positional.length > parameters.length) {
    throw broken(`${name}() takes at most ${parameters.length} arguments, not ${positional.length}`);
  }
  const bound: (Value | undefined)[] = parameters.map((_, i) => positional[i]);
  for (const [key, value] of named) {
    const at = parameters.indexOf(key);
    if (at < 0) throw broken(`${name}() has no argument named ${JSON.stringify(key)}`);
    if (bound[at] !== undefined) throw broken(`${name}() gets its argument ${JSON.stringify(key)} twice`);
    bound[at] = value;
  }
  const missing = parameters.findIndex((_, i) => i < required && bound[i] === undefined);
  if (missing >= 0) throw broken(`${name}() needs its argument ${JSON.stringify(parameters[missing])}`);
  return bound;
}

/** A whole number that JavaScript can count with; larger ones become the nearest that it can. */
export function wholeNumber(value: Value | undefined, otherwise: number): number {
  if (value === undefined) return otherwise;
  if (value instanceof Undefined) value.fail();
  const number = numberOf(value);
  if (typeof number !== "bigint") throw broken(`an integer was expected, not ${typeName(value)}`);
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(number > limit ? limit : number < -limit ? -limit : number);
}

/** A text and nothing else. */
export function onlyText(value: Value | undefined, what: string): string {
  if (typeof value === "string") return value;
  if (value instanceof Markup) return value.text;
  if (value instanceof Undefined) value.fail();
  throw broken(`${what} must be a text, not ${value === undefined ? "left out" : typeName(value)}`);
}

/** Any value as text, or what stands for one left out. */
export function asText(value: Value | undefined, otherwise: string, budget: Budget): string {
  return value === undefined ? otherwise : toText(value, budget);
}
