/** What a caller of `load` gave, checked before anything is opened. */
import { leastMemory } from "../../backends/wasm/space.js";
import { ArgumentError } from "../../util/errors.js";
import { counted, formatCount } from "../../util/figures.js";
import type { LoadOptions } from "../api.js";
import { shown } from "../calls/kinds.js";
import { reading } from "../calls/own-options.js";

/** @throws ArgumentError for what names no model */
export function ownReference(model: unknown): string {
  if (reading("load", () => model instanceof URL)) return String(model);
  if (typeof model === "string" && model !== "") return model;
  throw new ArgumentError(
    `A model is a file, a folder, a URL or hf:user/repo, given as a text; found ${shown(model)}.`,
  );
}

/** Every memory has scratch memory of every thread in it. @throws ArgumentError naming the least that will do */
export function checkMemoryOfThreads({ backend, wasmMemoryBytes }: LoadOptions, threads: number): void {
  const leastBytes = leastMemory(threads);
  if (backend === "reference" || wasmMemoryBytes === undefined || !(wasmMemoryBytes < leastBytes)) return;
  throw new ArgumentError(
    `wasmMemoryBytes must be a number from ${formatCount(leastBytes)} with ${counted(threads, "thread")}; found ${formatCount(wasmMemoryBytes)}. ` +
      "Give more, or use fewer threads.",
    { option: "wasmMemoryBytes", threads, leastBytes },
  );
}
