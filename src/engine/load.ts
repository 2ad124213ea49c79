/** What users call: loads a model into a thread of its own, or into the one that calls. */

import { platform } from "../util/platform.js";
import type { LoadOptions, Model } from "./api.js";
import { loadOptions } from "./arguments/calls.js";
import { Caller } from "./caller.js";
import { ownReference } from "./load-options.js";
import { loadRemote } from "./remote/remote-model.js";

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
    await prepare(own);
    const location = platform().absolute?.(reference) ?? reference;
    if (own.thread ?? true) return await loadRemote(platform().spawnEngine(), location, own, caller);
    // Not needed by a program whose models have threads of their own.
    const { loadLocal } = await import("./load-local.js");
    return await loadLocal(location, own);
  } catch (error) {
    throw caller.tell(error);
  }
}

/**
 * The one compilation with changed flags (see docs/architecture.md) happens here, in the main thread alone and before the
 * first model has code that other threads are compiling; the models' threads, which may only look, find what it made. Where
 * a thread is the first to call `load`, its models have 128-bit vectors.
 */
async function prepare({ backend = "wasm", wide }: LoadOptions): Promise<void> {
  if (backend !== "wasm" || wide === false || !platform().compileWide) return;
  const { compileWide } = await import("../backends/wasm/wide.js");
  compileWide(wide);
}
