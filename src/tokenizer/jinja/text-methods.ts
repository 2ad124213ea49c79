/** The methods of Python's `str`. A guarded text is read without its marks, and what is made of it is marked anew. */
import { bind, onlyText, wholeNumber } from "./arguments.js";
import { BraceFormat } from "./brace-format.js";
import type { Budget } from "./budget.js";
import { broken, unsupported } from "./fault.js";
import { listOf } from "./iteration.js";
import { CLASSES, capitalize, swapCase, titleCase } from "./letters.js";
import { isTrue } from "./operators.js";
import { isPrintable } from "./printing.js";
import { type Runtime, unmarked } from "./runtime.js";
import { indexIn, lastIndexIn, splitBy } from "./search.js";
import { isBlank, lengthOf, slicePoints, splitLines, splitWords, splitWordsRight, strip } from "./text.js";
import { type CallArguments, Dict, isList, Tuple, typeName, type Value } from "./values.js";

type Method = (text: string, args: CallArguments, runtime: Runtime) => Value;

/** A method without parameters. */
function simple(name: string, run: (text: string) => Value): Method {
  return (text, args) => {
    bind(name, args, []);
    return run(text);
  };
}

function stripping(side: "left" | "right" | "both"): Method {
  return (text, args) => {
    const [characters] = bind("strip", args, ["chars"]);
    return strip(
      text,
      side,
      characters === undefined || characters === null ? undefined : onlyText(characters, "chars"),
    );
  };
}

/** The window of a text that `find`, `count`, `startswith` look at, in UTF-16 units. */
function windowOf(text: string, from: Value | undefined, to: Value | undefined) {
  const length = lengthOf(text);
  const place = (value: Value | undefined, otherwise: number) => {
    const at = value === null ? otherwise : wholeNumber(value, otherwise);
    return at < 0 ? Math.max(0, at + length) : at;
  };
  const [start, stop] = [place(from, 0), Math.min(length, place(to, length))];
  const before = slicePoints(text, 0, Math.min(start, length)).length;
  return { start, before, valid: start <= stop, text: start <= stop ? slicePoints(text, start, stop) : "" };
}

function finding(name: string, last: boolean, must: boolean): Method {
  return (text, args, { budget }) => {
    const [wanted, from, to] = bind(name, args, ["sub", "start", "end"], 1);
    const needle = onlyText(wanted, "what is looked for");
    const window = windowOf(text, from, to);
    const found = () => (last ? lastIndexIn(window.text, needle, budget) : indexIn(window.text, needle, 0, budget));
    const at = window.valid ? found() : -1;
    if (at < 0 && must) throw broken("substring not found");
    return BigInt(at < 0 ? -1 : window.start + lengthOf(window.text.slice(0, at)));
  };
}

function affixed(name: string, matches: (text: string, affix: string) => boolean): Method {
  return (text, args, { budget }) => {
    const [affix, from, to] = bind(name, args, ["affix", "start", "end"], 1);
    const window = windowOf(text, from, to);
    const affixes = affix instanceof Tuple ? affix.items : [affix];
    return affixes.some((one) => {
      const wanted = onlyText(one, `the argument of ${name}`);
      budget.work(wanted.length);
      return window.valid && matches(window.text, wanted);
    });
  };
}

const count: Method = (text, args, { budget }) => {
  const [wanted, from, to] = bind("count", args, ["sub", "start", "end"], 1);
  const needle = onlyText(wanted, "what is counted");
  const window = windowOf(text, from, to);
  if (!window.valid) return 0n;
  return BigInt(needle === "" ? lengthOf(window.text) + 1 : splitBy(window.text, needle, budget).length - 1);
};

export function replaceText(text: string, old: string, replacement: string, most: number, runtime: Runtime): string {
  const limit = most < 0 ? Number.POSITIVE_INFINITY : most;
  const points = old === "" ? [...text] : undefined;
  const { budget } = runtime;
  const places = points ? Math.min(points.length + 1, limit) : occurrences(text, old, limit, budget);
  budget.characters(text.length + places * (replacement.length - old.length));
  if (!points) return replaceFirst(text, old, replacement, places, budget);
  const pieces = points.map((point, i) => (i < places ? replacement + point : point));
  return pieces.join("") + (places > points.length ? replacement : "");
}

function occurrences(text: string, old: string, limit: number, budget: Budget): number {
  let found = 0;
  let at = indexIn(text, old, 0, budget);
  for (; at >= 0 && found < limit; at = indexIn(text, old, at + old.length, budget)) found++;
  return found;
}

