/**
 * A module compiled to 256-bit vectors at once, for measurements in processes in which nothing else is compiled. The library
 * does it with fewer flags, which needs a trial that calls every function (src/platform/wide-node.ts).
 */
import { setFlagsFromString } from "node:v8";

const FLAGS = ["wasm-lazy-compilation", "liftoff", "no-experimental-wasm-revectorize"];
const MAJOR = Number(process.versions.node.split(".")[0]);

/** @param {Uint8Array} bytes @returns {WebAssembly.Module | undefined} undefined where this Node cannot */
export function compileJoined(bytes) {
  if (MAJOR < 24 || process.arch !== "x64" || process.env.SLUICE_WIDE === "0") return undefined;
  // V8 14.6 inlines by counts that are not there without the baseline compiler; 13.6 crashes by this very flag.
  const flags = MAJOR > 24 ? ["wasm-inlining", ...FLAGS] : FLAGS;
  for (const flag of flags) setFlagsFromString(flag.startsWith("no-") ? `--${flag.slice(3)}` : `--no-${flag}`);
  try {
    return new WebAssembly.Module(bytes);
  } finally {
    for (const flag of flags) setFlagsFromString(`--${flag}`);
  }
}
