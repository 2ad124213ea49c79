/**
 * The platform of the tests: Node's. With SLUICE_TEST_SIMD=plain nothing turns relaxed SIMD on, so that on Node 20, where it
 * needs a flag, all tests run as on an engine without it (scripts/test-nodes.mjs).
 */
import { nodePlatform } from "../../src/platform/node.js";
import type { Platform } from "../../src/util/platform.js";

const simd = process.env.SLUICE_TEST_SIMD ?? "relaxed";
if (simd !== "relaxed" && simd !== "plain") {
  throw new Error(`SLUICE_TEST_SIMD is "relaxed" or "plain"; found "${simd}".`);
}

/** Whether the relaxed build of the kernels is tested too. Where it is meant to be and cannot, tests fail. */
export const relaxedSimd = simd === "relaxed";

export const testPlatform: Platform = relaxedSimd ? nodePlatform : { ...nodePlatform, enableWasmFeatures: () => {} };