function replaceFirst(text: string, old: string, replacement: string, places: number, budget: Budget): string {
  const parts: string[] = [];
  let start = 0;
  for (let i = 0; i < places; i++) {
    const at = indexIn(text, old, start, budget);
    parts.push(text.slice(start, at), replacement);
    start = at + old.length;
  }
  return parts.join("") + text.slice(start);
}

const replace: Method = (text, args, runtime) => {
  const [old, replacement, most] = bind("replace", args, ["old", "new", "count"], 2);
  return replaceText(text, onlyText(old, "old"), onlyText(replacement, "new"), wholeNumber(most, -1), runtime);
};

function splitting(right: boolean): Method {
  return (text, args, { budget }) => {
    const [separator = null, most] = bind("split", args, ["sep", "maxsplit"]);
    const cuts = wholeNumber(most, -1);
    const limit = cuts < 0 ? Number.POSITIVE_INFINITY : cuts;
    const parts =
      separator === null
        ? (right ? splitWordsRight : splitWords)(text, limit)
        : cut(text, onlyText(separator, "sep"), limit, right, budget);
    budget.items(parts.length);
    return parts;
  };
}

function cut(text: string, separator: string, limit: number, right: boolean, budget: Budget): string[] {
  if (separator === "") throw broken("empty separator");
  const parts = splitBy(text, separator, budget);
  if (parts.length - 1 <= limit) return parts;
  const rest = right ? parts.splice(0, parts.length - limit) : parts.splice(limit);
  return right ? [rest.join(separator), ...parts] : [...parts, rest.join(separator)];
}

function partition(last: boolean): Method {
  return (text, args, { budget }) => {
    const [separator] = bind("partition", args, ["sep"], 1);
    const by = onlyText(separator, "sep");
    if (by === "") throw broken("empty separator");
    const at = last ? lastIndexIn(text, by, budget) : indexIn(text, by, 0, budget);
    if (at < 0) return new Tuple(last ? ["", "", text] : [text, "", ""]);
    return new Tuple([text.slice(0, at), by, text.slice(at + by.length)]);
  };
}

