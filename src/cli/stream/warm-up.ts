/**
 * Before the first measurement: a stretch of the text is read on a session that is thrown away. Kernels and code are compiled
 * well only after they have run for a while, which would else be counted as a cost of whichever policy comes first.
 */
import type { Model, SessionOptions } from "../../engine/api.js";

const TOKENS = 256;
/** Slow policies and large models are warm before they have read so many tokens. */
const MOST_MS = 2_000;

/** @param options those of the first measured session; what is wrong with them is left to that one to tell */
export async function warmUp(
  model: Model,
  options: SessionOptions,
  ids: Int32Array,
  { batch, signal }: { readonly batch: number; readonly signal: AbortSignal },
): Promise<void> {
  const enough = AbortSignal.any([signal, AbortSignal.timeout(MOST_MS)]);
  try {
    const session = model.session(options);
    try {
      const stretch = ids.subarray(0, TOKENS);
      for await (const _ of session.score(stretch, { batch, every: stretch.length, signal: enough }));
    } finally {
      await session.dispose();
    }
  } catch {
    // The measurement meets it again.
  }
}
