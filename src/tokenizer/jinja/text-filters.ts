/** Filters that make texts of texts. */
import { asText, bind, onlyText, wholeNumber } from "./arguments.js";
import { broken } from "./fault.js";
import type { Filter } from "./filter.js";
import { escapeHtml, stripTags } from "./html.js";
import { capitalize, titleWords } from "./letters.js";
import { arithmetic, isTrue } from "./operators.js";
import { toText } from "./printing.js";
import { type Runtime, unmarked } from "./runtime.js";
import { lengthOf, slicePoints, splitLines, splitWords, strip } from "./text.js";
import { markedAgain, pad, replaceText } from "./text-methods.js";
import { Dict, Markup, Tuple, Undefined, type Value } from "./values.js";
import { wrapText } from "./word-wrap.js";

type TextFilter = (text: string, args: readonly (Value | undefined)[], runtime: Runtime) => Value;

/** A filter that takes anything as text, without its marks, which what it makes gets again. */
function ofText(name: string, parameters: readonly string[], run: TextFilter, required = 0): Filter {
  return (value, args, runtime) => {
    const bound = bind(name, args, parameters, required);
    const { text, mark } = unmarked(toText(value, runtime.budget), runtime);
    const plain = bound.map((one) => (typeof one === "string" ? unmarked(one, runtime).text : one));
    runtime.budget.work(text.length);
    const made = markedAgain(run(text, plain, runtime), mark);
    if (typeof made === "string") runtime.budget.characters(made.length);
    return value instanceof Markup && typeof made === "string" ? new Markup(made) : made;
  };
}

const trim: TextFilter = (text, [characters]) =>
  strip(text, "both", characters === undefined || characters === null ? undefined : onlyText(characters, "chars"));

const replace: TextFilter = (text, [old, replacement, most], runtime) => {
  const { budget } = runtime;
  const count = most === null ? -1 : wholeNumber(most, -1);
  return replaceText(text, asText(old, "", budget), asText(replacement, "", budget), count, runtime);
};

const truncate: TextFilter = (text, [size, killWords = false, ending, leeway]) => {
  const length = wholeNumber(size, 255);
  const end = ending === undefined ? "..." : onlyText(ending, "end");
  const spare = leeway === undefined || leeway === null ? 5 : wholeNumber(leeway, 5);
  const kept = length - lengthOf(end);
  if (kept < 0) throw broken(`expected length >= ${lengthOf(end)}, got ${length}`);
  if (spare < 0) throw broken(`expected leeway >= 0, got ${spare}`);
  if (lengthOf(text) <= length + spare) return text;
  const start = slicePoints(text, 0, kept);
  const space = isTrue(killWords) ? -1 : start.lastIndexOf(" ");
  return (space < 0 ? start : start.slice(0, space)) + end;
};

const wordwrap: TextFilter = (text, [width, breakLong = true, between, breakHyphens = true], runtime) => {
  const size = wholeNumber(width, 79);
  if (size <= 0) throw broken(`invalid width ${size} (must be > 0)`);
  const separator = between === undefined || between === null ? "\n" : onlyText(between, "wrapstring");
  const options = { width: size, breakLong: isTrue(breakLong), breakHyphens: isTrue(breakHyphens) };
  return splitLines(text)
    .map((line) => wrapText(line, options, runtime.budget).join(separator))
    .join(separator);
};

/** `indent` works on texts alone. */
const indent: Filter = (value, args, runtime) => {
  onlyText(value, "what is indented");
  return indentText(value, args, runtime);
};

const indentText = ofText(
  "indent",
  ["width", "first", "blank"],
  (text, [width, first = false, blank = false], { budget }) => {
    const size = typeof width === "string" ? 0 : wholeNumber(width, 4);
    budget.characters(Math.max(0, size));
    const space = typeof width === "string" ? width : " ".repeat(Math.max(0, size));
    const lines = splitLines(`${text}\n`);
    budget.characters(text.length + space.length * lines.length);
    const indented = lines.map((line, i) =>
      (i === 0 ? isTrue(first) : line !== "" || isTrue(blank)) ? space + line : line,
    );
    return indented.join("\n");
  },
);

const escaped: Filter = (value, args, runtime) => {
  bind("escape", args, []);
  if (value instanceof Markup) return value;
  const { text, mark } = unmarked(toText(value, runtime.budget), runtime);
  return new Markup(mark(runtime.budget.text(escapeHtml(text))));
};

const format: Filter = (value, { positional, named }, { budget }) => {
  if (positional.length > 0 && named.size > 0)
    throw broken("can't handle positional and keyword arguments at the same time");
  const mapping = new Dict();
  for (const [name, item] of named) mapping.set(name, item);
  const text = value instanceof Markup ? value : toText(value, budget);
  return arithmetic("%", text, named.size > 0 ? mapping : new Tuple(positional), budget);
};

const xmlattr: Filter = (value, args, runtime) => {
  const [space = true] = bind("xmlattr", args, ["autospace"]);
  if (!(value instanceof Dict)) throw broken("xmlattr wants a dict");
  const attributes: string[] = [];
  for (const [key, item] of value.entries()) {
    if (item === null || item instanceof Undefined) continue;
    const name = toText(key, runtime.budget);
    if (/[\s/>=]/.test(name)) throw broken(`Invalid character in attribute name: ${JSON.stringify(name)}`);
    const text = item instanceof Markup ? item.text : escapeHtml(toText(item, runtime.budget));
    attributes.push(`${escapeHtml(name)}="${text}"`);
  }
  const joined = runtime.budget.text(attributes.join(" "));
  return joined && isTrue(space) ? ` ${joined}` : joined;
};

export const TEXT_FILTERS: Readonly<Record<string, Filter>> = {
  upper: ofText("upper", [], (text) => text.toUpperCase()),
  lower: ofText("lower", [], (text) => text.toLowerCase()),
  capitalize: ofText("capitalize", [], capitalize),
  title: ofText("title", [], titleWords),
  trim: ofText("trim", ["chars"], trim),
  replace: ofText("replace", ["old", "new", "count"], replace, 2),
  truncate: ofText("truncate", ["length", "killwords", "end", "leeway"], truncate),
  wordwrap: ofText("wordwrap", ["width", "break_long_words", "wrapstring", "break_on_hyphens"], wordwrap),
  wordcount: ofText("wordcount", [], (text) => BigInt(text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0)),
  center: ofText("center", ["width"], (text, [width], runtime) =>
    pad(text, wholeNumber(width, 80), " ", "both", runtime),
  ),
  striptags: ofText("striptags", [], (text) => stripTags(text, splitWords)),
  indent,
  escape: escaped,
  e: escaped,
  forceescape: (value, args, runtime) => escaped(toText(value, runtime.budget), args, runtime),
  safe: (value, args, { budget }) => {
    bind("safe", args, []);
    return new Markup(toText(value, budget));
  },
  string: (value, args, { budget }) => {
    bind("string", args, []);
    return value instanceof Markup ? value : toText(value, budget);
  },
  format,
  xmlattr,
};
