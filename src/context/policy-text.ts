/**
 * The text form of policies: items separated by commas, `name`, `name:number` or `option=value`, in any order. The
 * command line, the server and the library share it. Errors point at the place.
 */
import { ArgumentError, PolicyError } from "../util/errors.js";
import { POLICIES } from "./policies/index.js";
import type { ContextPolicy, PolicyDefinition, PolicyOptions } from "./policy.js";

interface Item {
  readonly name: string;
  readonly sign: ":" | "=" | "";
  readonly value: string;
  readonly position: number;
  readonly valuePosition: number;
}

/** The forms that a policy text can have, one per line. */
export function policyHelp(): string {
  const options = [
    "evict=M           with recent: free M tokens at a time instead of one by one",
    "distance=text     with a window: count distances as in the text, not as in the cache",
  ];
  return [...POLICIES.map((policy) => policy.help), ...options].join("\n");
}

/** Reads a policy text such as "sinks:4,recent:2044". @throws PolicyError with the offset of what is wrong */
export function parsePolicy(text: string): ContextPolicy {
  if (typeof text !== "string")
    throw new ArgumentError(`A context policy is a text such as "sinks:4,recent:2044"; found ${typeof text}.`);
  const items = split(text);
  checkItems(text, items);
  const plain = items.filter((item) => item.sign !== "=");
  const definition = POLICIES.find((candidate) => hasExactly(candidate, plain));
  if (!definition) throw notOne(text, plain);
  const values = Object.fromEntries(
    definition.items.map(({ name, least, optional }) => [
      name,
      optional && items.some((item) => item.name === name && item.sign === "") ? 0 : numberOf(text, items, name, least),
    ]),
  );
  const options = readOptions(text, items, definition);
  try {
    return definition.create(values, options);
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    throw fail(text, items.find((item) => item.sign === "=")?.position ?? 0, error.message.replace(/\.$/, ""));
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
  const options = new Set(POLICIES.flatMap((policy) => policy.options));
  const seen = new Set<string>();
  for (const item of items) {
    if (item.name === "") throw fail(text, item.position, "an item is missing here");
    if (options.has(item.name) && item.sign !== "=") {
      throw fail(text, item.position, `"${item.name}" is an option: write ${item.name}=VALUE`);
    }
    if (!options.has(item.name) && item.sign === "=") throw fail(text, item.position, `unknown option "${item.name}"`);
    if (!options.has(item.name) && !known.has(item.name))
      throw fail(text, item.position, `unknown item "${item.name}"`);
    if (seen.has(item.name)) throw fail(text, item.position, `"${item.name}" stands twice`);
    seen.add(item.name);
  }
}

function hasExactly(definition: PolicyDefinition, items: readonly Item[]): boolean {
  return (
    definition.items.length === items.length && definition.items.every(({ name }) => items.some((i) => i.name === name))
  );
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
  const missing = (whole?.items ?? []).filter(({ name }) => !items.some((item) => item.name === name));
  const last = items[items.length - 1];
  return fail(
    text,
    last.position,
    `"${last.name}" needs ${missing.map(({ name }) => `${name}:N`).join(" and ")} beside it`,
  );
}

function numberOf(text: string, items: readonly Item[], name: string, least: number | undefined): number {
  const item = items.find((candidate) => candidate.name === name);
  if (!item) return 0;
  if (least === undefined) {
    if (item.sign !== "") throw fail(text, item.valuePosition - 1, `"${name}" takes no number`);
    return 0;
  }
  if (item.sign === "") throw fail(text, item.position + name.length, `"${name}" needs a number: ${name}:N`);
  const value = /^\d{1,15}$/.test(item.value) ? Number(item.value) : Number.NaN;
  if (!(value >= least))
    throw fail(
      text,
      item.valuePosition,
      `"${name}" needs a whole number of at least ${least}${/^\d{16,}$/.test(item.value) ? " and at most 999999999999999" : ""}`,
    );
  return value;
}

function readOptions(text: string, items: readonly Item[], definition: PolicyDefinition): PolicyOptions {
  for (const item of items) {
    if (item.sign === "=" && !definition.options.includes(item.name)) {
      throw fail(text, item.position, `"${item.name}" does not go with this policy`);
    }
  }
  const distance = items.find((item) => item.name === "distance");
  if (distance && distance.value !== "text" && distance.value !== "cache") {
    throw fail(text, distance.valuePosition, `"distance" is "text" or "cache"`);
  }
  const evict = items.some((item) => item.name === "evict") ? numberOf(text, items, "evict", 1) : 1;
  return { evict, distance: distance ? (distance.value === "text" ? "text" : "cache") : undefined };
}

function fail(text: string, position: number, what: string): PolicyError {
  const message = `Cannot read the context policy "${text}" at character ${position + 1}: ${what}. Expected one of:\n${policyHelp()}`;
  return new PolicyError(message, { position, text });
}
