/** Filters on single values: numbers, defaults, attributes, JSON. */

import { bind, onlyText, wholeNumber } from "./arguments.js";
import { ownAttribute } from "./attributes.js";
import type { Budget } from "./budget.js";
import { toFloat } from "./calculation.js";
import { broken, unsupported } from "./fault.js";
import type { Filter } from "./filter.js";
import { iterable, listOf } from "./iteration.js";
import { jsonOptions, toJson } from "./json.js";
import { roundFloat, roundWhole } from "./number-format.js";
import { parseFloatText, parseWholeText } from "./number-text.js";
import { arithmetic, isText, isTrue, numberOf, signed } from "./operators.js";
import { repr, toText } from "./printing.js";
import { unmarked } from "./runtime.js";
import { lengthOf } from "./text.js";
import { Dict, isList, type List, Tuple, typeName, Undefined, type Value } from "./values.js";

const otherwise: Filter = (value, args) => {
  const [other = "", boolean = false] = bind("default", args, ["default_value", "boolean"]);
  return value instanceof Undefined || (isTrue(boolean) && !isTrue(value)) ? other : value;
};

const int: Filter = (value, args, runtime) => {
  const [other = 0n, base] = bind("int", args, ["default", "base"]);
  if (value instanceof Undefined) value.fail();
  const number = numberOf(value);
  if (typeof number === "bigint") return number;
  if (typeof number === "number") {
    if (Number.isNaN(number)) return other;
    if (!Number.isFinite(number)) throw broken("cannot convert float infinity to integer");
    return BigInt(Math.trunc(number));
  }
  if (!isText(value)) return other;
  const { text } = unmarked(toText(value, runtime.budget), runtime);
  const whole = parseWholeText(text, wholeNumber(base, 10));
  if (whole !== undefined) return whole;
  const float = parseFloatText(text);
  return float === undefined || !Number.isFinite(float) ? other : BigInt(Math.trunc(float));
};

const float: Filter = (value, args, runtime) => {
  const [other = 0] = bind("float", args, ["default"]);
  if (value instanceof Undefined) value.fail();
  const number = numberOf(value);
  if (number !== undefined) return toFloat(number);
  if (!isText(value)) return other;
  return parseFloatText(unmarked(toText(value, runtime.budget), runtime).text) ?? other;
};

const round: Filter = (value, args, { budget }) => {
  const [places, method = "common"] = bind("round", args, ["precision", "method"]);
  const precision = wholeNumber(places, 0);
  if (value instanceof Undefined) value.fail();
  const number = numberOf(value);
  if (method !== "common" && method !== "ceil" && method !== "floor") {
    throw broken("method must be common, ceil or floor");
  }
  if (number === undefined) throw broken(`type ${typeName(value)} doesn't define __round__ method`);
  if (method === "common")
    return typeof number === "bigint" ? roundWhole(number, precision) : roundFloat(number, precision);
  const scale = arithmetic("**", 10n, BigInt(precision), budget);
  const scaled = Number(numberOf(arithmetic("*", number, scale, budget)));
  const whole = BigInt(method === "ceil" ? Math.ceil(scaled) : Math.floor(scaled));
  return arithmetic("/", whole, scale, budget);
};

const filesizeformat: Filter = (value, args, runtime) => {
  const [binary = false] = bind("filesizeformat", args, ["binary"]);
  const bytes = Number(numberOf(float(value, { positional: [], named: new Map() }, runtime)));
  const base = isTrue(binary) ? 1024 : 1000;
  if (bytes === 1) return "1 Byte";
  if (bytes < base) return `${Math.trunc(bytes)} Bytes`;
  const units = isTrue(binary)
    ? ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
    : ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
  const power = units.findIndex((_, i) => bytes < base ** (i + 2));
  const at = power < 0 ? units.length - 1 : power;
  return `${((base * bytes) / base ** (at + 2)).toFixed(1)} ${units[at]}`;
};

const tojson: Filter = (value, args, { budget }) => {
  const [ascii, indent, separators, sortKeys] = bind("tojson", args, [
    "ensure_ascii",
    "indent",
    "separators",
    "sort_keys",
  ]);
  return toJson(value, jsonOptions(ascii, indent, separators, sortKeys, budget), budget);
};

const attr: Filter = (value, args, runtime) => {
  const [given] = bind("attr", args, ["name"], 1);
  const name = onlyText(given, "the name of an attribute");
  if (value instanceof Undefined) value.fail();
  const own = ownAttribute(value, name, runtime);
  return own === undefined ? new Undefined(`'${typeName(value)} object' has no attribute '${name}'`) : own;
};

const LONGEST_LINE = 80;

const pprint: Filter = (value, args, { budget }) => {
  bind("pprint", args, []);
  const text = repr(sortedKeys(value, budget), budget);
  if (lengthOf(text) > LONGEST_LINE) throw unsupported("the filter pprint of what needs several lines.");
  return text;
};

function sortedKeys(value: Value, budget: Budget): Value {
  const below = (items: List) => {
    budget.enter();
    budget.items(items.length);
    const made = items.map((item) => sortedKeys(item, budget));
    budget.leave();
    return made;
  };
  if (isList(value)) return below(value);
  if (value instanceof Tuple) return new Tuple(below(value.items));
  if (!(value instanceof Dict)) return value;
  const sorted = new Dict();
  const entries = [...value.entries()].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  const items = below(entries.map(([, item]) => item));
  for (const [at, [key]] of entries.entries()) sorted.set(key, items[at]);
  return sorted;
}

const urlencode: Filter = (value, args, runtime) => {
  bind("urlencode", args, []);
  const quote = (item: Value, query: boolean) => {
    const { text, mark } = unmarked(toText(item, runtime.budget), runtime);
    return mark(runtime.budget.text(percentEncode(text, query)));
  };
  if (isText(value) || iterable(value) === undefined) return quote(value, false);
  const pairs = value instanceof Dict ? [...value.pairs()] : listOf(value, runtime.budget);
  const fields = pairs.map((pair) => {
    const [key, item, ...more] = listOf(pair, runtime.budget);
    if (key === undefined || item === undefined || more.length > 0) throw broken("urlencode wants pairs");
    return `${quote(key, true)}=${quote(item, true)}`;
  });
  return runtime.budget.text(fields.join("&"));
};

function percentEncode(text: string, query: boolean): string {
  const encoded = encodeURIComponent(text.replace(/\p{Surrogate}/gu, "\uFFFD")).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return query ? encoded.replaceAll("%20", "+") : encoded.replaceAll("%2F", "/");
}

export const VALUE_FILTERS: Readonly<Record<string, Filter>> = {
  default: otherwise,
  d: otherwise,
  int,
  float,
  round,
  abs: (value, args, { budget }) => {
    bind("abs", args, []);
    const number = signed(false, value);
    return numberOf(number) !== undefined && Number(numberOf(number)) < 0
      ? arithmetic("*", number, -1n, budget)
      : number;
  },
  filesizeformat,
  tojson,
  attr,
  pprint,
  urlencode,
};
