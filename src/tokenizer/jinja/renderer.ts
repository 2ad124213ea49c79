/** Runs a parsed template: statements one after the other, writing text. */
import { getAttribute, getItem } from "./attributes.js";
import { Budget, type BudgetOptions } from "./budget.js";
import { Evaluator } from "./evaluator.js";
import { broken, Fault, unsupported } from "./fault.js";
import { applyFilter } from "./filters.js";
import { globalsOf } from "./globals.js";
import { iterate, listOf } from "./iteration.js";
import { LoopState } from "./loop-state.js";
import { Macro } from "./macro.js";
import { equals, isTrue } from "./operators.js";
import { toText } from "./printing.js";
import type { Runtime } from "./runtime.js";
import { Scope } from "./scope.js";
import type { Expression, ForLoop, MacroDefinition, Statement, Target, Template } from "./syntax.js";
import { applyTest } from "./tests.js";
import {
  type CallArguments,
  Callable,
  Namespace,
  NativeFunction,
  Thing,
  typeName,
  Undefined,
  type Value,
} from "./values.js";

export interface RenderSettings extends BudgetOptions {
  readonly remark?: ((text: string) => string) | undefined;
  readonly now: Date;
}

/** Why a body ended before its end. */
type Jump = "break" | "continue" | undefined;
type Of<Kind extends Statement["kind"]> = Extract<Statement, { kind: Kind }>;

/** @throws Fault, and Interrupt with what `check` threw */
export function renderTemplate(
  template: Template,
  variables: (budget: Budget) => Iterable<readonly [string, Value]>,
  settings: RenderSettings,
): string {
  return new Renderer(template, settings).render(variables);
}

class Renderer implements Runtime {
  readonly budget: Budget;
  readonly remark: ((text: string) => string) | undefined;
  readonly now: Date;
  private readonly template: Template;
  private readonly evaluator: Evaluator;
  private readonly root: Scope;
  private out: string[] = [];

  constructor(template: Template, settings: RenderSettings) {
    this.budget = new Budget(settings);
    this.remark = settings.remark;
    this.now = settings.now;
    this.template = template;
    this.evaluator = new Evaluator(this);
    this.root = new Scope(new Scope(undefined, globalsOf(this)));
  }

  render(variables: (budget: Budget) => Iterable<readonly [string, Value]>): string {
    for (const [name, value] of variables(this.budget)) this.root.set(name, value);
    this.root.set("self", this.self());
    return this.captured(() => this.body(this.template.body, this.root));
  }

  attribute(object: Value, name: string): Value {
    return getAttribute(object, name, this);
  }

  item(object: Value, key: Value): Value {
    return getItem(object, key, this);
  }

  filter(name: string, value: Value, args: CallArguments): Value {
    return applyFilter(name, value, args, this);
  }

  test(name: string, value: Value, args: CallArguments): boolean {
    return applyTest(name, value, args, this);
  }

  call(callee: Value, args: CallArguments): Value {
    if (callee instanceof Undefined) callee.fail();
    if (!(callee instanceof Callable)) throw broken(`'${typeName(callee)}' object is not callable`);
    this.budget.enter();
    const value = callee.call(args);
    this.budget.leave();
    return value;
  }

  private body(body: readonly Statement[], scope: Scope): Jump {
    for (const statement of body) {
      if (statement.kind === "text") {
        this.write(statement.text);
        continue;
      }
      this.budget.step();
      try {
        const jump = this.statement(statement, scope);
        if (jump) return jump;
      } catch (error) {
        if (error instanceof Fault) error.line ??= statement.line;
        throw error;
      }
    }
    return undefined;
  }

  private statement(statement: Statement, scope: Scope): Jump {
    switch (statement.kind) {
      case "text":
        this.write(statement.text);
        return undefined;
      case "print":
        for (const value of statement.values) this.write(toText(this.evaluator.evaluate(value, scope), this.budget));
        return undefined;
      case "if":
        return this.if(statement, scope);
      case "for":
        return this.for(statement, scope);
      case "break":
      case "continue":
        return statement.kind;
      case "with":
        return this.with(statement, scope);
      case "scope":
        return this.body(statement.body, new Scope(scope));
      case "unsupported":
        throw unsupported(statement.what);
      default:
        return this.definition(statement, scope);
    }
  }

  /** Statements that define something, or do something with the text of their body. */
  private definition(
    statement: Of<"set" | "setBlock" | "macro" | "callBlock" | "filterBlock" | "block">,
    scope: Scope,
  ): Jump {
    switch (statement.kind) {
      case "set":
        this.assign(statement.target, this.evaluator.evaluate(statement.value, scope), scope);
        return undefined;
      case "macro":
        scope.set(statement.definition.name, this.macro(statement.definition, scope));
        return undefined;
      case "callBlock": {
        const { callee, args } = statement.call;
        const called = this.evaluator.evaluate(callee, scope);
        const given = this.evaluator.arguments(args, scope);
        const named = new Map(given.named).set("caller", this.macro(statement.definition, scope));
        this.write(toText(this.call(called, { ...given, named }), this.budget));
        return undefined;
      }
      case "block":
        return this.body(statement.body, new Scope(statement.scoped ? scope : this.root));
      default:
        return this.filtered(statement, scope);
    }
  }

