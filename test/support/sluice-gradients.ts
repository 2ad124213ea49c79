/** Sluice's side of the comparison in test/autograd/jax.test.ts. */
import type { LlamaShape, Weights } from "./jax-llama.mjs";

/** As JaxModel's: ids i32 [batch, sequence + 1], the loss their mean, gradients by the GGUF tensors' names. */
export type LossAndGradients = (
  shape: LlamaShape,
  weights: Weights,
  ids: Int32Array,
) => Promise<{ readonly loss: number; readonly gradients: ReadonlyMap<string, Float32Array> }>;

// TO BE FILLED IN with the tape of src/autograd; until then the comparison is skipped.
export const sluiceLossAndGradients: LossAndGradients | undefined = undefined;
