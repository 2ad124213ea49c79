/**
 * Sluice's surroundings in Node 20.19 and later.
 * @module sluice/platform/node
 */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { NotFoundError } from "../util/errors.js";
import type { Platform, Thread } from "../util/platform.js";
import { listPath, openFile, pathOf } from "./file-node.js";
import { listUrl, openUrl } from "./file-url.js";
import { nodeFileWriter } from "./file-writer-node.js";
import { NodeHub } from "./hub-node.js";
import { availableMemoryBytes } from "./memory-node.js";
import { spawnModuleThread, spawnScriptThread } from "./thread-node.js";
import { compileWide } from "./wide-node.js";

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
  compileWide,
  writer: nodeFileWriter,
  hub: new NodeHub(process.env),
};

function isHttp(location: string): boolean {
  return /^(https?|data):/i.test(location);
}

function spawnEngine(): Thread {
  // A thread needs JavaScript: when this file itself runs as TypeScript (tests), the built package has it.
  const here = import.meta.url;
  const entry = new URL(here.endsWith(".ts") ? "../../dist/engine-thread-node.js" : "../engine-thread-node.js", here);
  if (!existsSync(entry)) {
    throw new NotFoundError(`The engine's thread was not built: there is no '${entry.pathname}'. Run npm run build.`);
  }
  return spawnModuleThread(entry, "sluice-engine");
}

/** Relaxed SIMD is on by default from V8 11.4 on, that is in Node 22; Node 20 has it behind a flag. */
function enableWasmFeatures(): void {
  if (Number(process.versions.node.split(".")[0]) < 22) setFlagsFromString("--experimental-wasm-relaxed-simd");
}
