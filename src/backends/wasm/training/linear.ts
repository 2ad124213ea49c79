/**
 * Linear layers of many rows and their derivatives: products of matrices as they lie (products.ts), so nothing is transposed
 * or kept for them.
 */
import { DTYPES } from "../../../tensor/dtype.js";
import type { KeptTensor, Tensor, Weight } from "../../../tensor/tensor.js";
import type { LinearTraining } from "../../../tensor/training.js";
import { WasmKept } from "../kept.js";
import type { Machine } from "../machine.js";
import { own, ownTensor, ownWeight } from "../tensors.js";
import { crossEntropy } from "./cross-entropy.js";
import { floatProduct, keptMatrix, matrixOf, sumColumns, trained } from "./products.js";

export function linearTraining(machine: Machine): LinearTraining {
  return {
    linearInput: (dy, weight) => linearInput(machine, dy, weight),
    linearWeight: (dy, x, gradient) => linearWeight(machine, dy, x, gradient),
    sumRows: (dy, gradient) => sumColumns(machine, matrixOf(ownTensor(dy)), keptMatrix(gradient)),
    crossEntropy: (call) => crossEntropy(machine, call),
  };
}

/** From so many rows on packing a weight costs little beside multiplying by it. */
const LEAST_ROWS = 32;

/**
 * linear where a backend trains: the kernel of the derivatives, which packs more of a weight at once than that of
 * inference. Undefined where it is not for this product.
 */
export function linearOfMany(machine: Machine, input: Tensor, matrix: Weight): Tensor | undefined {
  const [x, weight] = [ownTensor(input), ownWeight(matrix)];
  if (weight.kernelType !== DTYPES.f32.ggml || x.rows < LEAST_ROWS) return undefined;
  const out = machine.empty(x.rows, weight.rows);
  const [left, right] = [matrixOf(x), matrixOf(weight)];
  floatProduct(machine, { left, right, transposed: "right", to: matrixOf(out), added: false });
  return out;
}

function linearInput(machine: Machine, gradient: Tensor, matrix: Weight): Tensor {
  const dy = matrixOf(ownTensor(gradient));
  const weight = matrixOf(trained(matrix));
  const out = machine.empty(dy.rows, weight.cols);
  floatProduct(machine, { left: dy, right: weight, to: matrixOf(out), added: false });
  return out;
}

function linearWeight(machine: Machine, dy: Tensor, x: Tensor, gradient: KeptTensor): void {
  const [left, right] = [matrixOf(ownTensor(dy)), matrixOf(ownTensor(x))];
  floatProduct(machine, { left, transposed: "left", right, to: matrixOf(own(WasmKept, gradient)), added: true });
}
