/** Layouts of Hugging Face tensors, from GGUF's: what each class of `transformers` documents, the other way round. */
import { count, type Layout, type Matrix, spec } from "./twin.js";

/** Rows [start, start + length) of a matrix, or elements of a bias. */
function outputs({ rows, cols, values }: Matrix, start: number, length: number): Float32Array {
  const width = rows === 1 ? 1 : cols;
  return values.subarray(start * width, (start + length) * width);
}

function concatenated(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** query_key_value as [Hkv][G queries, one key, one value][D] outputs; Hkv = H unless `kvHeads` says otherwise. */
export const inGroups: Layout = ([fused], hf, keys) => {
  const heads = count(keys, "attention.head_count");
  const kvHeads = typeof keys["attention.head_count_kv"] === "number" ? keys["attention.head_count_kv"] : heads;
  const all = fused.rows === 1 ? fused.cols : fused.rows;
  const width = all / (heads + 2 * kvHeads);
  const parts: Float32Array[] = [];
  for (let group = 0; group < kvHeads; group++) {
    for (let head = 0; head < heads / kvHeads; head++) {
      parts.push(outputs(fused, (group * (heads / kvHeads) + head) * width, width));
    }
    parts.push(outputs(fused, (heads + group) * width, width));
    parts.push(outputs(fused, (heads + kvHeads + group) * width, width));
  }
  return [spec(hf, fused.rows === 1 ? [all] : [all, fused.cols], concatenated(parts))];
};

export function transposed({ rows, cols, values }: Matrix): Float32Array {
  return Float32Array.from({ length: rows * cols }, (_, i) => values[(i % rows) * cols + Math.floor(i / rows)]);
}

/** Conv1D: [inputs, outputs]; biases as they are. */
export const conv1d: Layout = ([matrix], hf) => {
  if (matrix.rows === 1) return [spec(hf, [matrix.cols], matrix.values)];
  return [spec(hf, [matrix.cols, matrix.rows], transposed(matrix))];
};

/** One tensor [rows, cols] for each expert. */
export const perExpert: Layout = ([{ rows, cols, values }], hf, keys) => {
  const experts = count(keys, "expert_count");
  const length = (rows / experts) * cols;
  return Array.from({ length: experts }, (_, expert) =>
    spec(
      hf.replace("*", String(expert)),
      [rows / experts, cols],
      values.subarray(expert * length, (expert + 1) * length),
    ),
  );
};

/** Gemma's norms without the 1. */
export const withoutOne: Layout = ([{ cols, values }], hf) => [
  spec(
    hf,
    [cols],
    values.map((value) => value - 1),
  ),
];

/** A convolution [channels, 1, width]. */
export const depthwise: Layout = ([{ rows, cols, values }], hf) => [spec(hf, [rows, 1, cols], values)];

/** log(-A), [channels, state] or, of one column, [heads]. */
export const logarithm: Layout = ([{ rows, cols, values }], hf) => [
  spec(
    hf,
    cols === 1 ? [rows] : [rows, cols],
    values.map((value) => Math.log(-value)),
  ),
];

/** All numbers as one vector. */
export const flat: Layout = ([{ values }], hf) => [spec(hf, [values.length], values)];

/** Query or key rows with RoPE by halves, from GGUF's interleaved pairs: row (head, half, i) is (head, 2 i + half) there. */
export function inHalves(headWidth: number): Layout {
  return ([{ rows, cols, values }], hf) => {
    const out = new Float32Array(values.length);
    for (let r = 0; r < rows; r++) {
      const head = Math.floor(r / headWidth);
      const [half, i] = [Math.floor((r % headWidth) / (headWidth / 2)), r % (headWidth / 2)];
      const from = head * headWidth + 2 * i + half;
      out.set(values.subarray(from * cols, (from + 1) * cols), r * cols);
    }
    return [spec(hf, [rows, cols], out)];
  };
}

/** gate_up_proj [experts, inputs, 2 outputs] of [gate, up], whose columns alternate. */
export const gateAndUp: Layout = ([gate, up], hf, keys) => {
  const experts = count(keys, "expert_count");
  const [rows, cols] = [gate.rows / experts, gate.cols];
  const values = new Float32Array(2 * gate.values.length);
  for (let expert = 0; expert < experts; expert++) {
    for (let input = 0; input < cols; input++) {
      for (let output = 0; output < rows; output++) {
        const from = (expert * rows + output) * cols + input;
        const to = ((expert * cols + input) * rows + output) * 2;
        values[to] = gate.values[from];
        values[to + 1] = up.values[from];
      }
    }
  }
  return [spec(hf, [experts, cols, 2 * rows], values)];
};

/** gate_up_proj_bias [experts, 2 outputs], alternating. */
export const gateAndUpBias: Layout = ([gate, up], hf) => {
  const values = Float32Array.from(
    { length: 2 * gate.values.length },
    (_, i) => (i % 2 === 0 ? gate : up).values[i >> 1],
  );
  return [spec(hf, [gate.rows, 2 * gate.cols], values)];
};

/** down_proj [experts, inputs, outputs]. */
export const transposedExperts: Layout = ([{ rows, cols, values }], hf, keys) => {
  const experts = count(keys, "expert_count");
  const outputCount = rows / experts;
  const parts = Array.from({ length: experts }, (_, expert) => {
    const part = values.subarray(expert * outputCount * cols, (expert + 1) * outputCount * cols);
    return transposed({ rows: outputCount, cols, values: part });
  });
  return [spec(hf, [experts, cols, outputCount], concatenated(parts))];
};
