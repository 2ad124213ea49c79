/** `tojson` as Transformers has it: Python's `json.dumps`, without escapes for HTML. */
import { MARK } from "../message-guard.js";
import type { Budget } from "./budget.js";
import { broken } from "./fault.js";
import { isTrue, orderOf } from "./operators.js";
import { floatText, integerText } from "./printing.js";
import { Dict, isList, Markup, Tuple, typeName, type Value } from "./values.js";

export interface JsonOptions {
  readonly ascii: boolean;
  /** What each level is indented by; undefined: all in one line. */
  readonly indent: string | undefined;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly sortKeys: boolean;
}

/** From the filter's arguments, given as Python takes them. */
export function jsonOptions(
  ascii: Value | undefined,
  indent: Value | undefined,
  separators: Value | undefined,
  sortKeys: Value | undefined,
  budget: Budget,
): JsonOptions {
  const given = separators === undefined || separators === null ? undefined : pairOf(separators);
  const level = indentOf(indent, budget);
  return {
    ascii: isTrue(ascii ?? false),
    indent: level,
    itemSeparator: given?.[0] ?? (level === undefined ? ", " : ","),
    keySeparator: given?.[1] ?? ": ",
    sortKeys: isTrue(sortKeys ?? false),
  };
}

function indentOf(indent: Value | undefined, budget: Budget): string | undefined {
  if (indent === undefined || indent === null) return undefined;
  if (typeof indent === "string") return indent;
  if (typeof indent !== "bigint" && typeof indent !== "boolean")
    throw broken("indent must be a whole number or a text");
  const count = Math.max(0, Number(indent));
  budget.characters(count);
  return " ".repeat(count);
}

function pairOf(value: Value): readonly [string, string] {
  const items = value instanceof Tuple ? value.items : isList(value) ? value : [];
  const [item, key] = items;
  if (items.length !== 2 || typeof item !== "string" || typeof key !== "string") {
    throw broken("separators must be a pair of texts");
  }
  return [item, key];
}

export function toJson(value: Value, options: JsonOptions, budget: Budget, newLine = "\n"): string {
  if (value === null) return "null";
  if (typeof value === "boolean") return String(value);
  if (typeof value === "bigint") return integerText(value);
  if (typeof value === "number") return jsonFloat(value);
  if (typeof value === "string") return budget.text(jsonText(value, options.ascii));
  if (value instanceof Markup) return budget.text(jsonText(value.text, options.ascii));
  budget.enter();
  const text = jsonContainer(value, options, budget, newLine);
  budget.leave();
  return text;
}

function jsonContainer(value: Value, options: JsonOptions, budget: Budget, newLine: string): string {
  const inner = options.indent === undefined ? newLine : newLine + options.indent;
  const each = (item: Value) => toJson(item, options, budget, inner);
  const series = (open: string, parts: readonly string[], close: string) => {
    if (parts.length === 0) return open + close;
    const [before, after] = options.indent === undefined ? ["", ""] : [inner, newLine];
    const separator = options.itemSeparator + before;
    budget.characters(parts.reduce((sum, part) => sum + part.length + separator.length, 2));
    return open + before + parts.join(separator) + after + close;
  };
  const items = isList(value) ? value : value instanceof Tuple ? value.items : undefined;
  if (items) return series("[", items.map(each), "]");
  if (!(value instanceof Dict)) throw broken(`Object of type ${typeName(value)} is not JSON serializable`);
  const entries = [...value.entries()];
  if (options.sortKeys) entries.sort(([a], [b]) => orderOf(a, b, budget));
  const member = ([key, item]: readonly [Value, Value]) =>
    `${budget.text(jsonText(keyText(key), options.ascii))}${options.keySeparator}${each(item)}`;
  return series("{", entries.map(member), "}");
}

function keyText(key: Value): string {
  if (typeof key === "string") return key;
  if (key instanceof Markup) return key.text;
  if (key === null) return "null";
  if (typeof key === "boolean") return String(key);
  if (typeof key === "bigint") return integerText(key);
  if (typeof key === "number") return jsonFloat(key);
  throw broken(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

function jsonFloat(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "Infinity" : "-Infinity";
  return floatText(value);
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\b": "\\b",
  "\f": "\\f",
};

function jsonText(text: string, ascii: boolean): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is escaped
  const escaped = text.replace(/["\\\x00-\x1f]/g, (character) => ESCAPES[character] ?? unicodeEscape(character));
  if (!ascii) return `"${escaped}"`;
  return `"${escaped.replace(/[\x7f-\uffff]/g, (unit) => (unit === MARK ? unit : unicodeEscape(unit)))}"`;
}

function unicodeEscape(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
