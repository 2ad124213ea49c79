/**
 * Sluice's surroundings in Node 20.19 and later.
 * @module sluice/platform/node
 */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { setFlagsFromString } from "node:v8";
import { NotFoundError } from "../util/errors.js";
import type { Platform, Thread } from "../util/platform.js";
import { listPath, openFile, pathOf } from "./file-node.js";
import { listUrl, openUrl } from "./file-url.js";
import { nodeFileWriter } from "./file-writer-node.js";
import { NodeHub } from "./hub-node.js";
import { availableMemoryBytes } from "./memory-node.js";
import { spawnModuleThread, spawnScriptThread } from "./thread-node.js";
import { compileWide, whyNotWide, withoutWide } from "./wide-node.js";

export const nodePlatform: Platform = {
  kind: "node",
  cores: availableParallelism(),
  availableMemoryBytes: () => availableMemoryBytes(),
  residentMemoryBytes: () => process.memoryUsage.rss(),
  open: (location, options) => (isHttp(location) ? openUrl(location, options) : openFile(pathOf(location))),
  absolute: pathOf,
  list: async (location) => (isHttp(location) ? listUrl(location) : listPath(pathOf(location))),
  spawnScript: spawnScriptThread,
  spawnEngine,
  yieldToEvents: () => new Promise((resolve) => setImmediate(resolve)),
  enableWasmFeatures,
  warn: (message, code) => process.emitWarning(message, { code }),
  compileWide,
  withoutWide,
  whyNotWide,
  get forcedForm() {
    return process.env.SLUICE_FORM;
  },
  writer: nodeFileWriter,
  hub: new NodeHub(process.env),
};

function isHttp(location: string): boolean {
  return /^(https?|data):/i.test(location);
}

/** What the engine's thread is called: in the package, and beside a bundle, however it ends there. */
const ENGINE = "engine-thread-node";

function spawnEngine(): Thread {
  const entries = engineEntries();
  const entry = entries.find((url) => existsSync(url));
  if (entry) return spawnModuleThread(entry, "sluice-engine");
  throw new NotFoundError(
    `The engine's thread was not found: there is no '${entries[0]?.pathname ?? ENGINE}'. In a bundle, leave sluice out ` +
      `(external: ["sluice"]), or make sluice/engine-thread an entry of its own, ${ENGINE}.js beside the bundle, or load ` +
      "with thread: false (docs/bundlers.md). In a checkout, run npm run build.",
  );
}

/** Where the thread's module may be. */
function engineEntries(): URL[] {
  const here = ownUrl();
  if (!here) return [];
  // A thread needs JavaScript: when this file itself runs as TypeScript (tests), the built package has it.
  if (here.endsWith(".ts")) return [new URL(`../../dist/${ENGINE}.js`, here)];
  return ["../", "./"].flatMap((folder) => [".js", ".mjs", ".cjs"].map((end) => new URL(folder + ENGINE + end, here)));
}

/** The URL of this file or of the bundle that it is in; bundles in CommonJS have no import.meta.url. */
function ownUrl(): string | undefined {
  const url: string | undefined = import.meta.url;
  if (url) return url;
  return typeof __filename === "string" ? pathToFileURL(__filename).href : undefined;
}

/** Relaxed SIMD is on by default from V8 11.4 on, that is in Node 22; Node 20 has it behind a flag. */
function enableWasmFeatures(): void {
  if (Number(process.versions.node.split(".")[0]) < 22) setFlagsFromString("--experimental-wasm-relaxed-simd");
}
