/** Learned positions: each token has the row of its place. */
import { describe, expect, it } from "vitest";
import { learnedRows } from "../../src/position/learned.js";

describe("learned positions", () => {
  it("are the rows from the first token's place on", () => {
    expect([...learnedRows(0, 3)]).toEqual([0, 1, 2]);
    expect([...learnedRows(1021, 3)]).toEqual([1021, 1022, 1023]);
    expect([...learnedRows(7, 0)]).toEqual([]);
  });
});
