/** 256-bit vectors, asked for: the early call of programs that know what else runs in their process. */
import { platform, type WideRefusal } from "../../util/platform.js";

/** Whether models of this process, from now on, compute in 256-bit vectors; where not, why. */
export type WideVectors = { readonly on: true } | ({ readonly on: false } & WideRefusal);

/**
 * Turns on 256-bit vectors (x64 with AVX2, Node 24 and 26) for all models that this process loads later; prefill and attention
 * are about twice as fast. In Node 24 `load` does it by itself. In Node 26 it happens only here, or where `load` is given
 * `wide: true`, since a flag of V8's is on for less than a tenth of a second with which V8 14.6 aborts the process, should it
 * optimise certain other WebAssembly with SIMD at that moment. So the conditions are:
 *
 * - call it in the main thread, at the start of the program, before `load` and before anything else of Sluice;
 * - await it before WebAssembly with SIMD of other packages runs, and before threads start that run such or load models.
 *
 * It does not throw: the result says whether they are on and, where they are not, the `reason` and a `message`. Models
 * then compute in 128-bit vectors: the same products, while attention of few rows over half floats adds up in another order.
 * Calling it again tells the same. `SLUICE_WIDE=0` in the environment forbids it.
 * @example
 * const wide = await enableWideVectors();
 * if (!wide.on) console.error(`128-bit vectors: ${wide.message}`);
 */
export async function enableWideVectors(): Promise<WideVectors> {
  if (platform().compileWide) {
    const { compileWide } = await import("../../backends/wasm/wide.js");
    if (compileWide(true)) return { on: true };
  }
  const refusal = platform().whyNotWide?.();
  return { on: false, ...(refusal ?? { reason: "runtime", message: "They are for Node; this is another runtime." }) };
}
