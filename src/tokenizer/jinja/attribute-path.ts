/** The `attribute` of filters: a path such as `function.name` or `0`, looked up in each item. */
import { getItem } from "./attributes.js";
import { toText } from "./printing.js";
import type { Runtime } from "./runtime.js";
import { Undefined, type Value } from "./values.js";

export type Getter = (item: Value) => Value;

export function itemGetter(attribute: Value | undefined, runtime: Runtime, otherwise?: Value): Getter {
  if (attribute === undefined || attribute === null) return (item) => item;
  const path = typeof attribute === "bigint" ? [attribute] : pathOf(toText(attribute, runtime.budget));
  return (item) => {
    let value = item;
    for (const part of path) {
      value = getItem(value, part, runtime);
      if (value instanceof Undefined && otherwise !== undefined && otherwise !== null) value = otherwise;
    }
    return value;
  };
}

/** Several attributes with commas between, as `sort` takes them: their values as a list. */
export function itemsGetter(attribute: Value | undefined, runtime: Runtime, each: Getter): Getter {
  if (typeof attribute !== "string") {
    const getter = itemGetter(attribute, runtime);
    return (item) => each(getter(item));
  }
  const getters = attribute.split(",").map((path) => itemGetter(path, runtime));
  return (item) => getters.map((getter) => each(getter(item)));
}

function pathOf(path: string): readonly (string | bigint)[] {
  return path.split(".").map((part) => (/^\d+$/.test(part) ? BigInt(part) : part));
}
