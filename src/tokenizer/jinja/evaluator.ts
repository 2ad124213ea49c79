/** Values of expressions. */
import { getAttribute, getItem } from "./attributes.js";
import { broken, Fault } from "./fault.js";
import { iterate } from "./iteration.js";
import { arithmetic, compare, isTrue, signed } from "./operators.js";
import { toText } from "./printing.js";
import type { Runtime } from "./runtime.js";
import type { Scope } from "./scope.js";
import { slice } from "./slices.js";
import type { Arguments, Expression } from "./syntax.js";
import { type CallArguments, Dict, Tuple, Undefined, type Value } from "./values.js";

type Of<Kind extends Expression["kind"]> = Extract<Expression, { kind: Kind }>;

/** A dict, and each of its entries, takes the memory of so many items of a list. */
const ITEMS_OF_DICT = 8;

export class Evaluator {
  private readonly runtime: Runtime;

  constructor(runtime: Runtime) {
    this.runtime = runtime;
  }

  /** @param body what a filter without a value of its own works on */
  evaluate(expression: Expression, scope: Scope, body?: Value): Value {
    if (expression.kind === "constant") return expression.value;
    const { budget } = this.runtime;
    budget.step();
    if (expression.kind === "name") return this.name(expression.name, scope);
    budget.enter();
    try {
      return this.compound(expression, scope, body);
    } catch (error) {
      if (error instanceof Fault) error.line ??= expression.line;
      throw error;
    } finally {
      budget.leave();
    }
  }

  private name(name: string, scope: Scope): Value {
    const value = scope.get(name);
    return value === undefined ? new Undefined(`'${name}' is undefined`) : value;
  }

  private compound(expression: Expression, scope: Scope, body: Value | undefined): Value {
    const of = (part: Expression) => this.evaluate(part, scope, body);
    const runtime = this.runtime;
    switch (expression.kind) {
      case "constant":
        return expression.value;
      case "name":
        return this.name(expression.name, scope);
      case "attribute":
        return getAttribute(of(expression.object), expression.name, runtime);
      case "item":
        return getItem(of(expression.object), of(expression.index), runtime);
      case "call":
        return runtime.call(of(expression.callee), this.arguments(expression.args, scope, body));
      case "filter": {
        const value = expression.value === undefined ? (body ?? "") : of(expression.value);
        return runtime.filter(expression.name, value, this.arguments(expression.args, scope, body));
      }
      case "test":
        return runtime.test(expression.name, of(expression.value), this.arguments(expression.args, scope, body));
      case "not":
        return !isTrue(of(expression.value));
      case "sign":
        return signed(expression.negative, of(expression.value));
      case "and":
      case "or":
        return this.logic(expression, of);
      case "choice":
        return this.choice(expression, of);
      case "compare":
        return this.compare(expression, of);
      case "arithmetic":
        return this.arithmetic(expression, of);
      case "concat":
        return this.concat(expression, of);
      case "slice":
        return this.slice(expression, of);
      case "dict":
        return this.dict(expression, of);
      default:
        return this.series(expression, of);
    }
  }

  private logic({ kind, parts }: Of<"and" | "or">, of: (part: Expression) => Value): Value {
    let value: Value = null;
    for (const part of parts) {
      value = of(part);
      if (isTrue(value) === (kind === "or")) break;
    }
    return value;
  }

  private choice({ test, value, otherwise, line }: Of<"choice">, of: (part: Expression) => Value): Value {
    if (isTrue(of(test))) return of(value);
    if (otherwise) return of(otherwise);
    return new Undefined(
      `the inline if-expression on line ${line} evaluated to false and no else section was defined.`,
    );
  }

  private compare({ first, rest }: Of<"compare">, of: (part: Expression) => Value): Value {
    let left = of(first);
    for (const { operator, value } of rest) {
      const right = of(value);
      if (!compare(operator, left, right, this.runtime.budget)) return false;
      left = right;
    }
    return true;
  }

  private arithmetic({ first, rest }: Of<"arithmetic">, of: (part: Expression) => Value): Value {
    return rest.reduce(
      (left, { operator, value }) => arithmetic(operator, left, of(value), this.runtime.budget),
      of(first),
    );
  }

  private concat({ parts }: Of<"concat">, of: (part: Expression) => Value): Value {
    const { budget } = this.runtime;
    return budget.text(parts.map((part) => toText(of(part), budget)).join(""));
  }

  private slice({ object, start, stop, step }: Of<"slice">, of: (part: Expression) => Value): Value {
    const value = of(object);
    const bound = (part: Expression | undefined) => (part ? of(part) : undefined);
    return slice(value, { start: bound(start), stop: bound(stop), step: bound(step) }, this.runtime);
  }

  private dict({ entries }: Of<"dict">, of: (part: Expression) => Value): Value {
    this.runtime.budget.items(ITEMS_OF_DICT * (entries.length + 1));
    const dict = new Dict();
    for (const { key, value } of entries) dict.set(of(key), of(value));
    return dict;
  }

  private series({ kind, items }: Of<"list" | "tuple">, of: (part: Expression) => Value): Value {
    this.runtime.budget.items(items.length + 1);
    const values = items.map(of);
    return kind === "tuple" ? new Tuple(values) : values;
  }

  arguments({ positional, named, spread, spreadNamed }: Arguments, scope: Scope, body?: Value): CallArguments {
    const { budget } = this.runtime;
    const values = positional.map((part) => this.evaluate(part, scope, body));
    if (spread) {
      for (const value of iterate(this.evaluate(spread, scope, body), budget)) {
        budget.items(1);
        values.push(value);
      }
    }
    const byName = new Map(named.map(({ name, value }) => [name, this.evaluate(value, scope, body)]));
    if (byName.size < named.length) throw broken("a keyword argument is repeated");
    if (!spreadNamed) return { positional: values, named: byName };
    const more = this.evaluate(spreadNamed, scope, body);
    if (!(more instanceof Dict)) throw broken("argument after ** must be a mapping");
    budget.items(more.size);
    for (const [key, value] of more.entries()) {
      if (typeof key !== "string" || byName.has(key)) throw broken("keywords must be texts, each given once");
      byName.set(key, value);
    }
    return { positional: values, named: byName };
  }
}
