/** The real Sluice behind the commands, imported when a command first needs it. */
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import type { LoadProgress } from "../engine/api.js";
import type { FetchOptions, Runtime } from "./runtime.js";

export const nodeRuntime: Runtime = {
  cores: availableParallelism(),
  residentMemoryBytes: () => process.memoryUsage.rss(),
  // src/cli and dist/cli lie equally deep below it.
  assets: fileURLToPath(new URL("../../assets/", import.meta.url)),
  examples: fileURLToPath(new URL("../../examples/", import.meta.url)),

  async load(reference, options) {
    const { enableWideVectors, load } = await import("../index-node.js");
    // Nothing else in this process compiles WebAssembly before.
    await enableWideVectors();
    return load(reference, options);
  },

  async openCheckpoint(reference, options) {
    const location = await resolve(reference, options);
    const { openCheckpoint, platform } = await files();
    return openCheckpoint(location, platform());
  },

  async openTokenizer(checkpoint) {
    const { createTokenizer } = await import("../tokenizer/create-tokenizer.js");
    const { NotFoundError } = await import("../util/errors.js");
    if (!checkpoint.tokenizer) throw new NotFoundError(`${checkpoint.location} has no tokenizer.`);
    return createTokenizer(checkpoint.tokenizer, checkpoint.tensors.get("token_embd.weight")?.rows);
  },

  pull: resolve,

  async training() {
    // Sets Node's platform.
    const { enableWideVectors } = await import("../index-node.js");
    await enableWideVectors();
    const [training, { createBackend }, { lockFolder }] = await Promise.all([
      import("../train/index.js"),
      import("../backends/create.js"),
      import("./train/folder-lock.js"),
    ]);
    return { ...training, createBackend, lockFolder };
  },

  async study() {
    // Sets Node's platform.
    const { enableWideVectors } = await import("../index-node.js");
    await enableWideVectors();
    const [{ findGates }, { loadLocal }] = await Promise.all([
      import("../eval/index.js"),
      import("../engine/loading/load-local.js"),
    ]);
    return { findGates, loadLocal };
  },

  async spec(checkpoint) {
    const { builtModel } = await import("../engine/loading/load-local.js");
    const { SluiceError } = await import("../util/errors.js");
    try {
      return await builtModel(checkpoint);
    } catch (error) {
      if (error instanceof SluiceError) return { reason: error.message };
      throw error;
    }
  },
};

/** The local path of a reference, downloaded if need be. */
async function resolve(reference: string, { signal, onProgress }: FetchOptions): Promise<string> {
  const { resolveReference, platform } = await files();
  const report = (progress: LoadProgress) => onProgress?.(progress);
  report({ phase: "resolve", doneBytes: 0, totalBytes: 0 });
  return resolveReference(reference, platform(), {
    ...(signal && { signal }),
    onProgress: (doneBytes, totalBytes) => report({ phase: "download", doneBytes, totalBytes }),
  });
}

async function files() {
  // Sets Node's platform.
  await import("../index-node.js");
  const [{ openCheckpoint }, { resolveReference }, { platform }] = await Promise.all([
    import("../formats/open.js"),
    import("../formats/reference.js"),
    import("../util/platform.js"),
  ]);
  return { openCheckpoint, resolveReference, platform };
}
