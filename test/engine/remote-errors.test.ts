import { describe, expect, it } from "vitest";
import { fromWireError, toWireError } from "../../src/engine/thread/wire-error.js";
import * as errors from "../../src/util/errors.js";

const EACH: readonly errors.SluiceError[] = [
  new errors.FormatError("m", { offset: 1 }),
  new errors.UnsupportedError("m", { architecture: "x" }),
  new errors.NotFoundError("m", { path: "p" }),
  new errors.PolicyError("m", { position: 3 }),
  new errors.ContextFullError("m", { limit: 1, needed: 2 }),
  new errors.MemoryError("m", { neededBytes: 2 }),
  new errors.ArgumentError("m", { option: "o" }),
  new errors.CancelledError("m", { done: true }),
  new errors.NetworkError("m", { status: 503 }),
  new errors.NumericError("m", { id: null }),
  new errors.SnapshotError("m", { found: "x" }),
  new errors.WriteError("w", { path: "/a" }, { cause: 1 }),
  new errors.InternalError("m", { a: 1 }),
  new errors.SluiceError("some_code", "m", { a: 1 }),
];

describe("errors between threads", () => {
  it("covers every class of errors.ts", () => {
    const classes = Object.values(errors).filter((value) => typeof value === "function");
    expect(new Set(EACH.map((error) => error.constructor))).toEqual(new Set(classes));
  });

  it.each(EACH.map((error) => [error.name, error] as const))("%s comes back as it was", (_name, error) => {
    const back = fromWireError(structuredClone(toWireError(error)));
    expect(back.constructor).toBe(error.constructor);
    expect(back).toMatchObject({ name: error.name, code: error.code, message: error.message, details: error.details });
  });

  it("makes anything else an internal error that tells what it was", () => {
    expect(fromWireError(toWireError(new RangeError("too far")))).toMatchObject({
      code: "internal",
      message: expect.stringContaining("RangeError: too far"),
    });
    expect(fromWireError(toWireError("just text")).message).toContain("just text");
  });
});
