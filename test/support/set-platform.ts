/**
 * Every test file runs on the platform of the tests. Where 256-bit vectors must be asked for before any kernels run (Node 26),
 * they are.
 */
import process from "node:process";
import { setPlatform } from "../../src/util/platform.js";
import { relaxedSimd, testPlatform } from "./test-platform.js";

setPlatform(testPlatform);
if (relaxedSimd && process.versions.v8.startsWith("14.6.")) {
  const { compileWide } = await import("../../src/backends/wasm/wide.js");
  compileWide(true);
}
