/**
 * Products and sums of matrices in training, of f32 rows wherever they lie; kernels/training/float-product.ts and sum-rows.ts
 * document the arguments.
 */
import * as abi from "../../../../kernels/abi.js";
import type { KeptTensor, Weight } from "../../../tensor/tensor.js";
import { WasmKept } from "../kept.js";
import type { Machine } from "../machine.js";
import { expect, own, ownWeight, shape, type WasmTensor, type WasmWeight } from "../tensors.js";

/** Nanoseconds of one thread per multiplication of a product, and per number that is summed. */
const PRODUCT_NS = 0.04;
const SUM_NS = 0.2;

/** Rows of f32 in memory, `stride` numbers apart. */
export interface Matrix {
  readonly address: number;
  readonly rows: number;
  readonly cols: number;
  readonly stride: number;
}

const bytesOf = ({ rows, stride }: Matrix): number => rows * stride * 4;

export function matrixOf(x: WasmTensor | WasmKept | WasmWeight): Matrix {
  return { address: x.address, rows: x.rows, cols: x.cols, stride: x.cols };
}

/** A trained weight. */
export function trained(matrix: Weight): WasmWeight {
  const weight = ownWeight(matrix);
  expect(weight.dtype === "f32", `A derivative of ${weight.name}`, `a weight of ${weight.dtype}; f32 is trained`);
  return weight;
}

/** [rows, cols] of the machine's arena, as `left` times `right`; `transposed`: one of them is taken transposed. */
export interface FloatProduct {
  readonly left: Matrix;
  readonly right: Matrix;
  readonly transposed?: "left" | "right" | undefined;
  /** Where the product goes, or what it is added to. */
  readonly to: Matrix;
  readonly added: boolean;
}

export function floatProduct(machine: Machine, { left, transposed, right, to, added }: FloatProduct): void {
  const [rows, depth] = transposed === "left" ? [left.cols, left.rows] : [left.rows, left.cols];
  const [height, cols] = transposed === "right" ? [right.cols, right.rows] : [right.rows, right.cols];
  const fits = depth === height && rows === to.rows && cols === to.cols;
  const turned = transposed ? `, ${transposed} transposed,` : "";
  expect(fits, "A product of floats", `${shape(left)} and ${shape(right)}${turned} for ${shape(to)}`);
  machine.commands
    .begin(abi.FLOAT_PRODUCT, rows * cols * depth * PRODUCT_NS)
    .reads(left.address, bytesOf(left))
    .word(left.stride * 4)
    .word(transposed === "left" ? 1 : 0)
    .reads(right.address, bytesOf(right))
    .word(right.stride * 4)
    .writes(to.address, bytesOf(to))
    .word(to.stride * 4)
    .word(rows)
    .word(cols)
    .word(depth)
    .word(added ? 1 : 0)
    .word(machine.wide ? 1 : 0)
    .word(machine.scratch)
    .word(transposed === "right" ? 1 : 0)
    .end();
}

/** Of a stack of `count` matrices one. */
export function partOf(stacked: Matrix, count: number, index: number): Matrix {
  const rows = stacked.rows / count;
  return { ...stacked, rows, address: stacked.address + index * rows * stacked.stride * 4 };
}

/** A gradient as a matrix. */
export function keptMatrix(gradient: KeptTensor): Matrix {
  return matrixOf(own(WasmKept, gradient));
}

/** sums [1, cols] += the sums of x's columns. */
export function sumColumns(machine: Machine, x: Matrix, sums: Matrix): void {
  expect(sums.rows === 1 && sums.cols === x.cols, "sumRows", `${shape(x)} for ${shape(sums)}`);
  machine.commands
    .begin(abi.SUM_ROWS, x.rows * x.cols * SUM_NS)
    .reads(x.address, bytesOf(x))
    .word(x.stride * 4)
    .word(x.rows)
    .word(x.cols)
    .writes(sums.address, bytesOf(sums))
    .end();
}
