/** Learning rates by step against their closed forms. */
import { describe, expect, it } from "vitest";
import { rateAt, type Schedule } from "../../src/train/schedule.js";

const common = { rate: 0.01, finalRate: 0.1, warmupSteps: 10, decayShare: 0.25, steps: 100 };
const cosine: Schedule = { ...common, kind: "cosine" };
const wsd: Schedule = { ...common, kind: "wsd" };
const constant: Schedule = { ...common, kind: "constant" };

describe.each([cosine, wsd, constant])("$kind", (schedule) => {
  it("warms up in equal steps and reaches the rate with the last of them", () => {
    for (let step = 0; step < 10; step++) expect(rateAt(schedule, step)).toBeCloseTo((0.01 * (step + 1)) / 10, 15);
    expect(rateAt(schedule, 9)).toBe(0.01);
  });

  it("never rises behind the warm-up, and stays between the rate and its end", () => {
    for (let step = 10; step < 100; step++) {
      expect(rateAt(schedule, step)).toBeLessThanOrEqual(rateAt(schedule, step - 1));
      expect(rateAt(schedule, step)).toBeGreaterThanOrEqual(0.001 - 1e-18);
    }
  });

  it("needs no warm-up, and one longer than the run is all there is", () => {
    expect(rateAt({ ...schedule, warmupSteps: 0 }, 0)).toBeGreaterThan(0.0099);
    expect(rateAt({ ...schedule, warmupSteps: 200 }, 99)).toBeCloseTo(0.005, 15);
  });
});

it("a cosine is half a period from the rate to its end", () => {
  for (const step of [10, 31, 54, 77, 99]) {
    const progress = (step - 9) / 90;
    expect(rateAt(cosine, step)).toBeCloseTo(0.001 + (0.009 * (1 + Math.cos(Math.PI * progress))) / 2, 15);
  }
  // Half-way: 45 of 90 steps.
  expect(rateAt(cosine, 54)).toBeCloseTo(0.0055, 15);
});

it("warm-up, stable, decay holds the rate for three quarters and falls as 1 - sqrt", () => {
  for (const step of [9, 10, 40, 74]) expect(rateAt(wsd, step)).toBe(0.01);
  for (const step of [75, 80, 93, 99]) {
    expect(rateAt(wsd, step)).toBeCloseTo(0.001 + 0.009 * (1 - Math.sqrt((step - 74) / 25)), 15);
  }
  expect(rateAt({ ...wsd, decayShare: 0 }, 99)).toBe(0.01);
  // The fall never begins before the warm-up has ended.
  expect(rateAt({ ...wsd, decayShare: 1 }, 9)).toBe(0.01);
});

it.each([
  [cosine, 0.001],
  [wsd, 0.001],
  [constant, 0.01],
])("%o: the last step has the final rate", (schedule, last) => {
  expect(rateAt(schedule, 99)).toBeCloseTo(last, 15);
  expect(rateAt({ ...schedule, steps: 1, warmupSteps: 0, decayShare: 1 }, 0)).toBeCloseTo(last, 15);
  expect(rateAt({ ...schedule, finalRate: 0 }, 99)).toBeCloseTo(schedule.kind === "constant" ? 0.01 : 0, 15);
});

it("a constant rate stays", () => {
  expect([10, 50, 99].map((step) => rateAt(constant, step))).toEqual([0.01, 0.01, 0.01]);
});
