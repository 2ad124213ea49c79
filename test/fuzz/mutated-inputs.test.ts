/**
 * A small part of `npm run fuzz`, always the same cases: mutated files, texts and arguments end well or with a typed error.
 * The whole, with limits of time and memory that are watched from outside, is scripts/fuzz.mjs.
 */
import { expect, test } from "vitest";
import { faultsOf, KINDS } from "../../scripts/fuzz/cases.mjs";
import { library } from "./library.js";

const COUNT = 200;

test.each(KINDS)("%s: mutated inputs end well or with a typed error", async (kind) => {
  const { faults, refused } = await faultsOf(kind, library, { count: COUNT, seed: 1, shared: false, threads: false });
  expect(faults).toEqual([]);
  // The mutations reach what is checked, and leave something that passes.
  expect(refused).toBeGreaterThan(COUNT / 10);
  expect(refused).toBeLessThan(COUNT);
});
