/** docs/training.md says of every key of the configuration that it is there, and its default; and of nothing else. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { z } from "zod";
import { schema } from "../../src/train/config.js";
import { parsePattern, patternHelp } from "../../src/train/patterns/pattern.js";

const TEXT = readFileSync(new URL("../../docs/training.md", import.meta.url), "utf8");

interface JsonSchema {
  readonly type?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
}

/** Keys that hold no further ones, with the text of their defaults. A default of a whole shows its parts. */
function keysOf(
  { properties, anyOf = [], items, ...rest }: JsonSchema,
  at: string,
  given?: unknown,
): [string, string][] {
  const own = given ?? rest.default;
  if (properties) {
    return Object.entries(properties).flatMap(([name, value]) =>
      keysOf(value, at === "" ? name : `${at}.${name}`, part(own, name)),
    );
  }
  if (items?.properties) return keysOf(items, `${at}[]`, Array.isArray(own) ? own[0] : undefined);
  const unions = anyOf.filter((one) => one.properties);
  if (unions.length > 0) return unions.flatMap((one) => keysOf(one, at));
  return [[at, own === undefined ? "" : JSON.stringify(own)]];
}

function part(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

/** Rows of the table of keys: `key` and default. */
function documented(): [string, string][] {
  const rows = TEXT.matchAll(/^\| `([\w.[\]]+)` \| (?:`(.*?)`)? ?\| ?(.*) \|$/gm);
  return [...rows].map(([, key, value = ""]) => [key, value === "" ? "" : JSON.stringify(JSON.parse(value))]);
}

test("every key of the configuration is documented with its default, in its order", () => {
  const json: JsonSchema = JSON.parse(JSON.stringify(z.toJSONSchema(schema, { io: "input" })));
  const table = TEXT.slice(TEXT.indexOf("| key | default |"), TEXT.indexOf("### Sources"));
  expect(table).toContain("`seed`");
  expect(documented().filter(([key]) => table.includes(`| \`${key}\` |`))).toEqual(keysOf(json, ""));
});

test("every source is documented", () => {
  const sources = schema.shape.data.unwrap().shape.mixture.unwrap().element.shape.source.options;
  const table = TEXT.slice(TEXT.indexOf("### Sources"), TEXT.indexOf("### Attention patterns"));
  expect([...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)).toEqual(sources);
});

test("the patterns that are documented can be read, and all are", () => {
  const table = TEXT.slice(TEXT.indexOf("### Attention patterns"), TEXT.indexOf("### Positions"));
  const names = [...table.matchAll(/^\| `([\w:,=]+)` \|/gm)].map(([, name]) => name);
  for (const name of names)
    expect(() => parsePattern(name.replace("S", "4").replace("N", "16").replace("M", "1"))).not.toThrow();
  const known = patternHelp()
    .split(/\n| \| /)
    .map((line) => line.split("  ")[0].trim());
  expect(names).toEqual(known);
});
