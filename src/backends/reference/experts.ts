/** Mixture of experts: who computes what, and the weighted sum. */
import type { ExpertWeighting, Routing } from "../../tensor/backend.js";
import type { Tensor, Weight } from "../../tensor/tensor.js";
import { own, ReferenceTensor, ReferenceWeight, tensor } from "./tensors.js";

export class ReferenceRouting implements Routing {
  constructor(
    readonly rows: number,
    readonly used: number,
    /** Both [T, k]. */
    readonly experts: Int32Array,
    readonly weights: Float64Array,
  ) {}
}

export function route(logits: Tensor, used: number, weighting: ExpertWeighting): ReferenceRouting {
  const experts = new Int32Array(logits.rows * used);
  const weights = new Float64Array(logits.rows * used);
  for (let t = 0; t < logits.rows; t++) {
    const row = Array.from(tensor(logits).row(t));
    const order = row.map((_, expert) => expert).sort((a, b) => row[b] - row[a] || a - b);
    const chosen = order.slice(0, used);
    const summed = weighting === "chosen" ? chosen : order;
    const most = row[order[0]];
    const total = summed.reduce((sum, expert) => sum + Math.exp(row[expert] - most), 0);
    const finite = row.every(Number.isFinite);
    chosen.forEach((expert, j) => {
      experts[t * used + j] = expert;
      weights[t * used + j] = finite ? Math.exp(row[expert] - most) / total : Number.NaN;
    });
  }
  return new ReferenceRouting(logits.rows, used, experts, weights);
}

/** Of a weight of `count` experts that of one. */
export function expertPart(stacked: Weight, count: number, expert: number): ReferenceWeight {
  const { name, dtype, rows, cols, bytes } = own(ReferenceWeight, stacked);
  const [each, stride] = [rows / count, bytes.length / count];
  return new ReferenceWeight(name, dtype, each, cols, bytes.subarray(expert * stride, (expert + 1) * stride));
}

/** `product` is one row times one expert's matrix. */
export function expertLinear(
  x: Tensor,
  width: number,
  routing: Routing,
  product: (row: Tensor, expert: number) => ReferenceTensor,
): ReferenceTensor {
  const { rows, used, experts } = own(ReferenceRouting, routing);
  const out = new ReferenceTensor(rows * used, width, new Float32Array(rows * used * width));
  const perRow = x.rows === rows ? used : 1;
  for (let at = 0; at < rows * used; at++) {
    const row = new ReferenceTensor(1, x.cols, tensor(x).row(Math.floor(at / perRow)));
    out.row(at).set(product(row, experts[at]).data);
  }
  return out;
}

export function mixExperts(y: Tensor, routing: Routing): ReferenceTensor {
  const { rows, used, weights } = own(ReferenceRouting, routing);
  const out = new ReferenceTensor(rows, y.cols, new Float32Array(rows * y.cols));
  for (let t = 0; t < rows; t++) {
    for (let column = 0; column < y.cols; column++) {
      let sum = 0;
      for (let j = 0; j < used; j++) sum += weights[t * used + j] * tensor(y).row(t * used + j)[column];
      out.row(t)[column] = sum;
    }
  }
  return out;
}
