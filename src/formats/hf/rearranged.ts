/** Views that move elements without changing them: transposed matrices, fused heads in groups, stacked experts. */
import { rowBytes } from "../../tensor/dtype.js";
import type { SafetensorsTensor } from "../safetensors.js";
import { assembled, bytesOf, dtypeOf, gathered, type View, wrongShape } from "./views.js";

/**
 * Queries, keys and values that lie in groups [Hkv][H / Hkv queries, 1 key, 1 value][D]: all queries first, then all keys,
 * then all values. Rows are outputs, and so are the elements of a bias.
 */
export const FUSED_GROUPS: View = {
  apply({ parts: [part], size }) {
    const dtype = dtypeOf(part);
    const heads = size("attention.head_count");
    const kvHeads = size("attention.head_count_kv");
    const outputs = part.shape[0] ?? 0;
    const width = outputs / (heads + 2 * kvHeads);
    if (!Number.isInteger(width) || part.shape.length > 2) {
      throw wrongShape(part, `[${heads} + 2 * ${kvHeads} heads of equal width, ...]`);
    }
    const group = heads / kvHeads;
    // The head of the file that is the i-th of GGUF's.
    const source = (head: number) => {
      if (head < heads) return Math.floor(head / group) * (group + 2) + (head % group);
      const key = head - heads;
      return key < kvHeads ? key * (group + 2) + group : (key - kvHeads) * (group + 2) + group + 1;
    };
    const bytes = part.bytes / (heads + 2 * kvHeads);
    return gathered({ dtype, rows: part.rows, cols: part.cols }, bytes, (head) => ({ part, at: source(head) * bytes }));
  },
};

/** [inputs, outputs] as [outputs, inputs] (Conv1D of GPT-2); vectors stay. */
export const TRANSPOSED: View = {
  apply({ parts: [part], cache }) {
    const dtype = dtypeOf(part);
    const { rows, cols, shape } = part;
    if (shape.length > 2) throw wrongShape(part, "[inputs, outputs]");
    if (shape.length < 2) return { dtype, rows, cols, bytes: part.bytes, read: part.read };
    return assembled({ dtype, rows: cols, cols: rows }, cols, cache, async () =>
      columnsAsRows(await bytesOf(part, 0, part.bytes), cols, rowBytes(dtype, 1), (row) => row),
    );
  },
};

/**
 * Some columns of a matrix of `cols` columns as rows: row r of the result is column `column(r)`. As many rows as columns
 * unless `count` says otherwise.
 */
export function columnsAsRows(
  matrix: Uint8Array,
  cols: number,
  elementBytes: number,
  column: (row: number) => number,
  count = cols,
): Uint8Array {
  const length = matrix.length / (cols * elementBytes);
  const result = new Uint8Array(count * length * elementBytes);
  const from = elementBytes === 4 ? new Uint32Array(matrix.buffer) : new Uint16Array(matrix.buffer);
  const to = elementBytes === 4 ? new Uint32Array(result.buffer) : new Uint16Array(result.buffer);
  // Tiles, so that neither side leaves the cache at every step.
  for (let start = 0; start < length; start += TILE) {
    const end = Math.min(length, start + TILE);
    for (let row = 0; row < count; row++) {
      const at = column(row);
      for (let i = start; i < end; i++) to[row * length + i] = from[i * cols + at];
    }
  }
  return result;
}

const TILE = 64;

/** One matrix per expert, in the order of the experts: [experts * rows, cols]. */
export const EXPERTS: View = {
  parts: (size) => size("expert_count"),
  apply({ parts }) {
    const [first] = parts;
    const dtype = dtypeOf(first);
    for (const part of parts) checkAlike(part, first);
    const { rows, cols, bytes } = first;
    return gathered({ dtype, rows: rows * parts.length, cols }, bytes, (index) => ({ part: parts[index], at: 0 }));
  },
};

function checkAlike(part: SafetensorsTensor, first: SafetensorsTensor): void {
  if (part.dtype === first.dtype && part.shape.length === 2 && part.rows === first.rows && part.cols === first.cols)
    return;
  throw wrongShape(part, `a matrix of the shape and type of "${first.name}"`);
}
