/** Python's `str.format`: fields in braces, with attributes, items, conversions and format specifications. */
import { broken } from "./fault.js";
import { formatValue } from "./format-spec.js";
import { asciiRepr } from "./percent-format.js";
import { repr, toText } from "./printing.js";
import type { Runtime } from "./runtime.js";
import type { CallArguments, Value } from "./values.js";

/** A specification may hold fields, whose own may not. */
const DEEPEST = 2;

export class BraceFormat {
  private readonly args: CallArguments;
  private readonly runtime: Runtime;
  private automatic: number | undefined;
  private manual = false;

  constructor(args: CallArguments, runtime: Runtime) {
    this.args = args;
    this.runtime = runtime;
  }

  format(text: string, depth = DEEPEST): string {
    if (depth <= 0) throw broken("Max string recursion exceeded");
    const parts: string[] = [];
    for (let at = 0; at < text.length; ) {
      const brace = text.slice(at).search(/[{}]/);
      if (brace < 0) {
        parts.push(text.slice(at));
        break;
      }
      const open = at + brace;
      parts.push(text.slice(at, open));
      if (text[open + 1] === text[open]) {
        parts.push(text[open]);
        at = open + 2;
        continue;
      }
      if (text[open] === "}") throw broken("Single '}' encountered in format string");
      const close = fieldEnd(text, open);
      parts.push(this.field(text.slice(open + 1, close), depth));
      at = close + 1;
    }
    return this.runtime.budget.text(parts.join(""));
  }

  private field(field: string, depth: number): string {
    const colon = /^(?:\[[^\]]*\]|[^:[])*:/.exec(field)?.[0].length;
    const head = colon === undefined ? field : field.slice(0, colon - 1);
    const spec = colon === undefined ? "" : this.format(field.slice(colon), depth - 1);
    const [, name, conversion] = /^(.*?)(?:!(.*))?$/s.exec(head) ?? [];
    if (conversion !== undefined && !/^[rsa]$/.test(conversion)) {
      throw broken(`unknown conversion ${JSON.stringify(conversion)} in a format string`);
    }
    const value = this.lookUp(name ?? "");
    const { budget } = this.runtime;
    if (conversion === undefined) return formatValue(value, spec, budget);
    const text = { r: repr, s: toText, a: asciiRepr }[conversion as "r" | "s" | "a"](value, budget);
    return formatValue(text, spec, budget);
  }

  private lookUp(field: string): Value {
    const [first] = /^[^.[]*/.exec(field) ?? [""];
    const rest = field.slice(first.length);
    let value = this.argument(first, rest);
    const steps = /\.([^.[]+)|\[([^\]]+)\]/y;
    while (steps.lastIndex < rest.length) {
      const step = steps.exec(rest);
      if (!step) throw broken("a field of a format string is malformed");
      const [, attribute, item] = step;
      if (attribute !== undefined) value = this.runtime.attribute(value, attribute);
      else value = this.runtime.item(value, /^\d+$/.test(item) ? BigInt(item) : item);
    }
    return value;
  }

  private argument(name: string, rest: string): Value {
    const { positional, named } = this.args;
    const automatic = name === "" && rest === "";
    if (!automatic && !/^\d+$/.test(name)) {
      const value = named.get(name);
      if (value === undefined) throw broken(`a format string asks for ${JSON.stringify(name)}, which it does not get`);
      return value;
    }
    if (automatic ? this.manual : this.automatic !== undefined && rest === "") {
      throw broken("a format string numbers some of its fields and others not");
    }
    if (automatic) this.automatic = (this.automatic ?? -1) + 1;
    else this.manual ||= rest === "";
    const value = positional[automatic ? (this.automatic ?? 0) : Number(name)];
    if (value === undefined) throw broken("a format string has more fields than it gets values");
    return value;
  }
}

function fieldEnd(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    if (text[at] === "{") depth++;
    if (text[at] === "}" && --depth === 0) return at;
  }
  throw broken("expected '}' before end of string");
}
