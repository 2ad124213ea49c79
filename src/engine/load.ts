/** What users call: loads a model into a thread of its own, or into the one that calls. */

import { platform } from "../util/platform.js";
import type { LoadOptions, Model } from "./api.js";
import { checkLoadOptions } from "./load-options.js";
import { loadRemote } from "./remote/remote-model.js";

/**
 * Loads a model from a file, a folder, a URL of one of these (http:, https:, in Node also file:, in a page also blob: or
 * relative), or the hub (`hf:user/repo[:quant]`, `hf:user/repo/file.gguf`).
 * @throws NotFoundError, FormatError, UnsupportedError, MemoryError, NetworkError, ArgumentError, CancelledError
 */
export async function load(model: string | URL, options: LoadOptions = {}): Promise<Model> {
  const reference = model instanceof URL ? model.href : model;
  checkLoadOptions(reference, options);
  await prepare(options);
  const location = platform().absolute?.(reference) ?? reference;
  if (options.thread ?? true) return loadRemote(platform().spawnEngine(), location, options);
  // Not needed by a program whose models have threads of their own.
  const { loadLocal } = await import("./load-local.js");
  return loadLocal(location, options);
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
