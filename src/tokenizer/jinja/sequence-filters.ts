/** Filters that go through lists and the like. Lazy ones give what can be gone through once, as in Jinja2. */
import { asText, bind, wholeNumber } from "./arguments.js";
import { type Getter, itemGetter, itemsGetter } from "./attribute-path.js";
import { broken } from "./fault.js";
import type { Filter } from "./filter.js";
import { iterable, iterate, listOf } from "./iteration.js";
import { arithmetic, equals, isTrue, orderOf } from "./operators.js";
import { toText } from "./printing.js";
import type { Runtime } from "./runtime.js";
import { sizeOf, slice as sliceOf } from "./slices.js";
import { Dict, Group, Iter, Markup, Tuple, typeName, Undefined, type Value, workOfKey } from "./values.js";

function lazy(items: Iterable<Value>): Iter {
  return new Iter("generator", items);
}

/** How `sort` and its like see an item: texts in small letters, unless case matters. */
function folded(caseSensitive: Value | undefined): Getter {
  if (isTrue(caseSensitive ?? false)) return (item) => item;
  return (item) =>
    typeof item === "string" ? item.toLowerCase() : item instanceof Markup ? item.text.toLowerCase() : item;
}

function sorted(items: readonly Value[], key: Getter, reverse: Value | undefined, { budget }: Runtime): Value[] {
  const sign = isTrue(reverse ?? false) ? -1 : 1;
  const keyed = items.map((item) => ({ item, key: key(item) }));
  budget.items(items.length);
  keyed.sort((a, b) => {
    budget.work(16);
    return sign * orderOf(a.key, b.key, budget);
  });
  return keyed.map(({ item }) => item);
}

const sort: Filter = (value, args, runtime) => {
  const [reverse, caseSensitive, attribute] = bind("sort", args, ["reverse", "case_sensitive", "attribute"]);
  const key = itemsGetter(attribute, runtime, folded(caseSensitive));
  return sorted(listOf(value, runtime.budget), key, reverse, runtime);
};

const dictsort: Filter = (value, args, runtime) => {
  const [caseSensitive, by = "key", reverse] = bind("dictsort", args, ["case_sensitive", "by", "reverse"]);
  if (by !== "key" && by !== "value") throw broken('You can only sort by either "key" or "value"');
  if (!(value instanceof Dict)) throw broken(`'${typeName(value)}' object has no attribute 'items'`);
  const fold = folded(caseSensitive);
  const key = (pair: Value) => (pair instanceof Tuple ? fold(pair.items[by === "key" ? 0 : 1]) : pair);
  return sorted([...value.pairs()], key, reverse, runtime);
};

const groupby: Filter = (value, args, runtime) => {
  const [attribute, otherwise, caseSensitive] = bind("groupby", args, ["attribute", "default", "case_sensitive"], 1);
  const get = itemGetter(attribute, runtime, otherwise);
  const fold = folded(caseSensitive);
  const groups: { key: Value; grouper: Value; items: Value[] }[] = [];
  for (const item of sorted(listOf(value, runtime.budget), (one) => fold(get(one)), false, runtime)) {
    const grouper = get(item);
    const key = fold(grouper);
    const last = groups.at(-1);
    if (last && equals(last.key, key, runtime.budget)) last.items.push(item);
    else groups.push({ key, grouper, items: [item] });
  }
  return groups.map(({ grouper, items }) => new Group(grouper, items));
};

const unique: Filter = (value, args, runtime) => {
  const [caseSensitive, attribute] = bind("unique", args, ["case_sensitive", "attribute"]);
  const fold = folded(caseSensitive);
  const get = itemGetter(attribute, runtime);
  function* once(): Generator<Value, void, undefined> {
    const seen = new Dict();
    for (const item of iterate(value, runtime.budget)) {
      const key = fold(get(item));
      runtime.budget.work(workOfKey(key));
      if (seen.has(key)) continue;
      runtime.budget.items(1);
      seen.set(key, null);
      yield item;
    }
  }
  return lazy(once());
};

function extreme(name: string, sign: 1 | -1): Filter {
  return (value, args, runtime) => {
    const [caseSensitive, attribute] = bind(name, args, ["case_sensitive", "attribute"]);
    const fold = folded(caseSensitive);
    const get = itemGetter(attribute, runtime);
    let best: { item: Value; key: Value } | undefined;
    for (const item of iterate(value, runtime.budget)) {
      const key = fold(get(item));
      if (!best || sign * orderOf(key, best.key, runtime.budget) < 0) best = { item, key };
    }
    return best ? best.item : new Undefined("No aggregated item, sequence was empty.");
  };
}

const sum: Filter = (value, args, runtime) => {
  const [attribute, start = 0n] = bind("sum", args, ["attribute", "start"]);
  const get = itemGetter(attribute, runtime);
  let total = start;
  if (typeof start === "string") throw broken("sum() can't sum strings");
  for (const item of iterate(value, runtime.budget)) total = arithmetic("+", total, get(item), runtime.budget);
  return total;
};

const join: Filter = (value, args, runtime) => {
  const { budget } = runtime;
  const [between, attribute] = bind("join", args, ["d", "attribute"]);
  const get = itemGetter(attribute, runtime);
  const separator = asText(between, "", budget);
  const parts: string[] = [];
  for (const item of iterate(value, budget)) {
    const part = toText(get(item), budget);
    budget.items(1);
    budget.characters(part.length + separator.length);
    parts.push(part);
  }
  return parts.join(separator);
};

