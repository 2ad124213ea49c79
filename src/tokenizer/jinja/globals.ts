/** Functions that every template has: those of Jinja2, and those that Transformers adds. */
import { formatTime } from "../format-time.js";
import { bind, onlyText, wholeNumber } from "./arguments.js";
import { broken, Fault, unsupported } from "./fault.js";
import { iterate, listOf } from "./iteration.js";
import { toText } from "./printing.js";
import type { Runtime } from "./runtime.js";
import { type CallArguments, Callable, Dict, Namespace, NativeFunction, Range, Thing, type Value } from "./values.js";

/** Jinja2's sandbox makes no longer ones. */
const LONGEST_RANGE = 100_000;
/** Of `strftime_now`: each field may become some hundred times as long. */
const LONGEST_FORMAT = 1000;

function range({ positional, named }: CallArguments): Value {
  if (named.size > 0) throw broken("range() takes no keyword arguments");
  const [a, b, c] = bind("range", { positional, named }, ["start", "stop", "step"], 1);
  const step = wholeNumber(c, 1);
  if (step === 0) throw broken("range() arg 3 must not be zero");
  const made =
    b === undefined ? new Range(0, wholeNumber(a, 0), step) : new Range(wholeNumber(a, 0), wholeNumber(b, 0), step);
  if (made.length > LONGEST_RANGE) {
    throw broken(`a range of ${made.length} numbers is too big; at most ${LONGEST_RANGE}.`);
  }
  return made;
}

function dictOf({ positional, named }: CallArguments, { budget }: Runtime): Dict {
  const dict = new Dict();
  const [source, ...more] = positional;
  if (more.length > 0) throw broken("dict expected at most 1 argument");
  if (source instanceof Dict) for (const [key, value] of source.entries()) dict.set(key, value);
  else if (source !== undefined) {
    for (const pair of iterate(source, budget)) {
      const [key, value, ...rest] = listOf(pair, budget);
      if (key === undefined || value === undefined || rest.length > 0) throw broken("dict() wants pairs");
      dict.set(key, value);
    }
  }
  for (const [key, value] of named) dict.set(key, value);
  budget.items(8 * (dict.size + 1));
  return dict;
}

function namespaceOf(args: CallArguments, runtime: Runtime): Namespace {
  const namespace = new Namespace();
  for (const [key, value] of dictOf(args, runtime).entries()) {
    namespace.members.set(toText(key, runtime.budget), value);
  }
  return namespace;
}

/** Gives its items in turn. */
class Cycler extends Thing {
  override readonly typeName = "Cycler";
  private readonly items: readonly Value[];
  private at = 0;

  constructor(items: readonly Value[]) {
    super();
    if (items.length === 0) throw broken("at least one item has to be provided");
    this.items = items;
  }

  override attribute(name: string): Value | undefined {
    if (name === "current") return this.items[this.at];
    if (name === "next") return new NativeFunction(name, () => this.next());
    if (name !== "reset") return undefined;
    return new NativeFunction(name, () => {
      this.at = 0;
      return null;
    });
  }

  private next(): Value {
    const item = this.items[this.at];
    this.at = (this.at + 1) % this.items.length;
    return item;
  }
}

/** Nothing the first time, its text from then on. */
class Joiner extends Callable {
  override readonly typeName = "Joiner";
  private readonly separator: Value;
  private used = false;

  constructor(text: Value) {
    super();
    this.separator = text;
  }

  override call(): Value {
    if (this.used) return this.separator;
    this.used = true;
    return "";
  }
}

function refuse(args: CallArguments, { budget }: Runtime): never {
  const [message = ""] = bind("raise_exception", args, ["message"], 1);
  throw new Fault("refused", toText(message, budget));
}

export function globalsOf(runtime: Runtime): [string, Value][] {
  const functions: Readonly<Record<string, (args: CallArguments) => Value>> = {
    range,
    dict: (args) => dictOf(args, runtime),
    namespace: (args) => namespaceOf(args, runtime),
    cycler: ({ positional }) => new Cycler(positional),
    joiner: (args) => {
      const [separator = ", "] = bind("joiner", args, ["sep"]);
      return new Joiner(separator);
    },
    lipsum: () => {
      throw unsupported("the function lipsum.");
    },
    raise_exception: (args) => refuse(args, runtime),
    strftime_now: (args) => {
      const format = onlyText(bind("strftime_now", args, ["format"], 1)[0], "the format of a time");
      if (format.length > LONGEST_FORMAT) {
        throw new Fault("limit", `it has a format of a time with more than ${LONGEST_FORMAT} characters.`);
      }
      return runtime.budget.text(formatTime(runtime.now, format));
    },
  };
  return Object.entries(functions).map(([name, run]) => [name, new NativeFunction(name, run)]);
}
