/** Operands of expressions: values with their signs, attributes, items, calls, filters and tests. */
import { broken } from "./fault.js";
import type { Arguments, Expression } from "./syntax.js";
import type { TokenStream } from "./token-stream.js";

/** Attributes, calls and filters on one value. */
const LONGEST_CHAIN = 500;

const CONSTANTS: ReadonlyMap<string, boolean | null> = new Map([
  ["true", true],
  ["True", true],
  ["false", false],
  ["False", false],
  ["none", null],
  ["None", null],
]);

/** What may follow a test without an argument, though it looks like one. */
const AFTER_TEST: ReadonlySet<string> = new Set(["else", "or", "and"]);

export const NO_ARGUMENTS: Arguments = { positional: [], named: [], spread: undefined, spreadNamed: undefined };

export abstract class OperandParser {
  readonly tokens: TokenStream;
  /** Told of every variable that is read. */
  private readonly onName: (name: string) => void;

  constructor(tokens: TokenStream, onName: (name: string) => void) {
    this.tokens = tokens;
    this.onName = onName;
  }

  abstract expression(): Expression;
  abstract tuple(options: { readonly parentheses: boolean }): Expression;

  /** A sign binds closer than a filter: `-1|abs` is 1. */
  protected signed(filters: boolean): Expression {
    const { tokens } = this;
    const { line } = tokens.current;
    let value: Expression;
    if (tokens.isOperator("-") || tokens.isOperator("+")) {
      const negative = tokens.next().text === "-";
      value = { kind: "sign", negative, value: tokens.nested(() => this.signed(false)), line };
    } else {
      value = this.primary();
    }
    return this.chain(value, filters);
  }

  private chain(start: Expression, filters: boolean): Expression {
    const { tokens } = this;
    let value = start;
    for (let length = 0; ; length++) {
      const { line } = tokens.current;
      if (length > LONGEST_CHAIN)
        throw broken(`more than ${LONGEST_CHAIN} filters or attributes follow each other.`, line);
      const filtered = value.kind === "filter" || value.kind === "test";
      const subscript = tokens.isOperator(".") || tokens.isOperator("[");
      if (subscript && !(filtered && length > 0)) value = this.subscript(value);
      else if (tokens.isOperator("(")) value = { kind: "call", callee: value, args: this.arguments(), line };
      else if (filters && tokens.isOperator("|")) value = this.filters(value, 1);
      else if (filters && tokens.is("name", "is")) value = this.test(value);
      else return value;
    }
  }

  /** Filters on a value; the first needs no `|` where there is no value. */
  filters(start: Expression | undefined, most: number): Expression {
    const { tokens } = this;
    let value = start;
    for (let count = 0; count < most && (value === undefined || tokens.isOperator("|")); count++) {
      const { line } = tokens.current;
      if (value !== undefined || count > 0) tokens.next();
      const name = this.dotted();
      const args = tokens.isOperator("(") ? this.arguments() : NO_ARGUMENTS;
      value = { kind: "filter", value, name, args, line };
    }
    if (value === undefined) throw tokens.unexpected("a filter");
    return value;
  }

  private dotted(): string {
    let name = this.tokens.expect("name").text;
    while (this.tokens.skip("operator", ".")) name += `.${this.tokens.expect("name").text}`;
    return name;
  }

  private test(value: Expression): Expression {
    const { tokens } = this;
    const { line } = tokens.next();
    const negated = tokens.skip("name", "not");
    const name = this.dotted();
    const test: Expression = { kind: "test", value, name, args: this.testArguments(), line };
    return negated ? { kind: "not", value: test, line } : test;
  }

  private testArguments(): Arguments {
    const { tokens } = this;
    if (tokens.isOperator("(")) return this.arguments();
    const { kind, text, line } = tokens.current;
    const begins = kind === "name" ? !AFTER_TEST.has(text) : kind !== "operator" || text === "[" || text === "{";
    if (!begins || kind === "blockEnd" || kind === "printEnd" || kind === "end") return NO_ARGUMENTS;
    if (kind === "name" && text === "is") throw broken("tests can't follow each other with is.", line);
    return { ...NO_ARGUMENTS, positional: [tokens.nested(() => this.subscripts(this.primary()))] };
  }

  /** A value with its attributes, items and calls, without filters. */
  private subscripts(value: Expression): Expression {
    return this.chain(value, false);
  }