const first: Filter = (value, args, { budget }) => {
  bind("first", args, []);
  for (const item of iterate(value, budget)) return item;
  return new Undefined("No first item, sequence was empty.");
};

const last: Filter = (value, args, runtime) => {
  bind("last", args, []);
  if (value instanceof Iter || iterable(value) === undefined)
    throw broken(`'${typeName(value)}' object is not reversible`);
  const items = listOf(value, runtime.budget);
  return items.at(-1) ?? (items.length > 0 ? null : new Undefined("No last item, sequence was empty."));
};

const random: Filter = (value, args, { budget }) => {
  bind("random", args, []);
  const items = listOf(value, budget);
  return items.length === 0
    ? new Undefined("No random item, sequence was empty.")
    : items[Math.floor(Math.random() * items.length)];
};

const length: Filter = (value, args, runtime) => {
  bind("length", args, []);
  const size = sizeOf(value, runtime);
  if (size === undefined) throw broken(`object of type '${typeName(value)}' has no len()`);
  return BigInt(size);
};

const reverse: Filter = (value, args, runtime) => {
  bind("reverse", args, []);
  if (typeof value === "string" || value instanceof Markup) {
    return sliceOf(value, { start: undefined, stop: undefined, step: -1n }, runtime);
  }
  const items = listOf(value, runtime.budget).reverse();
  return value instanceof Iter ? items : new Iter(`${typeName(value)}_reverseiterator`, items);
};

const batch: Filter = (value, args, { budget }) => {
  const [count, fill = null] = bind("batch", args, ["linecount", "fill_with"], 1);
  const size = wholeNumber(count, 0);
  function* batches(): Generator<Value, void, undefined> {
    let row: Value[] = [];
    for (const item of iterate(value, budget)) {
      if (row.length === size) {
        yield row;
        row = [];
      }
      budget.items(1);
      row.push(item);
    }
    if (row.length === 0) return;
    const missing = fill === null ? 0 : Math.max(0, size - row.length);
    budget.items(missing);
    yield [...row, ...Array.from({ length: missing }, () => fill)];
  }
  return lazy(batches());
};

const slice: Filter = (value, args, { budget }) => {
  const [count, fill = null] = bind("slice", args, ["slices", "fill_with"], 1);
  const columns = wholeNumber(count, 0);
  function* slices(): Generator<Value, void, undefined> {
    const items = listOf(value, budget);
    if (columns === 0) throw broken("integer division or modulo by zero");
    const [size, longer] = [Math.floor(items.length / columns), items.length % columns];
    for (let i = 0, at = 0; i < columns; i++) {
      const end = at + size + (i < longer ? 1 : 0);
      budget.items(end - at + 1);
      yield fill !== null && i >= longer ? [...items.slice(at, end), fill] : items.slice(at, end);
      at = end;
    }
  }
  return lazy(slices());
};

const map: Filter = (value, { positional, named }, runtime) => {
  const [name, ...rest] = positional;
  const each = (): Getter => {
    if (name === undefined && named.has("attribute")) {
      const [attribute, otherwise] = bind("map", { positional, named }, ["attribute", "default"]);
      return itemGetter(attribute, runtime, otherwise);
    }
    if (name === undefined) throw broken("map requires a filter argument");
    return (item) => runtime.filter(toText(name, runtime.budget), item, { positional: rest, named });
  };
  function* mapped(): Generator<Value, void, undefined> {
    if (!isTrue(value)) return;
    const get = each();
    for (const item of iterate(value, runtime.budget)) yield get(item);
  }
  return lazy(mapped());
};

/** `select`, `reject` and those that look at an attribute: items for which a test says `wanted`. */
function choosing(wanted: boolean, byAttribute: boolean): Filter {
  return (value, { positional, named }, runtime) => {
    const [attribute, ...others] = byAttribute ? positional : [null, ...positional];
    const [test, ...rest] = others;
    function* chosen(): Generator<Value, void, undefined> {
      if (!isTrue(value)) return;
      if (attribute === undefined) throw broken("Missing parameter for attribute name");
      const get = itemGetter(attribute, runtime);
      for (const item of iterate(value, runtime.budget)) {
        const seen = get(item);
        const is =
          test === undefined
            ? isTrue(seen)
            : runtime.test(toText(test, runtime.budget), seen, { positional: rest, named });
        if (is === wanted) yield item;
      }
    }
    return lazy(chosen());
  };
}

export const SEQUENCE_FILTERS: Readonly<Record<string, Filter>> = {
  sort,
  dictsort,
  groupby,
  unique,
  min: extreme("min", 1),
  max: extreme("max", -1),
  sum,
  join,
  first,
  last,
  random,
  length,
  count: length,
  list: (value, args, { budget }) => {
    bind("list", args, []);
    return listOf(value, budget);
  },
  items: (value, args) => {
    bind("items", args, []);
    if (value instanceof Undefined) return lazy([]);
    if (!(value instanceof Dict)) throw broken("Can only get item pairs from a mapping.");
    return lazy(value.pairs());
  },
  reverse,
  batch,
  slice,
  map,
  select: choosing(true, false),
  reject: choosing(false, false),
  selectattr: choosing(true, true),
  rejectattr: choosing(false, true),
};
