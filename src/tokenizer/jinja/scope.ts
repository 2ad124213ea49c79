/** Variables: each loop round, macro and block has a scope of its own, which sees those around it and never changes them. */
import type { Value } from "./values.js";

export class Scope {
  private readonly parent: Scope | undefined;
  private readonly values: Map<string, Value>;

  constructor(parent: Scope | undefined, values: Iterable<readonly [string, Value]> = []) {
    this.parent = parent;
    this.values = new Map(values);
  }

  get(name: string): Value | undefined {
    for (let scope: Scope | undefined = this; scope; scope = scope.parent) {
      const value = scope.values.get(name);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  set(name: string, value: Value): void {
    this.values.set(name, value);
  }
}
