/**
 * The text form of policies: items separated by commas, `name`, `name:number` or `option=value`, in any order. The
 * command line, the server and the library share it. Errors point at the place.
 */
import { ArgumentError, PolicyError } from "../util/errors.js";
import { POLICIES } from "./policies/index.js";
import type { ContextPolicy, PolicyDefinition, PolicyGiven, PolicyItem } from "./policy.js";
import { type OptionName, POLICY_OPTIONS, type PolicyOptions } from "./policy-options.js";
import { ItemValues } from "./policy-values.js";

interface Item {
  readonly name: string;
  readonly sign: ":" | "=" | "";
  readonly value: string;
  readonly position: number;
  readonly valuePosition: number;
}

/** The forms that a policy text can have, one per line. */
export function policyHelp(): string {
  return [...POLICIES, ...Object.values(POLICY_OPTIONS)].map(({ help }) => help).join("\n");
}

/**
 * Reads a policy text such as "sinks:4,recent:2044".
 * @param given what it may refer to by name
 * @throws PolicyError with the offset of what is wrong
 */
export function parsePolicy(text: string, given: PolicyGiven = {}): ContextPolicy {
  if (typeof text !== "string")
    throw new ArgumentError(`A context policy is a text such as "sinks:4,recent:2044"; found ${typeof text}.`);
  const items = split(text);
  checkItems(text, items);
  const { definition, values } = readItems(
    text,
    items.filter((item) => item.sign !== "="),
  );
  const options = readOptions(text, items, definition);
  try {
    return definition.create(values, options, given);
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    const wrong = items.find(({ name }) => name === error.details.item);
    throw fail(text, wrong ? placeOf(wrong) : 0, error.message.replace(/\.$/, ""));
  }
}

function split(text: string): Item[] {
  let position = 0;
  return text.split(",").map((part) => {
    const start = position + (part.length - part.trimStart().length);
    position += part.length + 1;
    const [, name = "", sign = "", value = ""] = /^([^:=]*)([:=]?)(.*)$/s.exec(part.trim()) ?? [];
    return {
      name: name.trim(),
      sign: sign === ":" || sign === "=" ? sign : "",
      value: value.trim(),
      position: start,
      valuePosition: start + name.length + sign.length,
    };
  });
}

/** Every item must be known, once, and with the sign that it takes. */
function checkItems(text: string, items: readonly Item[]): void {
  const known = new Set(POLICIES.flatMap((policy) => policy.items.map((item) => item.name)));
  const seen = new Set<string>();
  for (const item of items) {
    const isOption = isOptionName(item.name);
    if (item.name === "") throw fail(text, item.position, "an item is missing here");
    if (isOption && item.sign !== "=") {
      throw fail(text, item.position, `"${item.name}" is an option: write ${item.name}=VALUE`);
    }
    if (!isOption && item.sign === "=") throw fail(text, item.position, `unknown option "${item.name}"`);
    if (!isOption && !known.has(item.name)) {
      const meant =
        item.name === "quest" ? ": it is a way of reading, written behind a policy, such as full,read=quest:1024" : "";
      throw fail(text, item.position, `unknown item "${item.name}"${meant}`);
    }
    if (seen.has(item.name)) throw fail(text, item.position, `"${item.name}" stands twice`);
    seen.add(item.name);
  }
}

/** The policy whose items these are, with their values. Several may have the same items with other values. */
function readItems(text: string, items: readonly Item[]) {
  const candidates = POLICIES.filter((definition) => isMadeOf(definition, items));
  if (candidates.length === 0) throw notOne(text, items);
  for (const definition of candidates) {
    const values = new Map<string, number | string>();
    for (const kind of definition.items) {
      const value = readValue(
        kind,
        items.find(({ name }) => name === kind.name),
      );
      if (value !== undefined) values.set(kind.name, value);
    }
    if (values.size === definition.items.length) return { definition, values: new ItemValues(values) };
  }
  throw wrongItem(text, items, candidates);
}

/** All items are the definition's, and none is missing. */
function isMadeOf(definition: PolicyDefinition, items: readonly Item[]): boolean {
  const found = definition.items.filter(({ name }) => items.some((item) => item.name === name));
  const needed = definition.items.filter(({ absent }) => absent === undefined);
  return found.length === items.length && needed.every((kind) => found.includes(kind));
}

