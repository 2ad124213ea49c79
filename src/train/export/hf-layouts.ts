/** Layouts of tensors in files of `transformers`, from GGUF's. The inverses are the views of src/formats/hf. */
import type { ModelMetadata } from "../../models/metadata.js";
import type { Rearrangement, Shape } from "./hf-writer.js";

const usual = ({ rows, cols }: Shape): readonly number[] => (rows === 1 ? [cols] : [rows, cols]);

/** The same elements, whole segments of equal length in another order: the i-th is `source(i)` of GGUF. */
function reordered(values: Float32Array, segments: number, source: (index: number) => number): Float32Array {
  const length = values.length / segments;
  const result = new Float32Array(values.length);
  for (let i = 0; i < segments; i++) {
    const from = source(i) * length;
    result.set(values.subarray(from, from + length), i * length);
  }
  return result;
}

/**
 * Rows of queries or keys whose pairs lie side by side, as RoPE of GGUF's llama has them, with the first of all pairs of a
 * head before the second. `heads` is the key with their number.
 */
export function pairsToHalves(heads: string): Rearrangement {
  const apply = (values: Float32Array, _: Shape, meta: ModelMetadata) => {
    const width = meta.count(
      "attention.key_length",
      meta.count("embedding_length") / meta.count("attention.head_count"),
    );
    const count = meta.count(heads, meta.count("attention.head_count"));
    const half = width / 2;
    return reordered(values, count * width, (row) => {
      const within = row % width;
      return row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
    });
  };
  return { shape: usual, apply };
}

/** All queries, then all keys, then all values, as [H][q, k, v][D]. */
export const FUSED_HEADS: Rearrangement = {
  shape: usual,
  apply: (values, _, meta) => {
    const heads = meta.count("attention.head_count");
    return reordered(values, 3 * heads, (i) => (i % 3) * heads + Math.floor(i / 3));
  },
};

/** [outputs, inputs] as [inputs, outputs] (Conv1D of GPT-2). */
export const TRANSPOSED: Rearrangement = {
  shape: ({ rows, cols }) => (rows === 1 ? [cols] : [cols, rows]),
  apply(values, { rows, cols }) {
    if (rows === 1) return values;
    const result = new Float32Array(values.length);
    for (let row = 0; row < rows; row++)
      for (let col = 0; col < cols; col++) result[col * rows + row] = values[row * cols + col];
    return result;
  },
};

/** A = -exp(A_log) back to A_log. */
export const LOG_OF_NEGATIVE: Rearrangement = {
  shape: ({ rows, cols }) => [rows, cols],
  apply: (values) => values.map((a) => Math.log(-a)),
};

/** Kernels of a convolution over single channels: [C, K] as [C, 1, K]. */
export const ONE_CHANNEL_KERNELS: Rearrangement = {
  shape: ({ rows, cols }) => [rows, 1, cols],
  apply: (values) => values,
};
