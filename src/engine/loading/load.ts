/** What users call: loads a model into a thread of its own, or into the one that calls. */

import { NotFoundError } from "../../util/errors.js";
import { platform, type Thread } from "../../util/platform.js";
import type { LoadOptions, Model } from "../api.js";
import { loadOptions } from "../calls/call-options.js";
import { Caller } from "../calls/caller.js";
import { loadRemote } from "../thread/remote-model.js";
import { ownGates } from "./given-gates.js";
import { ownReference } from "./load-options.js";

/**
 * Loads a model from a file, a folder, a URL of one of these (http:, https:, in Node also file:, in a page also blob: or
 * relative), or the hub (`hf:user/repo[:quant]`, `hf:user/repo/file.gguf`).
 * @throws NotFoundError, FormatError, UnsupportedError, MemoryError, NetworkError, ArgumentError, CancelledError
 */
export async function load(model: string | URL, options?: LoadOptions): Promise<Model> {
  const caller = new Caller(load);
  try {
    const reference = ownReference(model);
    const own = loadOptions(options);
    const ready = { ...own, ...(own.gates && { gates: Object.fromEntries(ownGates(own.gates)) }) };
    await prepare(own);
    const location = platform().absolute?.(reference) ?? reference;
    const thread = spawnThread(own);
    if (thread) return await loadRemote(thread, location, ready, caller);
    // Not needed by a program whose models have threads of their own.
    const { loadLocal } = await import("./load-local.js");
    return await loadLocal(location, ready);
  } catch (error) {
    throw caller.tell(error);
  }
}

/** Undefined when the model is to run in the thread that calls, or must, since there is no module for another. */
function spawnThread({ thread }: LoadOptions): Thread | undefined {
  if (thread === false) return undefined;
  try {
    return platform().spawnEngine();
  } catch (error) {
    if (thread === true || !(error instanceof NotFoundError)) throw error;
    const message = "Sluice runs in the thread that called load, which is busy during each step.";
    platform().warn?.(`${message} ${error.message}`, "SLUICE_IN_PLACE");
    return undefined;
  }
}

/**
 * The one compilation with changed flags (see docs/architecture.md) happens here, in the main thread alone and before the
 * first model has code that other threads are compiling; the models' threads, which may only look, find what it made. Where
 * a thread is the first to call `load`, its models have 128-bit vectors.
 */
async function prepare({ backend = "wasm", wide }: LoadOptions): Promise<void> {
  if (backend !== "wasm" || !platform().compileWide) return;
  if (wide === false) return platform().withoutWide?.();
  const { compileWide } = await import("../../backends/wasm/wide.js");
  compileWide(wide);
}