/** Spaces (or another character) before and after a text, up to a width. */
export function pad(
  text: string,
  width: number,
  fill: string,
  side: "left" | "right" | "both",
  runtime: Runtime,
): string {
  if (lengthOf(fill) !== 1) throw broken("The fill character must be exactly one character long");
  const missing = width - lengthOf(text);
  if (missing <= 0) return text;
  runtime.budget.characters(text.length + missing * fill.length);
  if (side === "left") return fill.repeat(missing) + text;
  if (side === "right") return text + fill.repeat(missing);
  const left = (missing >> 1) + (missing & width & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

function padding(name: string, side: "left" | "right" | "both"): Method {
  return (text, args, runtime) => {
    const [width, fill] = bind(name, args, ["width", "fillchar"], 1);
    return pad(text, wholeNumber(width, 0), fill === undefined ? " " : onlyText(fill, "fillchar"), side, runtime);
  };
}

const zfill: Method = (text, args, runtime) => {
  const [width] = bind("zfill", args, ["width"], 1);
  const sign = /^[-+]/.exec(text)?.[0] ?? "";
  return sign + pad(text.slice(sign.length), wholeNumber(width, 0) - sign.length, "0", "left", runtime);
};

const expandtabs: Method = (text, args, { budget }) => {
  const size = wholeNumber(bind("expandtabs", args, ["tabsize"])[0], 8);
  let column = 0;
  const parts: string[] = [];
  for (const character of text) {
    const spaces = size > 0 ? size - (column % size) : 0;
    if (character === "\t") budget.characters(spaces);
    parts.push(character === "\t" ? " ".repeat(spaces) : character);
    column = character === "\n" || character === "\r" ? 0 : column + (character === "\t" ? spaces : 1);
  }
  return parts.join("");
};

const join: Method = (text, args, { budget }) => {
  const [items = null] = bind("join", args, ["iterable"], 1);
  const parts = listOf(items, budget).map((item) => onlyText(item, "an item of join"));
  budget.characters(parts.reduce((sum, part) => sum + part.length, text.length * Math.max(0, parts.length - 1)));
  return parts.join(text);
};

const format: Method = (text, args, runtime) => braceFormat(text, args, runtime);

const formatMap: Method = (text, args, runtime) => {
  const [mapping] = bind("format_map", args, ["mapping"], 1);
  if (!(mapping instanceof Dict)) throw broken("format_map() argument must be a dict");
  const named = new Map<string, Value>();
  for (const [key, value] of mapping.entries()) if (typeof key === "string") named.set(key, value);
  return braceFormat(text, { positional: [], named }, runtime);
};

function braceFormat(text: string, args: CallArguments, runtime: Runtime): string {
  return new BraceFormat(args, runtime).format(text);
}

const splitlines: Method = (text, args, { budget }) => {
  const lines = splitLines(text, isTrue(bind("splitlines", args, ["keepends"])[0] ?? false));
  budget.items(lines.length);
  return lines;
};

function removing(name: string, remove: (text: string, affix: string) => string): Method {
  return (text, args) => remove(text, onlyText(bind(name, args, ["affix"], 1)[0], "the affix"));
}

const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["strip", stripping("both")],
  ["lstrip", stripping("left")],
  ["rstrip", stripping("right")],
  ["upper", simple("upper", (text) => text.toUpperCase())],
  ["lower", simple("lower", (text) => text.toLowerCase())],
  ["casefold", simple("casefold", (text) => text.replaceAll("ß", "ss").toLowerCase())],
  ["capitalize", simple("capitalize", capitalize)],
  ["title", simple("title", titleCase)],
  ["swapcase", simple("swapcase", swapCase)],
  ...Object.entries(CLASSES).map(([name, test]): [string, Method] => [name, simple(name, test)]),
  ["isspace", simple("isspace", (text) => text !== "" && isBlank(text))],
  ["isprintable", simple("isprintable", isPrintable)],
  ["find", finding("find", false, false)],
  ["rfind", finding("rfind", true, false)],
  ["index", finding("index", false, true)],
  ["rindex", finding("rindex", true, true)],
  ["count", count],
  ["startswith", affixed("startswith", (text, affix) => text.startsWith(affix))],
  ["endswith", affixed("endswith", (text, affix) => text.endsWith(affix))],
  [
    "removeprefix",
    removing("removeprefix", (text, affix) => (text.startsWith(affix) ? text.slice(affix.length) : text)),
  ],
  [
    "removesuffix",
    removing("removesuffix", (text, affix) => (affix && text.endsWith(affix) ? text.slice(0, -affix.length) : text)),
  ],
  ["replace", replace],
  ["split", splitting(false)],
  ["rsplit", splitting(true)],
  ["splitlines", splitlines],
  ["partition", partition(false)],
  ["rpartition", partition(true)],
  ["center", padding("center", "both")],
  ["ljust", padding("ljust", "right")],
  ["rjust", padding("rjust", "left")],
  ["zfill", zfill],
  ["expandtabs", expandtabs],
  ["join", join],
  ["format", format],
  ["format_map", formatMap],
  ...["encode", "translate", "maketrans"].map((name): [string, Method] => [name, () => missing(name)]),
]);

export const TEXT_METHODS: ReadonlySet<string> = new Set(METHODS.keys());

function missing(name: string): never {
  throw unsupported(`the method ${name} of texts.`);
}

/** Methods whose text is put around other texts, which keep their marks. */
const WRAPPING: ReadonlySet<string> = new Set(["join", "format", "format_map"]);

export function callTextMethod(text: string, name: string, args: CallArguments, runtime: Runtime): Value {
  const method = METHODS.get(name);
  if (!method) throw broken(`str has no method ${name} for ${typeName(text)}`);
  runtime.budget.work(text.length);
  if (WRAPPING.has(name)) return method(text, args, runtime);
  const guarded = unmarked(text, runtime);
  const plain = { ...args, positional: args.positional.map((value) => withoutMarks(value, runtime)) };
  return markedAgain(method(guarded.text, plain, runtime), guarded.mark);
}

function withoutMarks(value: Value, runtime: Runtime): Value {
  if (value instanceof Tuple) return new Tuple(value.items.map((item) => withoutMarks(item, runtime)));
  return typeof value === "string" ? unmarked(value, runtime).text : value;
}

export function markedAgain(value: Value, mark: (text: string) => string): Value {
  if (typeof value === "string") return mark(value);
  if (isList(value)) return value.map((item) => markedAgain(item, mark));
  return value instanceof Tuple ? new Tuple(value.items.map((item) => markedAgain(item, mark))) : value;
}
