/**
 * Views that compute: small tensors in f32, as GGUF stores what is not a matrix of a linear layer, with a function of every
 * element where GGUF stores that.
 */
import { dequantiseRow } from "../../quant/index.js";
import type { SafetensorsTensor } from "../safetensors.js";
import { assembled, bytesOf, dtypeOf, type View, type ViewContext, type ViewedTensor } from "./views.js";

interface Shape {
  readonly rows: number;
  readonly cols: number;
}

function inF32(context: ViewContext, shape: Shape, compute?: (value: number) => number): ViewedTensor {
  return pickedInF32(context, shape, undefined, compute);
}

/** Element i is `compute` of the element `pick(i)` of the only part, or of its own. */
export function pickedInF32(
  { parts: [part], cache }: ViewContext,
  { rows, cols }: Shape,
  pick?: (index: number) => number,
  compute?: (value: number) => number,
): ViewedTensor {
  const dtype = dtypeOf(part);
  return assembled({ dtype: "f32", rows, cols }, rows, cache, async () => {
    const stored = new Float32Array(part.rows * part.cols);
    dequantiseRow(dtype, await bytesOf(part, 0, part.bytes), 0, stored.length, stored);
    const values = pick ? Float32Array.from({ length: rows * cols }, (_, i) => stored[pick(i)]) : stored;
    // What is not finite stays so, whatever the function makes of infinity: the loader refuses it.
    if (compute) {
      for (let i = 0; i < values.length; i++) {
        values[i] = Number.isFinite(values[i]) ? compute(values[i]) : Number.NaN;
      }
    }
    return new Uint8Array(values.buffer);
  });
}

/** The same numbers in f32. */
export const F32: View = { apply: (context) => inF32(context, context.parts[0]) };

/** Gemma multiplies by 1 + weight; GGUF has the sum. */
export const PLUS_ONE: View = { apply: (context) => inF32(context, context.parts[0], (w) => Math.fround(w + 1)) };

/** The numbers times the one that the metadata has under `key`. */
export function scaledBy(key: string): View {
  return {
    apply(context) {
      const factor = context.size(key);
      return inF32(context, context.parts[0], (value) => value * factor);
    },
  };
}

/** A of the state space: -exp(A_log). */
export const NEGATIVE_EXP: View = {
  apply: (context) => inF32(context, context.parts[0], (log) => -Math.exp(log)),
};

/** A vector as a column: [n, 1]. */
const column = ({ rows, cols }: SafetensorsTensor): Shape => ({ rows: rows * cols, cols: 1 });

export const F32_COLUMN: View = { apply: (context) => inF32(context, column(context.parts[0])) };

export const NEGATIVE_EXP_COLUMN: View = {
  apply: (context) => inF32(context, column(context.parts[0]), (log) => -Math.exp(log)),
};

/** A vector with a row for each group of the state space: [groups, n / groups]. */
export const F32_GROUPS: View = {
  apply(context) {
    const [part] = context.parts;
    const groups = context.size("ssm.group_count");
    return inF32(context, { rows: groups, cols: (part.rows * part.cols) / groups });
  },
};