/** Undefined where the value is none of the item's; an item without one has its name. */
function readValue({ name, value, bare, absent }: PolicyItem, item: Item | undefined): number | string | undefined {
  if (!item) return absent;
  if (item.sign === "") return value ? bare : name;
  return value?.read(item.value);
}

/** Why no candidate can read the values: the first item that none can. */
function wrongItem(text: string, items: readonly Item[], candidates: readonly PolicyDefinition[]): PolicyError {
  const kindsOf = ({ name }: Item) => candidates.flatMap((one) => one.items.filter((kind) => kind.name === name));
  const wrong = items.find((item) => kindsOf(item).every((kind) => readValue(kind, item) === undefined)) ?? items[0];
  const forms = kindsOf(wrong).flatMap(({ value }) => value ?? []);
  const { name, sign, value, position, valuePosition } = wrong;
  if (forms.length === 0) return fail(text, valuePosition - 1, `"${name}" takes no number`);
  const needs = [...new Set(forms.map((form) => form.needs(value)))].join(" or ");
  if (sign === ":") return fail(text, valuePosition, `"${name}" needs ${needs}`);
  const what = forms[0].sign === "N" ? "a number" : needs;
  return fail(text, position + name.length, `"${name}" needs ${what}: ${name}:${forms[0].sign}`);
}

/** Why these items, each known, are not those of one policy. */
function notOne(text: string, items: readonly Item[]): PolicyError {
  const [first] = items;
  if (!first) return fail(text, 0, "options alone are no policy");
  for (let count = 1; count <= items.length; count++) {
    const some = items.slice(0, count);
    const policies = POLICIES.filter((policy) => some.every(({ name }) => policy.items.some((i) => i.name === name)));
    const { name, position } = some[count - 1];
    if (policies.length === 0) return fail(text, position, `"${name}" does not go with "${first.name}"`);
  }
  const whole = POLICIES.find((policy) => items.every(({ name }) => policy.items.some((i) => i.name === name)));
  const missing = (whole?.items ?? []).filter(
    ({ name, absent }) => absent === undefined && !items.some((item) => item.name === name),
  );
  const last = items[items.length - 1];
  const forms = missing.map(({ name, value }) => (value ? `${name}:${value.sign}` : name));
  return fail(text, last.position, `"${last.name}" needs ${forms.join(" and ")} beside it`);
}

function readOptions(text: string, items: readonly Item[], { options, refuses }: PolicyDefinition): PolicyOptions {
  const read: Partial<Record<OptionName, unknown>> = {};
  for (const { name, sign, value, position, valuePosition } of items) {
    if (sign !== "=" || !isOptionName(name)) continue;
    if (!options.includes(name)) {
      const why = refuses?.[name] ? `: ${refuses[name]}. It goes` : ", but";
      throw fail(text, position, `"${name}" does not go with this policy${why} with ${policiesWith(name)}`);
    }
    const form = POLICY_OPTIONS[name].value;
    read[name] = form.read(value);
    if (read[name] === undefined) throw fail(text, valuePosition, `"${name}" needs ${form.needs(value)}`);
  }
  return read as PolicyOptions;
}

/** The policies that take an option: "full, recent:N and sinks:N,recent:N". */
function policiesWith(option: OptionName): string {
  const takers = POLICIES.filter(({ options }) => options.includes(option));
  const names = takers.map(({ items }) =>
    items.map(({ name, value }) => (value ? `${name}:${value.sign}` : name)).join(","),
  );
  return names.length === 1 ? `${names[0]} alone` : `${names.slice(0, -1).join("; ")} and ${names.at(-1)}`;
}

function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(POLICY_OPTIONS, name);
}

/** Of an option its name, of an item its value. */
function placeOf({ sign, position, valuePosition }: Item): number {
  return sign === ":" ? valuePosition : position;
}

function fail(text: string, position: number, what: string): PolicyError {
  const message = `Cannot read the context policy "${text}" at character ${position + 1}: ${what}. Expected one of:\n${policyHelp()}`;
  return new PolicyError(message, { position, text });
}
