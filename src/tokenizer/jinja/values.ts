/**
 * What templates compute with: Python's values. Texts are strings, whole numbers bigint, floats number, lists arrays,
 * None is null; what JavaScript has not is a class here. Only namespaces can be changed.
 */
import { withoutGuard } from "../message-guard.js";
import { broken } from "./fault.js";

export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | List
  | Markup
  | Undefined
  | Tuple
  | Dict
  | Range
  | View
  | Iter
  | Thing;

export interface List extends ReadonlyArray<Value> {}

/** A name, attribute or item that is not there. It prints as nothing and is false; most other uses are errors. */
export class Undefined {
  constructor(readonly what: string) {}

  fail(): never {
    throw broken(this.what);
  }
}

/** Text that is HTML already, made by `escape` and `safe`. */
export class Markup {
  constructor(readonly text: string) {}
}

export class Tuple {
  constructor(readonly items: List) {}
}

/** A pair of `groupby`. */
export class Group extends Tuple {
  constructor(
    readonly grouper: Value,
    readonly list: List,
  ) {
    super([grouper, list]);
  }
}

export class Range {
  readonly length: number;
  constructor(
    readonly start: number,
    readonly stop: number,
    readonly step: number,
  ) {
    this.length = Math.max(0, Math.ceil((stop - start) / step));
  }

  at(index: number): bigint {
    return BigInt(this.start + index * this.step);
  }

  *[Symbol.iterator](): Generator<bigint, void, undefined> {
    for (let i = 0; i < this.length; i++) yield this.at(i);
  }
}

/** What can be gone through once, as Python's generators and iterators. */
export class Iter implements Iterable<Value> {
  private readonly source: Iterator<Value>;
  constructor(
    readonly typeName: string,
    source: Iterable<Value>,
  ) {
    this.source = source[Symbol.iterator]();
  }

  /** A loop that ends early leaves the rest for the next. */
  [Symbol.iterator](): Iterator<Value> {
    return { next: () => this.source.next() };
  }
}

/** Keys by Python's equality: 1, 1.0 and True are one key. */
export class Dict {
  private readonly pairsByKey = new Map<unknown, readonly [Value, Value]>();

  get size(): number {
    return this.pairsByKey.size;
  }

  get(key: Value): Value | undefined {
    return this.pairsByKey.get(keyOf(key))?.[1];
  }

  has(key: Value): boolean {
    return this.pairsByKey.has(keyOf(key));
  }

  /** For whoever makes the dict; templates can't. */
  set(key: Value, value: Value): this {
    const name = keyOf(key);
    this.pairsByKey.set(name, [this.pairsByKey.get(name)?.[0] ?? key, value]);
    return this;
  }

  entries(): IterableIterator<readonly [Value, Value]> {
    return this.pairsByKey.values();
  }

  *keys(): Generator<Value, void, undefined> {
    for (const [key] of this.pairsByKey.values()) yield key;
  }

  *values(): Generator<Value, void, undefined> {
    for (const [, value] of this.pairsByKey.values()) yield value;
  }

  *pairs(): Generator<Value, void, undefined> {
    for (const pair of this.pairsByKey.values()) yield new Tuple(pair);
  }
}

/** `dict.keys()`, `.values()`, `.items()`: they have a length and no places. */
export class View implements Iterable<Value> {
  constructor(
    readonly dict: Dict,
    readonly part: "keys" | "values" | "items",
  ) {}

  [Symbol.iterator](): Iterator<Value> {
    if (this.part === "keys") return this.dict.keys();
    return this.part === "values" ? this.dict.values() : this.dict.pairs();
  }
}

/** Objects of the engine itself: functions, macros, `loop`, namespaces. */
export abstract class Thing {
  abstract readonly typeName: string;
  /** How it prints. */
  get text(): string {
    return `<${this.typeName} object>`;
  }
  attribute(_name: string): Value | undefined {
    return undefined;
  }
}

/** Arguments of a call: by place and by name. */
export interface CallArguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** What can be called. */
export abstract class Callable extends Thing {
  abstract call(args: CallArguments): Value;
}

export class NativeFunction extends Callable {
  override readonly typeName = "builtin_function_or_method";
  private readonly run: (args: CallArguments) => Value;
  constructor(
    readonly name: string,
    run: (args: CallArguments) => Value,
  ) {
    super();
    this.run = run;
  }

  override get text(): string {
    return `<built-in function ${this.name}>`;
  }

  override call(args: CallArguments): Value {
    return this.run(args);
  }
}

export class Namespace extends Thing {
  override readonly typeName = "Namespace";
  readonly members = new Map<string, Value>();

  override attribute(name: string): Value | undefined {
    return this.members.get(name);
  }
}

export function isList(value: Value): value is List {
  return Array.isArray(value);
}

/** The name of a value's type in Python. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (isList(value)) return "list";
  if (value instanceof Thing || value instanceof Iter) return value.typeName;
  if (value instanceof Tuple) return "tuple";
  if (value instanceof View) return `dict_${value.part}`;
  if (typeof value === "object") return value.constructor === Dict ? "dict" : value.constructor.name;
  return { boolean: "bool", bigint: "int", number: "float", string: "str" }[typeof value as "string"] ?? "object";
}

/** What a key is looked up by; unlike strings begin with a zero character. */
function keyOf(key: Value): unknown {
  if (typeof key === "string") return key.startsWith("\0") ? `\0s${withoutGuard(key)}` : withoutGuard(key);
  if (typeof key === "boolean") return key ? 1n : 0n;
  if (typeof key === "number") return Number.isInteger(key) ? BigInt(key) : key;
  if (key === null || typeof key === "bigint") return key;
  if (key instanceof Markup) return keyOf(key.text);
  if (key instanceof Tuple) return tupleKey(key);
  if (isList(key) || key instanceof Dict) throw broken(`unhashable type: '${typeName(key)}'`);
  return key instanceof Undefined ? Undefined : key;
}

/** What looking a key up costs: texts are read to their end, tuples are written out. */
export function workOfKey(key: Value): number {
  if (typeof key === "string") return key.length;
  if (key instanceof Markup) return key.text.length;
  return key instanceof Tuple ? key.items.reduce((sum: number, item) => sum + workOfItem(item), 0) : 1;
}

function workOfItem(item: Value): number {
  return item instanceof Tuple ? LONGEST_KEY : workOfKey(item);
}

/** A tuple in a tuple may be the same one twice, and so on: short to make, long to write. */
const LONGEST_KEY = 1 << 20;

function tupleKey({ items }: Tuple): string {
  let name = "\0t";
  for (const item of items) {
    const key = keyOf(item);
    const text = typeof key === "string" ? key : typeof key === "object" && key !== null ? "object" : String(key);
    name += `${typeof key}${text.length}:${text}`;
    if (name.length > LONGEST_KEY) throw broken("a tuple is too large for a key");
  }
  return name;
}