  private subscript(object: Expression): Expression {
    const { tokens } = this;
    const { line, text } = tokens.next();
    if (text === ".") {
      if (tokens.is("name")) return { kind: "attribute", object, name: tokens.next().text, line };
      const index = integerOf(tokens.expect("integer").text);
      return { kind: "item", object, index: { kind: "constant", value: index, line }, line };
    }
    const first = this.subscribed(object);
    if (first.kind === "slice" && first.object === object) {
      tokens.expect("operator", "]");
      return first;
    }
    if (tokens.skip("operator", "]")) return { kind: "item", object, index: first, line };
    const items = [first];
    while (tokens.skip("operator", ",")) if (!tokens.isOperator("]")) items.push(this.expression());
    tokens.expect("operator", "]");
    return { kind: "item", object, index: { kind: "tuple", items, line }, line };
  }

  /** What stands between brackets: an index, or a slice of `object`. */
  private subscribed(object: Expression): Expression {
    const { tokens } = this;
    const { line } = tokens.current;
    const start = tokens.isOperator(":") ? undefined : this.expression();
    if (!tokens.skip("operator", ":")) {
      if (!start) throw tokens.unexpected("an index");
      return start;
    }
    const part = () => (tokens.isOperator(":") || tokens.isOperator("]") ? undefined : this.expression());
    const stop = part();
    const step = tokens.skip("operator", ":") ? part() : undefined;
    return { kind: "slice", object, start, stop, step, line };
  }

  arguments(): Arguments {
    const { tokens } = this;
    const positional: Expression[] = [];
    const named: { name: string; value: Expression }[] = [];
    let spread: Expression | undefined;
    let spreadNamed: Expression | undefined;
    const { line } = tokens.expect("operator", "(");
    while (!tokens.skip("operator", ")")) {
      if (positional.length + named.length > 0 || spread || spreadNamed) tokens.expect("operator", ",");
      if (tokens.skip("operator", ")")) break;
      const late = spreadNamed !== undefined;
      if (tokens.skip("operator", "*")) {
        if (spread || late) throw broken("the arguments of a call are in a wrong order.", line);
        spread = this.expression();
      } else if (tokens.skip("operator", "**")) {
        if (late) throw broken("the arguments of a call are in a wrong order.", line);
        spreadNamed = this.expression();
      } else if (tokens.is("name") && tokens.following.kind === "operator" && tokens.following.text === "=") {
        if (late) throw broken("the arguments of a call are in a wrong order.", line);
        const name = tokens.next().text;
        tokens.next();
        named.push({ name, value: this.expression() });
      } else {
        if (spread || late || named.length > 0) throw broken("the arguments of a call are in a wrong order.", line);
        positional.push(this.expression());
      }
    }
    return { positional, named, spread, spreadNamed };
  }

  private primary(): Expression {
    const { tokens } = this;
    const { kind, text, line } = tokens.current;
    switch (kind) {
      case "name": {
        tokens.next();
        const constant = CONSTANTS.get(text);
        if (constant !== undefined) return { kind: "constant", value: constant, line };
        this.onName(text);
        return { kind: "name", name: text, line };
      }
      case "string": {
        const parts: string[] = [];
        while (tokens.is("string")) parts.push(tokens.next().text);
        return { kind: "constant", value: parts.join(""), line };
      }
      case "integer":
        return { kind: "constant", value: integerOf(tokens.next().text), line };
      case "float":
        return { kind: "constant", value: Number(tokens.next().text.replaceAll("_", "")), line };
      default:
        return this.bracketed();
    }
  }

  private bracketed(): Expression {
    const { tokens } = this;
    const { line } = tokens.current;
    if (tokens.skip("operator", "(")) {
      const inside = this.tuple({ parentheses: true });
      tokens.expect("operator", ")");
      return inside;
    }
    if (tokens.skip("operator", "[")) {
      return { kind: "list", items: this.series("]", () => this.expression()), line };
    }
    if (!tokens.skip("operator", "{")) throw tokens.unexpected("an expression");
    const entries = this.series("}", () => {
      const key = this.expression();
      tokens.expect("operator", ":");
      return { key, value: this.expression() };
    });
    return { kind: "dict", entries, line };
  }

  private series<T>(end: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.tokens.skip("operator", end)) {
      if (items.length > 0) this.tokens.expect("operator", ",");
      if (this.tokens.skip("operator", end)) break;
      items.push(item());
    }
    return items;
  }
}

/** Beyond this a number is not one that a template needs; parsing it would take long. */
const MOST_DIGITS = 4300;

function integerOf(text: string): bigint {
  const digits = text.replaceAll("_", "");
  if (digits.length > MOST_DIGITS) throw broken(`a number has ${digits.length} digits.`);
  return BigInt(digits);
}
