/**
 * Derivatives of linear and of its bias. Both are products of matrices as they lie (products.ts), so nothing is transposed
 * or kept for them.
 */
import type { KeptTensor, Tensor, Weight } from "../../../tensor/tensor.js";
import type { LinearTraining } from "../../../tensor/training.js";
import { WasmKept } from "../kept.js";
import type { Machine } from "../machine.js";
import { own, WasmTensor } from "../tensors.js";
import { crossEntropy } from "./cross-entropy.js";
import { floatProduct, matrixOf, sumColumns, trained } from "./products.js";

export function linearTraining(machine: Machine): LinearTraining {
  return {
    linearInput: (dy, weight) => linearInput(machine, dy, weight),
    linearWeight: (dy, x, gradient) => linearWeight(machine, dy, x, gradient),
    sumRows: (dy, gradient) => sumColumns(machine, matrixOf(own(WasmTensor, dy)), gradient),
    crossEntropy: (call) => crossEntropy(machine, call),
  };
}

function linearInput(machine: Machine, gradient: Tensor, matrix: Weight): Tensor {
  const dy = matrixOf(own(WasmTensor, gradient));
  const weight = matrixOf(trained(matrix));
  const out = machine.empty(dy.rows, weight.cols);
  floatProduct(machine, { left: dy, transposed: false, right: weight, to: matrixOf(out), added: false });
  return out;
}

function linearWeight(machine: Machine, dy: Tensor, x: Tensor, gradient: KeptTensor): void {
  const [left, right] = [matrixOf(own(WasmTensor, dy)), matrixOf(own(WasmTensor, x))];
  floatProduct(machine, { left, transposed: true, right, to: matrixOf(own(WasmKept, gradient)), added: true });
}
