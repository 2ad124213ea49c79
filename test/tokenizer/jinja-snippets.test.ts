/** Snippets of templates against what Jinja2 makes of them (jinja/snippets.py writes the table). */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ChatTemplate } from "../../src/tokenizer/chat-template.js";
import { SluiceError } from "../../src/util/errors.js";

interface Case {
  readonly group: string;
  readonly template: string;
  readonly now?: readonly number[];
  readonly result: { readonly text: string } | { readonly error: string };
}

interface Table {
  readonly now: readonly number[];
  readonly variables: Readonly<Record<string, unknown>>;
  readonly cases: readonly Case[];
}

const table: Table = JSON.parse(readFileSync(new URL("jinja/snippets.json", import.meta.url), "utf8"));

function dateOf([year, month, day, hour, minute, second]: readonly number[]): Date {
  return new Date(year, month - 1, day, hour, minute, second);
}

function render({ template, now }: Case): string {
  return new ChatTemplate(template, {}).render([], { variables: table.variables }, { now: dateOf(now ?? table.now) });
}

describe.each([...new Set(table.cases.map(({ group }) => group))])("%s", (group) => {
  const cases = table.cases.filter((one) => one.group === group);

  it.each(cases.map((one) => [JSON.stringify(one.template), one] as const))("%s", (_name, one) => {
    if ("text" in one.result) expect(render(one)).toBe(one.result.text);
    else expect(() => render(one)).toThrow(SluiceError);
  });
});
