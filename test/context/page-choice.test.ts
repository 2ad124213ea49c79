/** How many pages a row chooses, and which it reads whatever they promise: worked out by hand. */
import { describe, expect, it } from "vitest";
import { choosePages } from "../../src/context/page-choice.js";
import type { Range } from "../../src/util/ranges.js";

const quest = (tokens: number) => ({ kind: "quest", tokens }) as const;
const of = (...pairs: readonly (readonly [number, number])[]): Range[] => pairs.map(([start, end]) => ({ start, end }));

describe("choosePages", () => {
  it("always reads the first page, the one that is being filled and the three before it", () => {
    expect(choosePages(of([0, 1000]), quest(256))).toEqual({ first: 0, pages: 16, oldest: 1, newest: 4 });
    expect(choosePages(of([0, 1008]), quest(10 * 16 + 15))).toEqual({ first: 0, pages: 10, oldest: 1, newest: 4 });
  });

  it("gives them at most half of a small budget, the page that is being filled first", () => {
    expect(choosePages(of([0, 1000]), quest(9 * 16))).toEqual({ first: 0, pages: 9, oldest: 1, newest: 4 });
    expect(choosePages(of([0, 1000]), quest(7 * 16))).toEqual({ first: 0, pages: 7, oldest: 1, newest: 3 });
    expect(choosePages(of([0, 1000]), quest(48))).toEqual({ first: 0, pages: 3, oldest: 1, newest: 1 });
    expect(choosePages(of([0, 1000]), quest(32))).toEqual({ first: 0, pages: 2, oldest: 0, newest: 1 });
  });

  it("reads what it sees where that is no more pages than the budget has", () => {
    expect(choosePages(of([0, 256]), quest(256))).toBeUndefined();
    expect(choosePages(of([0, 257]), quest(256))).toMatchObject({ pages: 16 });
    // A budget that is not whole pages reads what is no more than it, too.
    expect(choosePages(of([0, 271]), quest(271))).toBeUndefined();
    expect(choosePages(of([0, 272]), quest(271))).toMatchObject({ pages: 16 });
    expect(choosePages(of([0, 4], [25, 71]), quest(50))).toBeUndefined();
  });

  it("takes earlier ranges whole out of the budget, and chooses among whole pages of the newest", () => {
    expect(choosePages(of([0, 4], [104, 1000]), quest(256))).toEqual({ first: 7, pages: 15, oldest: 0, newest: 4 });
    expect(choosePages(of([0, 20], [112, 1000]), quest(64))).toEqual({ first: 7, pages: 2, oldest: 0, newest: 1 });
    expect(choosePages(of([0, 40], [112, 1000]), quest(64))).toBeUndefined();
  });
});
