/** Derivatives of what works on rows: copies by index, norms, functions of elements, rotations. */
import type { Angles } from "../../../tensor/backend.js";
import type { NormCall, RowTraining } from "../../../tensor/training.js";
import { rotateHead } from "../attention.js";
import { elements, own, ReferenceInput, ReferenceTensor, tensor } from "../tensors.js";
import { DERIVATIVES, gatingSlopes } from "./function-derivatives.js";
import { addTo, rounded } from "./sums.js";

const copies: Pick<RowTraining, "zeros" | "copy" | "accumulate" | "scatterRows" | "ungather"> = {
  zeros: (rows, cols) => new ReferenceTensor(rows, cols, new Float32Array(rows * cols)),

  copy: (x) => new ReferenceTensor(x.rows, x.cols, tensor(x).data.slice()),

  accumulate: (into, x) => addTo(into, Float64Array.from(tensor(x).data)),

  scatterRows(dy, ids, gradient) {
    addTo(gradient, scattered(tensor(dy), own(ReferenceInput, ids), gradient.rows));
  },

  ungather(dy, indices, rows) {
    return rounded(rows, dy.cols, scattered(tensor(dy), own(ReferenceInput, indices), rows));
  },
};

/** [rows, dy.cols]: each row of dy added to the row that its index names. */
function scattered(dy: ReferenceTensor, indices: ReferenceInput, rows: number): Float64Array {
  const sums = new Float64Array(rows * dy.cols);
  indices.values.forEach((index, t) => {
    for (let i = 0; i < dy.cols; i++) sums[index * dy.cols + i] += dy.row(t)[i];
  });
  return sums;
}

/** Numbers that are normed together. */
interface NormGroup {
  readonly x: Float64Array;
  /** dy * gain: the gradient of the normed numbers before the gain. */
  readonly slopes: Float64Array;
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function productMean(a: Float64Array, b: Float64Array): number {
  return mean(a.map((value, i) => value * b[i]));
}

/** With n = x / sqrt(mean(x^2) + epsilon) and s = dy gain: dx = (s - n mean(s n)) / sqrt(mean(x^2) + epsilon). */
function rmsGroup({ x, slopes }: NormGroup, epsilon: number) {
  const factor = 1 / Math.sqrt(productMean(x, x) + epsilon);
  const normed = x.map((value) => value * factor);
  const along = productMean(slopes, normed);
  return { normed, dx: slopes.map((slope, i) => factor * (slope - normed[i] * along)) };
}

/** As rmsGroup, of the numbers less their mean: dx loses the mean of s too. */
function layerGroup({ x, slopes }: NormGroup, epsilon: number) {
  const middle = mean(x);
  const { normed, dx } = rmsGroup({ x: x.map((value) => value - middle), slopes }, epsilon);
  const common = mean(dx);
  return { normed, dx: dx.map((value) => value - common) };
}

/** Groups of gain.cols numbers, one after the other; a gain of several rows has one for each group of a row. */
function normInput(call: NormCall, group: typeof rmsGroup): ReferenceTensor {
  const { x, dy, gain, epsilon, gradient } = call;
  const gains = elements(gain);
  const gainSums = new Float64Array(gains.length);
  const result = new Float64Array(x.rows * x.cols);
  for (let start = 0; start < result.length; start += gain.cols) {
    const place = start % gains.length;
    const outer = Float64Array.from(tensor(dy).data.subarray(start, start + gain.cols));
    const { normed, dx } = group(
      {
        x: Float64Array.from(tensor(x).data.subarray(start, start + gain.cols)),
        slopes: outer.map((value, i) => value * gains[place + i]),
      },
      epsilon,
    );
    result.set(dx, start);
    for (let i = 0; i < gain.cols; i++) gainSums[place + i] += outer[i] * normed[i];
  }
  addTo(gradient, gainSums);
  return rounded(x.rows, x.cols, result);
}

const norms: Pick<RowTraining, "rmsNormInput" | "layerNormInput"> = {
  rmsNormInput: (call) => normInput(call, rmsGroup),

  layerNormInput(call) {
    const biasSums = new Float64Array(call.x.cols);
    tensor(call.dy).data.forEach((value, i) => {
      biasSums[i % biasSums.length] += value;
    });
    addTo(call.biasGradient, biasSums);
    return normInput(call, layerGroup);
  },
};

const elementwise: Pick<RowTraining, "mapInput" | "gatedInputs" | "rotateBack"> = {
  mapInput(x, f, parameter, dy) {
    const slopes = tensor(dy).data;
    const dx = tensor(x).data.map((value, i) => DERIVATIVES[f](value, parameter ?? 0) * slopes[i]);
    return new ReferenceTensor(x.rows, x.cols, dx);
  },

  gatedInputs(gate, up, gating, dy) {
    const [gates, ups, outer] = [tensor(gate).data, tensor(up).data, tensor(dy).data];
    const slopes = Array.from(gates, (value, i) => gatingSlopes(gating, value, ups[i]));
    const of = (which: "gate" | "up") =>
      new ReferenceTensor(
        gate.rows,
        gate.cols,
        outer.map((value, i) => value * slopes[i][which]),
      );
    return { gate: of("gate"), up: of("up") };
  },

  rotateBack(dy, headWidth, angles) {
    const out = new ReferenceTensor(dy.rows, dy.cols, tensor(dy).data.slice());
    const back = transposed(angles);
    for (let row = 0; row < dy.rows; row++) {
      for (let head = 0; head < dy.cols; head += headWidth) {
        rotateHead(out.row(row).subarray(head, head + headWidth), back, row);
      }
    }
    return out;
  },
};

/** The transpose of a rotation (and of its multiples) is that by the opposite angle: the sines change their signs. */
function transposed(angles: Angles): Angles {
  const { values } = own(ReferenceInput, angles.values);
  return { ...angles, values: new ReferenceInput(values.map((value, i) => (i % 2 === 0 ? value : -value))) };
}

export function rowTraining(): RowTraining {
  return { ...copies, ...norms, ...elementwise };
}
