/** Macros: functions that a template defines, and the bodies of call blocks. */
import { broken } from "./fault.js";
import type { Scope } from "./scope.js";
import type { MacroDefinition } from "./syntax.js";
import { type CallArguments, Callable, Dict, Tuple, Undefined, type Value } from "./values.js";

/** Runs a macro's body with its parameters' values; those left out are worked out there. */
export type MacroRunner = (definition: MacroDefinition, values: ReadonlyMap<string, Value>, scope: Scope) => Value;

export class Macro extends Callable {
  override readonly typeName = "Macro";
  private readonly definition: MacroDefinition;
  private readonly scope: Scope;
  private readonly run: MacroRunner;

  constructor(definition: MacroDefinition, scope: Scope, run: MacroRunner) {
    super();
    this.definition = definition;
    this.scope = scope;
    this.run = run;
  }

  override get text(): string {
    return `<Macro '${this.definition.name}'>`;
  }

  override attribute(name: string): Value | undefined {
    const { parameters, uses } = this.definition;
    switch (name) {
      case "name":
        return this.definition.name;
      case "arguments":
        return new Tuple(parameters.map((parameter) => parameter.name));
      case "catch_kwargs":
        return uses.has("kwargs");
      case "catch_varargs":
        return uses.has("varargs");
      case "caller":
        return uses.has("caller");
      default:
        return undefined;
    }
  }

  override call({ positional, named }: CallArguments): Value {
    const { name, parameters, uses } = this.definition;
    const values = new Map<string, Value>();
    parameters.forEach((parameter, i) => {
      if (i < positional.length) values.set(parameter.name, positional[i]);
    });
    const rest = new Dict();
    for (const [key, value] of named) {
      const known = parameters.some((parameter) => parameter.name === key) || (key === "caller" && uses.has(key));
      if (!known) rest.set(key, value);
      else if (values.has(key)) throw broken(`macro '${name}' gets its argument '${key}' twice`);
      else values.set(key, value);
    }
    if (uses.has("caller") && !values.has("caller")) values.set("caller", new Undefined("No caller defined"));
    if (uses.has("kwargs")) values.set("kwargs", rest);
    else if (rest.size > 0) throw broken(`macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`);
    const more = positional.slice(parameters.length);
    if (uses.has("varargs")) values.set("varargs", new Tuple(more));
    else if (more.length > 0) throw broken(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
    return this.run(this.definition, values, this.scope);
  }
}
