/** Searching texts for long needles gives what JavaScript's own search gives. */
import { describe, expect, it } from "vitest";
import { Budget } from "../../src/tokenizer/jinja/budget.js";
import { indexIn, lastIndexIn, splitBy } from "../../src/tokenizer/jinja/search.js";
import { Random } from "../../src/util/random.js";

const budget = new Budget({
  mostSteps: 1e9,
  mostCharacters: 1e9,
  longestText: 1e9,
  mostItems: 1e9,
  mostMilliseconds: 60_000,
});

describe("a needle longer than what is left to JavaScript", () => {
  const source = new Random(7);
  const random = () => source.uint32() / 2 ** 32;
  const letters = (count: number, odd: number) =>
    Array.from({ length: count }, () => (random() < odd ? "b" : "a")).join("");

  it.each([0, 0.02, 0.5])("with a share of %d odd letters", (odd) => {
    for (let round = 0; round < 300; round++) {
      const needle = letters(33 + Math.floor(random() * 20), odd);
      const text = Array.from({ length: 6 }, () => (random() < 0.5 ? needle.slice(5) : letters(20, odd))).join("");
      const whole = random() < 0.5 ? text + needle + text : text;
      for (const from of [0, 1, 40]) expect(indexIn(whole, needle, from, budget)).toBe(whole.indexOf(needle, from));
      expect(lastIndexIn(whole, needle, budget)).toBe(whole.lastIndexOf(needle));
      expect(splitBy(whole, needle, budget)).toEqual(whole.split(needle));
    }
  });
});
