/** Shares of right answers by depth. */
import { expect, test } from "vitest";
import { accuracyByDepth, accuracyOf, type PasskeyOutcome } from "../../../src/eval/tasks/passkey-run.js";

const outcome = (depth: number, correct: boolean): PasskeyOutcome => {
  return { depth, correct, passkey: "12345", generated: "", horizon: null, kept: 0 };
};

test("depths fall into equal parts, 1 into the last", () => {
  const outcomes = [0, 0.19, 0.2, 0.5, 0.8, 1].map((depth) => outcome(depth, depth !== 0.5));
  expect(accuracyByDepth(outcomes, 5)).toEqual([
    { correct: 2, trials: 2 },
    { correct: 1, trials: 1 },
    { correct: 0, trials: 1 },
    { correct: 0, trials: 0 },
    { correct: 2, trials: 2 },
  ]);
  expect(accuracyOf(outcomes)).toEqual({ correct: 5, trials: 6 });
});
