/** Expressions of templates, with Jinja2's precedence: `or`, `and`, `not`, comparisons, `+ -`, `~`, `* / // %`, `**`, signs. */
import { OperandParser } from "./operand-parser.js";
import type { ArithmeticOperator, CompareOperator, Expression, Operand } from "./syntax.js";

const SUMS: ReadonlySet<string> = new Set(["+", "-"]);
const PRODUCTS: ReadonlySet<string> = new Set(["*", "/", "//", "%"]);
const POWERS: ReadonlySet<string> = new Set(["**"]);
const COMPARISONS: ReadonlySet<string> = new Set(["==", "!=", "<", ">", "<=", ">="]);
export class ExpressionParser extends OperandParser {
  override expression(): Expression {
    return this.tokens.nested(() => this.choice());
  }

  /** One expression or, with commas, a tuple; `choice`: whether `a if b` is part of it. */
  override tuple({ choice = true, parentheses = false } = {}): Expression {
    const { tokens } = this;
    const { line } = tokens.current;
    const items: Expression[] = [];
    let isTuple = false;
    while (!this.endsTuple()) {
      items.push(choice ? this.expression() : tokens.nested(() => this.or()));
      if (!tokens.skip("operator", ",")) break;
      isTuple = true;
    }
    if (!isTuple && items.length > 0) return items[0];
    if (items.length === 0 && !parentheses) throw tokens.unexpected("an expression");
    return { kind: "tuple", items, line };
  }

  /** An expression without `a if b`. */
  withoutChoice(): Expression {
    return this.tokens.nested(() => this.or());
  }

  private endsTuple(): boolean {
    const { tokens } = this;
    return tokens.is("blockEnd") || tokens.is("printEnd") || tokens.isOperator(")") || tokens.is("name", "in");
  }

  private choice(): Expression {
    const { tokens } = this;
    const { line } = tokens.current;
    let value = this.or();
    while (tokens.skip("name", "if")) {
      const test = this.or();
      const otherwise = tokens.skip("name", "else") ? this.expression() : undefined;
      value = { kind: "choice", test, value, otherwise, line };
    }
    return value;
  }

  private or(): Expression {
    return this.logic("or", () => this.logic("and", () => this.not()));
  }

  private logic(kind: "and" | "or", part: () => Expression): Expression {
    const { line } = this.tokens.current;
    const first = part();
    if (!this.tokens.is("name", kind)) return first;
    const parts = [first];
    while (this.tokens.skip("name", kind)) parts.push(part());
    return { kind, parts, line };
  }

  private not(): Expression {
    const { line } = this.tokens.current;
    if (!this.tokens.skip("name", "not")) return this.compare();
    return { kind: "not", value: this.tokens.nested(() => this.not()), line };
  }

  private compare(): Expression {
    const { line } = this.tokens.current;
    const first = this.sum();
    const rest: Operand<CompareOperator>[] = [];
    for (let operator = this.comparison(); operator; operator = this.comparison()) {
      rest.push({ operator, value: this.sum() });
    }
    return rest.length === 0 ? first : { kind: "compare", first, rest, line };
  }

  private comparison(): CompareOperator | undefined {
    const { tokens } = this;
    const { text } = tokens.current;
    if (tokens.is("operator") && isComparison(text)) {
      tokens.next();
      return text;
    }
    if (tokens.skip("name", "in")) return "in";
    if (!tokens.is("name", "not") || tokens.following.kind !== "name" || tokens.following.text !== "in")
      return undefined;
    tokens.next();
    tokens.next();
    return "not in";
  }

  private sum(): Expression {
    return this.arithmetic(SUMS, () => this.concat());
  }

  private concat(): Expression {
    const { line } = this.tokens.current;
    const first = this.product();
    if (!this.tokens.isOperator("~")) return first;
    const parts = [first];
    while (this.tokens.skip("operator", "~")) parts.push(this.product());
    return { kind: "concat", parts, line };
  }

  private product(): Expression {
    return this.arithmetic(PRODUCTS, () => this.arithmetic(POWERS, () => this.signed(true)));
  }

  private arithmetic(operators: ReadonlySet<string>, operand: () => Expression): Expression {
    const { tokens } = this;
    const { line } = tokens.current;
    const first = operand();
    const rest: Operand<ArithmeticOperator>[] = [];
    while (tokens.is("operator") && isArithmetic(tokens.current.text, operators)) {
      const { text } = tokens.next();
      if (isArithmetic(text, operators)) rest.push({ operator: text, value: operand() });
    }
    return rest.length === 0 ? first : { kind: "arithmetic", first, rest, line };
  }
}

function isComparison(text: string): text is CompareOperator {
  return COMPARISONS.has(text);
}

function isArithmetic(text: string, operators: ReadonlySet<string>): text is ArithmeticOperator {
  return operators.has(text);
}
