/** The tests of Jinja2 (`x is defined`), by name. */
import { withoutGuard } from "../message-guard.js";
import { bind } from "./arguments.js";
import { unsupported } from "./fault.js";
import { isFilter } from "./filters.js";
import { iterable } from "./iteration.js";
import { CLASSES } from "./letters.js";
import { arithmetic, compare, equals, isText, numberOf } from "./operators.js";
import { toText } from "./printing.js";
import type { Runtime } from "./runtime.js";
import type { CompareOperator } from "./syntax.js";
import { type CallArguments, Callable, Dict, isList, Markup, Range, Tuple, Undefined, type Value } from "./values.js";

type Test = (value: Value, args: CallArguments, runtime: Runtime) => boolean;

function simple(name: string, run: (value: Value, runtime: Runtime) => boolean): Test {
  return (value, args, runtime) => {
    bind(name, args, []);
    return run(value, runtime);
  };
}

function comparing(operator: CompareOperator): Test {
  return (value, args, { budget }) => {
    const [other = null] = bind(operator, args, ["other"], 1);
    return compare(operator, value, other, budget);
  };
}

function remainder(value: Value, by: Value, { budget }: Runtime): Value {
  return arithmetic("%", value, by, budget);
}

const divisible: Test = (value, args, runtime) => {
  const [by = null] = bind("divisibleby", args, ["num"], 1);
  return equals(remainder(value, by, runtime), 0n, runtime.budget);
};

const same: Test = (value, args) => {
  const [other = null] = bind("sameas", args, ["other"], 1);
  return Object.is(value, other);
};

const isSequence = (value: Value) =>
  isText(value) ||
  isList(value) ||
  value instanceof Tuple ||
  value instanceof Dict ||
  value instanceof Range ||
  value instanceof Undefined;

const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>([
  ["defined", simple("defined", (value) => !(value instanceof Undefined))],
  ["undefined", simple("undefined", (value) => value instanceof Undefined)],
  ["none", simple("none", (value) => value === null)],
  ["true", simple("true", (value) => value === true)],
  ["false", simple("false", (value) => value === false)],
  ["boolean", simple("boolean", (value) => typeof value === "boolean")],
  ["integer", simple("integer", (value) => typeof value === "bigint")],
  ["float", simple("float", (value) => typeof value === "number")],
  ["number", simple("number", (value) => numberOf(value) !== undefined)],
  ["string", simple("string", isText)],
  ["mapping", simple("mapping", (value) => value instanceof Dict)],
  ["sequence", simple("sequence", isSequence)],
  ["iterable", simple("iterable", (value) => iterable(value) !== undefined)],
  ["callable", simple("callable", (value) => value instanceof Callable || value instanceof Undefined)],
  ["escaped", simple("escaped", (value) => value instanceof Markup)],
  ["lower", simple("lower", (value, { budget }) => CLASSES.islower(withoutGuard(toText(value, budget))))],
  ["upper", simple("upper", (value, { budget }) => CLASSES.isupper(withoutGuard(toText(value, budget))))],
  ["even", simple("even", (value, runtime) => equals(remainder(value, 2n, runtime), 0n, runtime.budget))],
  ["odd", simple("odd", (value, runtime) => equals(remainder(value, 2n, runtime), 1n, runtime.budget))],
  ["divisibleby", divisible],
  ["sameas", same],
  ["filter", simple("filter", (value, { budget }) => isFilter(toText(value, budget)))],
  ["test", simple("test", (value, { budget }) => isTest(toText(value, budget)))],
  ...namesOf("==", ["eq", "==", "equalto"]),
  ...namesOf("!=", ["ne", "!="]),
  ...namesOf("<", ["lt", "<", "lessthan"]),
  ...namesOf("<=", ["le", "<="]),
  ...namesOf(">", ["gt", ">", "greaterthan"]),
  ...namesOf(">=", ["ge", ">="]),
  ...namesOf("in", ["in"]),
]);

function namesOf(operator: CompareOperator, names: readonly string[]): [string, Test][] {
  return names.map((name) => [name, comparing(operator)]);
}

function isTest(name: string): boolean {
  return TESTS.has(name);
}

export function applyTest(name: string, value: Value, args: CallArguments, runtime: Runtime): boolean {
  const test = TESTS.get(name);
  if (!test) throw unsupported(`no test named '${name}'.`);
  runtime.budget.step();
  return test(value, args, runtime);
}
