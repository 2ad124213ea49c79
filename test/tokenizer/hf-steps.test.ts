/** Steps of tokenizer.json against the results of Hugging Face's own library (data/hf-steps.py writes the table). */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { normalizerOf } from "../../src/tokenizer/hf/normalizers.js";
import { preTokenizationOf } from "../../src/tokenizer/hf/pre-tokenizers.js";
import { UnsupportedError } from "../../src/util/errors.js";

interface Table {
  readonly texts: readonly string[];
  readonly pre_tokenizers: readonly (readonly [Record<string, unknown>, readonly string[]])[];
  readonly normalizers: readonly (readonly [Record<string, unknown>, readonly (string | null)[]])[];
}

const table: Table = JSON.parse(readFileSync(new URL("data/hf-steps.json", import.meta.url), "utf8"));

/** Expressions that are refused by name: what they say isn't said by a set of single characters or in a fixed length. */
const REFUSED = new Set(["\\R"]);

const wordsOf = (step: unknown, text: string) => preTokenizationOf(step, false).words(text, true, undefined);

describe("pre-tokenizers", () => {
  it.each(table.pre_tokenizers.map(([step, rows]) => [JSON.stringify(step), step, rows] as const))(
    "%s",
    (_name, step, rows) => {
      const pattern = Object(step.pattern).Regex;
      if (REFUSED.has(pattern)) {
        expect(() => wordsOf(step, "a")).toThrow(UnsupportedError);
        return;
      }
      const { words } = preTokenizationOf(step, false);
      const found = table.texts.map((text) => words(text, true, undefined).join("\u241f"));
      expect(found.filter((row, i) => row !== rows[i])).toEqual(rows.filter((row, i) => row !== found[i]));
    },
  );
});

describe("normalizers", () => {
  it.each(table.normalizers.map(([step, rows]) => [JSON.stringify(step), step, rows] as const))(
    "%s",
    (_name, step, rows) => {
      const normalize = normalizerOf(step);
      table.texts.forEach((text, i) => {
        if (rows[i] !== null) expect(normalize(text)).toBe(rows[i]);
      });
    },
  );
});
