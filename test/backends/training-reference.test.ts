/** Every derivative of the reference backend against finite differences of its own operations. */
import { describe, expect, test } from "vitest";
import { ReferenceBackend } from "../../src/backends/reference/reference.js";
import { checkOf, DERIVATIVE_CASES, derivativeErrors } from "./training-cases.js";

const ops = new ReferenceBackend();

describe("derivatives", () => {
  test.each(DERIVATIVE_CASES.map((each, i) => [each.name, each, i] as const))("%s", async (_, each, seed) => {
    const errors = await derivativeErrors(await checkOf(ops, each, seed));
    expect(errors.right).toBeLessThan(1e-4);
    expect(errors.negated).toBeGreaterThan(0.2);
  });
});
