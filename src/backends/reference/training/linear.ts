/** Derivatives of matrix products, and cross-entropy with the head, one row of logits at a time. */
import type { CrossEntropyCall, CrossEntropyResult, LinearTraining } from "../../../tensor/training.js";
import { InternalError } from "../../../util/errors.js";
import { elements, own, ReferenceInput, tensor } from "../tensors.js";
import { addTo, rounded } from "./sums.js";

/** Of y = x W^T + b, with respect to x, W and b. */
const products: Pick<LinearTraining, "linearInput" | "linearWeight" | "sumRows"> = {
  linearInput(dy, weight) {
    const { rows: outputs, cols: inputs } = weight;
    const weights = elements(weight);
    const sums = new Float64Array(dy.rows * inputs);
    for (let t = 0; t < dy.rows; t++) {
      const row = tensor(dy).row(t);
      for (let o = 0; o < outputs; o++) {
        for (let i = 0; i < inputs; i++) sums[t * inputs + i] += row[o] * weights[o * inputs + i];
      }
    }
    return rounded(dy.rows, inputs, sums);
  },

  linearWeight(dy, x, gradient) {
    const { rows: outputs, cols: inputs } = gradient;
    const sums = new Float64Array(outputs * inputs);
    for (let t = 0; t < dy.rows; t++) {
      const [slopes, row] = [tensor(dy).row(t), tensor(x).row(t)];
      for (let o = 0; o < outputs; o++) {
        for (let i = 0; i < inputs; i++) sums[o * inputs + i] += slopes[o] * row[i];
      }
    }
    addTo(gradient, sums);
  },

  sumRows(dy, gradient) {
    const sums = new Float64Array(dy.cols);
    for (let t = 0; t < dy.rows; t++) {
      tensor(dy)
        .row(t)
        .forEach((value, column) => {
          sums[column] += value;
        });
    }
    addTo(gradient, sums);
  },
};

/** A row's logits before and behind the soft cap; only those behind count for the loss. */
function logitsOf(row: Float32Array, weights: Float32Array, bias: Float32Array | undefined, softcap?: number) {
  const raw = new Float64Array(weights.length / row.length);
  for (let o = 0; o < raw.length; o++) {
    raw[o] = bias ? bias[o] : 0;
    for (let i = 0; i < row.length; i++) raw[o] += weights[o * row.length + i] * row[i];
  }
  return { raw, logits: softcap === undefined ? raw : raw.map((logit) => softcap * Math.tanh(logit / softcap)) };
}

/** log(sum of exp) */
function logSum(logits: Float64Array): number {
  const most = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
}

/** d total / d logit = weight (softmax - [is the target]), then through the soft cap and back through the head. */
function crossEntropy(call: CrossEntropyCall): CrossEntropyResult {
  const { x, head, softcap, gradients } = call;
  const [weights, bias] = [elements(head), call.bias && elements(call.bias)];
  const targets = own(ReferenceInput, call.targets).values;
  const rowWeights = own(ReferenceInput, call.weights).values;
  const losses = new Float64Array(x.rows);
  const dx = new Float64Array(x.rows * x.cols);
  const dHead = new Float64Array(gradients?.head ? weights.length : 0);
  const dBias = new Float64Array(head.rows);
  for (let t = 0; t < x.rows; t++) {
    if (rowWeights[t] === 0) continue;
    if (!(targets[t] >= 0 && targets[t] < head.rows)) {
      throw new InternalError(`crossEntropy got the target ${targets[t]} of row ${t}.`);
    }
    const row = tensor(x).row(t);
    const { raw, logits } = logitsOf(row, weights, bias, softcap);
    const total = logSum(logits);
    losses[t] = total - logits[targets[t]];
    if (!gradients) continue;
    for (let o = 0; o < head.rows; o++) {
      const share = Math.exp(logits[o] - total) - (o === targets[t] ? 1 : 0);
      const capped = softcap === undefined ? 1 : 1 - Math.tanh(raw[o] / softcap) ** 2;
      const slope = rowWeights[t] * share * capped;
      dBias[o] += slope;
      for (let i = 0; i < x.cols; i++) dx[t * x.cols + i] += slope * weights[o * x.cols + i];
      if (!gradients.head) continue;
      for (let i = 0; i < x.cols; i++) dHead[o * x.cols + i] += slope * row[i];
    }
  }
  addTo(gradients?.head, dHead);
  addTo(gradients?.bias, dBias);
  return { losses: rounded(x.rows, 1, losses), dx: gradients && rounded(x.rows, x.cols, dx) };
}

export function linearTraining(): LinearTraining {
  return { ...products, crossEntropy };
}