  private filtered(statement: Of<"setBlock" | "filterBlock">, scope: Scope): Jump {
    let jump: Jump;
    const text = this.captured(() => {
      jump = this.body(statement.body, new Scope(scope));
    });
    // The text of a body that is left by a jump goes with it.
    if (jump) return jump;
    const value = statement.filter ? this.evaluator.evaluate(statement.filter, scope, text) : text;
    if (statement.kind === "setBlock") this.assign(statement.target, value, scope);
    else this.write(toText(value, this.budget));
    return undefined;
  }

  private if({ branches, otherwise }: Of<"if">, scope: Scope): Jump {
    for (const { test, body } of branches) {
      if (isTrue(this.evaluator.evaluate(test, scope))) return this.body(body, scope);
    }
    return this.body(otherwise, scope);
  }

  private with({ bindings, body }: Of<"with">, scope: Scope): Jump {
    const inner = new Scope(scope);
    for (const { target, value } of bindings) this.assign(target, this.evaluator.evaluate(value, scope), inner);
    return this.body(body, inner);
  }

  private for(loop: Of<"for">, scope: Scope): Jump {
    return this.loop(loop, this.evaluator.evaluate(loop.iterable, scope), scope, 0);
  }

  private loop(loop: ForLoop, over: Value, scope: Scope, depth: number): Jump {
    const items = loop.test ? this.chosen(loop, loop.test, over, scope) : listOf(over, this.budget);
    const same = (a: Value, b: Value) => equals(a, b, this.budget);
    const again = (inner: Value, deeper: number) => this.captured(() => this.loop(loop, inner, scope, deeper));
    const state = new LoopState(items, depth, same, loop.recursive ? again : undefined);
    let whole = false;
    for (const item of items) {
      this.budget.step();
      const inner = new Scope(scope, [["loop", state]]);
      this.assign(loop.target, item, inner);
      const jump = this.body(loop.body, inner);
      if (jump === "break") break;
      whole ||= jump === undefined;
      state.index++;
    }
    // Jinja2 takes a loop none of whose rounds came to its end for one without items.
    return !whole ? this.body(loop.otherwise, new Scope(scope)) : undefined;
  }

  private chosen({ target }: ForLoop, test: Expression, over: Value, scope: Scope): Value[] {
    const chosen: Value[] = [];
    for (const item of iterate(over, this.budget)) {
      const inner = new Scope(scope);
      this.assign(target, item, inner);
      if (!isTrue(this.evaluator.evaluate(test, inner))) continue;
      this.budget.items(1);
      chosen.push(item);
    }
    return chosen;
  }

  private assign(target: Target, value: Value, scope: Scope): void {
    if (target.kind === "name") scope.set(target.name, value);
    else if (target.kind === "member") {
      const object = scope.get(target.object);
      if (!(object instanceof Namespace)) throw broken("cannot assign attribute on non-namespace object");
      object.members.set(target.name, value);
    } else {
      const items = listOf(value, this.budget);
      if (items.length !== target.items.length) {
        throw broken(`${items.length} values can't be unpacked into ${target.items.length} names`);
      }
      for (const [i, part] of target.items.entries()) this.assign(part, items[i], scope);
    }
  }

  private macro(definition: MacroDefinition, scope: Scope): Macro {
    return new Macro(definition, scope, (...call) => this.runMacro(...call));
  }

  private runMacro(
    { name, parameters, body }: MacroDefinition,
    values: ReadonlyMap<string, Value>,
    scope: Scope,
  ): Value {
    const inner = new Scope(scope, values);
    for (const parameter of parameters) {
      if (values.has(parameter.name)) continue;
      const missing = new Undefined(`parameter '${parameter.name}' of macro '${name}' was not provided`);
      inner.set(parameter.name, parameter.value ? this.evaluator.evaluate(parameter.value, inner) : missing);
    }
    return this.captured(() => this.body(body, inner));
  }

  /** `self`: the template's blocks as functions. */
  private self(): Thing {
    const blocks = this.template.blocks;
    const render = (body: readonly Statement[]) => this.captured(() => this.body(body, new Scope(this.root)));
    return new (class extends Thing {
      override readonly typeName = "TemplateReference";
      override attribute(name: string): Value | undefined {
        const body = blocks.get(name);
        return body && new NativeFunction(name, () => render(body));
      }
    })();
  }

  private write(text: string): void {
    if (text === "") return;
    this.budget.characters(text.length);
    this.out.push(text);
  }

  /** What `write` writes, as a text instead. */
  private captured(write: () => void): string {
    const outside = this.out;
    this.out = [];
    write();
    const text = this.out.join("");
    this.out = outside;
    return text;
  }
}
