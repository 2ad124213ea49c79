/**
 * The platform of the tests: Node's. With SLUICE_TEST_SIMD=plain nothing turns relaxed SIMD on, so that on Node 20, where it
 * needs a flag, all tests run as on an engine without it (scripts/test-nodes.mjs).
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { nodePlatform } from "../../src/platform/node.js";
import type { Platform } from "../../src/util/platform.js";

const simd = process.env.SLUICE_TEST_SIMD ?? "relaxed";
if (simd !== "relaxed" && simd !== "plain") {
  throw new Error(`SLUICE_TEST_SIMD is "relaxed" or "plain"; found "${simd}".`);
}

/** Whether the relaxed build of the kernels is tested too. Where it is meant to be and cannot, tests fail. */
export const relaxedSimd = simd === "relaxed";

/** Whether the processor has AVX2; where the system does not say, V8 is asked (src/platform/wide-node.ts). */
function hasAvx2(): boolean {
  if (process.platform !== "linux") return true;
  return /^flags\s*:.*\bavx2\b/m.test(readFileSync("/proc/cpuinfo", "latin1"));
}

/**
 * Whether a main thread has 256-bit vectors here (Node 24 and 26), told by other means than the sources': where they then do not
 * come, something is broken, and tests that would go on in 128 bits fail.
 */
export const mustBeWide =
  relaxedSimd &&
  process.arch === "x64" &&
  hasAvx2() &&
  /^1[34]\.6\./.test(process.versions.v8) &&
  process.env.SLUICE_WIDE !== "0";

export const testPlatform: Platform = relaxedSimd ? nodePlatform : { ...nodePlatform, enableWasmFeatures: () => {} };

/**
 * The wide module in 256 bits; for its arithmetic alone compiled as any other, where the engine has no such vectors.
 * @throws Error where it should have them
 */
export function compileWideAnyway(
  bytes: () => Uint8Array<ArrayBuffer>,
  isRight: (module: WebAssembly.Module) => boolean,
): WebAssembly.Module {
  const wide = testPlatform.compileWide?.(bytes, isRight, true);
  if (wide) return wide;
  const why = testPlatform.whyNotWide?.()?.message;
  if (mustBeWide) throw new Error(`Expected 256-bit vectors here, for the tests too; there are none. ${why}`);
  return new WebAssembly.Module(bytes());
}
