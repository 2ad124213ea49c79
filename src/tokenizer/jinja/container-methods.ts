/** Methods of Python's lists, tuples, ranges and dicts that change nothing. */
import { bind, wholeNumber } from "./arguments.js";
import { broken } from "./fault.js";
import { equals } from "./operators.js";
import type { Runtime } from "./runtime.js";
import { type CallArguments, Dict, isList, type List, Range, Tuple, type Value, View, workOfKey } from "./values.js";

export const CONTAINER_METHODS: Readonly<Record<"list" | "tuple" | "range" | "dict", ReadonlySet<string>>> = {
  list: new Set(["index", "count", "copy"]),
  tuple: new Set(["index", "count"]),
  range: new Set(["index", "count"]),
  dict: new Set(["get", "keys", "values", "items", "copy"]),
};

export function callMethod(
  value: List | Dict | Tuple | Range,
  name: string,
  args: CallArguments,
  runtime: Runtime,
): Value {
  if (value instanceof Dict) return callDictMethod(value, name, args, runtime);
  const items = value instanceof Tuple ? value.items : value instanceof Range ? [...value] : value;
  if (name === "copy" && isList(value)) {
    bind(name, args, []);
    return value;
  }
  const [wanted = null, from, to] = bind(name, args, name === "count" ? ["value"] : ["value", "start", "stop"], 1);
  runtime.budget.work(items.length * 8);
  const found = (item: Value) => equals(item, wanted, runtime.budget);
  if (name === "count") return BigInt(items.filter(found).length);
  const place = (at: number) => Math.max(0, at < 0 ? at + items.length : at);
  const [start, stop] = [place(wholeNumber(from, 0)), place(wholeNumber(to, items.length))];
  const at = items.findIndex((item, i) => i >= start && i < stop && found(item));
  if (at < 0) throw broken("the value is not in the list");
  return BigInt(at);
}

function callDictMethod(dict: Dict, name: string, args: CallArguments, { budget }: Runtime): Value {
  if (name === "get") {
    const [key = null, otherwise = null] = bind(name, args, ["key", "default"], 1);
    if (args.named.size > 0) throw broken("dict.get() takes no keyword arguments");
    budget.work(workOfKey(key));
    const value = dict.get(key);
    return value === undefined ? otherwise : value;
  }
  bind(name, args, []);
  return name === "keys" || name === "values" || name === "items" ? new View(dict, name) : dict;
}
