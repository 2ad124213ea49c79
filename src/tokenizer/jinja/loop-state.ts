/** `loop`: where a loop is. */

import { broken } from "./fault.js";
import { type CallArguments, Callable, NativeFunction, Undefined, type Value } from "./values.js";

export class LoopState extends Callable {
  override readonly typeName = "LoopContext";
  private readonly items: readonly Value[];
  private readonly depth: number;
  private readonly equals: (a: Value, b: Value) => boolean;
  private readonly again: ((items: Value, depth: number) => Value) | undefined;
  private lastSeen: readonly Value[] | undefined;
  /** Of the item that the loop is at. */
  index = 0;

  constructor(
    items: readonly Value[],
    depth: number,
    equals: (a: Value, b: Value) => boolean,
    again: ((items: Value, depth: number) => Value) | undefined,
  ) {
    super();
    this.items = items;
    this.depth = depth;
    this.equals = equals;
    this.again = again;
  }

  override get text(): string {
    return `<LoopContext ${this.index + 1}/${this.items.length}>`;
  }

  override attribute(name: string): Value | undefined {
    const { index } = this;
    const { length } = this.items;
    switch (name) {
      case "index":
        return BigInt(index + 1);
      case "index0":
        return BigInt(index);
      case "revindex":
        return BigInt(length - index);
      case "revindex0":
        return BigInt(length - index - 1);
      case "first":
        return index === 0;
      case "last":
        return index === length - 1;
      case "length":
        return BigInt(length);
      case "depth":
        return BigInt(this.depth + 1);
      case "depth0":
        return BigInt(this.depth);
      case "previtem":
        return index > 0 ? this.items[index - 1] : new Undefined("there is no previous item");
      case "nextitem":
        return index + 1 < length ? this.items[index + 1] : new Undefined("there is no next item");
      case "cycle":
        return new NativeFunction("cycle", ({ positional }) => this.cycle(positional));
      case "changed":
        return new NativeFunction("changed", ({ positional }) => this.changed(positional));
      default:
        return undefined;
    }
  }

  private cycle(values: readonly Value[]): Value {
    if (values.length === 0) throw broken("no items for cycling given");
    return values[this.index % values.length];
  }

  private changed(values: readonly Value[]): boolean {
    const last = this.lastSeen;
    this.lastSeen = values;
    return last?.length !== values.length || values.some((value, i) => !this.equals(value, last[i]));
  }

  /** A recursive loop runs again over other items. */
  override call({ positional }: CallArguments): Value {
    const [items] = positional;
    if (!this.again || items === undefined) {
      throw broken("The loop must have the 'recursive' marker to be called recursively.");
    }
    return this.again(items, this.depth + 1);
  }
}
