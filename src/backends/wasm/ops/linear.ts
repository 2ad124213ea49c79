/** Commands of matrix products and embeddings; kernels/linear/linear.ts documents the arguments. */
import * as abi from "../../../../kernels/abi.js";
import { FEW_ROWS } from "../../../tensor/backend.js";
import { DTYPES, type DType, rowBytes } from "../../../tensor/dtype.js";
import type { Tensor, Weight } from "../../../tensor/tensor.js";
import { floatForm, formFor, planesForm, type Readers } from "../byte-form.js";
import { type FormsInUse, formName } from "../form-names.js";
import type { Machine } from "../machine.js";
import { ownTensor, ownWeight, refuse, type WasmInput, type WasmTensor, type WasmWeight } from "../tensors.js";
import { integerBytes, integersOf, type RowRange } from "./activations.js";

/** Nanoseconds of one thread per multiplication of a product, per weight of an embedding. */
const PRODUCT_NS = 0.06;
const UNPACK_NS = 0.3;

export function embed(machine: Machine, table: Weight, ids: WasmInput): Tensor {
  const weight = ownWeight(table);
  const out = machine.empty(ids.length, weight.cols);
  machine.commands
    .begin(abi.EMBED, out.rows * out.cols * UNPACK_NS)
    .word(weight.address)
    .word(ids.address)
    .writes(out.address, out.bytes)
    .word(ids.length)
    .word(weight.cols)
    .word(rowBytes(weight.dtype, weight.cols))
    .word(weight.kernelType)
    .word(machine.scratch)
    .word(weight.rows)
    .end();
  return out;
}

const isFloat = (dtype: DType): boolean => DTYPES[dtype].blockSize === 1;

export function linear(machine: Machine, input: Tensor, matrix: Weight, bias: Weight | undefined): Tensor {
  const x = ownTensor(input);
  const out = machine.empty(x.rows, matrix.rows);
  multiply(machine, x, ownWeight(matrix), biasOf(machine, matrix, bias), out.address);
  return out;
}

/** A matrix as it is stored: a weight, or what of a stack belongs to one expert. */
export type StoredMatrix = Pick<WasmWeight, "name" | "dtype" | "kernelType" | "address" | "rows" | "cols">;

/**
 * Writes x times the matrix's transpose, plus the bias, to [rows, outputs] at `to`. The first `few` rows are of sequences
 * that read few tokens in this step and take the form for those, the others take the form for many.
 * @param bias address of its f32 numbers; 0: there is none
 */
export function multiply(
  machine: Machine,
  x: WasmTensor,
  weight: StoredMatrix,
  bias: number,
  to: number,
  few = machine.fewOf(x.rows),
): void {
  checkWidth(x, weight);
  const stride = weight.rows;
  if (few > 0) product(machine, { x, first: 0, rows: few, readers: "few", weight, bias, to, stride });
  if (few === x.rows) return;
  const target = to + few * stride * 4;
  product(machine, { x, first: few, rows: x.rows - few, readers: "many", weight, bias, to: target, stride });
}

/**
 * The product of one row of x, to `to`, where a sequence reads a single token: x has a row for each of the token's experts,
 * and each expert multiplies one. The first product turns all rows of x into integers, so that the others find theirs.
 */
export function multiplyRow(
  machine: Machine,
  x: WasmTensor,
  row: number,
  weight: StoredMatrix,
  bias: number,
  to: number,
): void {
  checkWidth(x, weight);
  const form = formOf(machine, weight, "few");
  const address = isFloat(weight.dtype)
    ? 0
    : integersOf(machine, x, { first: 0, rows: x.rows }, form) + integerBytes(form, row, x.cols);
  command(machine, form, address, { x, first: row, rows: 1, weight, bias, to, stride: weight.rows });
}

/** The products of rows [first, first + rows) of x and a weight of floats, to rows `stride` numbers apart. */
export function multiplyRows(
  machine: Machine,
  x: WasmTensor,
  range: RowRange,
  matrix: Weight,
  bias: Weight | undefined,
  to: { readonly address: number; readonly stride: number },
): void {
  const weight = ownWeight(matrix);
  checkWidth(x, weight);
  if (!isFloat(weight.dtype)) refuse(`A product of rows with ${weight.name}`, `weights of ${weight.dtype}`);
  const readers = range.rows < FEW_ROWS ? "few" : "many";
  product(machine, {
    x,
    ...range,
    readers,
    weight,
    bias: biasOf(machine, matrix, bias),
    to: to.address,
    stride: to.stride,
  });
}

/** What few and many tokens meet this weight in. */
export function formsOf(machine: Machine, matrix: Weight): FormsInUse {
  const weight = ownWeight(matrix);
  return { few: formName(formOf(machine, weight, "few")), many: formName(formOf(machine, weight, "many")) };
}

function formOf(machine: Machine, weight: StoredMatrix, readers: Readers): number {
  if (isFloat(weight.dtype)) return floatForm(machine.wide, readers);
  if (readers === "few" && weight.kernelType >= abi.EIGHTS) return planesForm(machine.byteForm, machine.wide);
  return formFor(machine.byteForm, weight.dtype, readers);
}

function checkWidth(x: WasmTensor, { name, cols }: StoredMatrix): void {
  if (!(x.cols === cols)) refuse(`linear with ${name}`, `${x.cols} columns for ${cols}`);
}

function biasOf(machine: Machine, { name, rows }: Weight, bias: Weight | undefined): number {
  if (bias === undefined) return 0;
  if (!(bias.cols === rows)) refuse(`linear with ${name}`, `a bias of ${bias.cols}`);
  return machine.elements(ownWeight(bias));
}

/** Of rows [first, first + rows) of x. */
interface Product extends RowRange {
  readonly x: WasmTensor;
  readonly weight: StoredMatrix;
  readonly bias: number;
  readonly to: number;
  /** Numbers from row to row there. */
  readonly stride: number;
}

function product(machine: Machine, wanted: Product & { readonly readers: Readers }): void {
  const { x, weight, readers } = wanted;
  const form = formOf(machine, weight, readers);
  command(machine, form, isFloat(weight.dtype) ? 0 : integersOf(machine, x, wanted, form), wanted);
}

/** `integers`: the address of the rows' integers; 0: the weight is of floats. */
function command(machine: Machine, form: number, integers: number, wanted: Product): void {
  const { x, first, rows, weight, bias, to, stride } = wanted;
  const rowBytes = x.cols * 4;
  machine.commands
    .begin(abi.LINEAR, rows * weight.rows * weight.cols * PRODUCT_NS)
    .word(weight.kernelType)
    .word(rows)
    .word(weight.cols)
    .word(weight.rows)
    .reads(x.address + first * rowBytes, rows * rowBytes)
    .word(x.cols)
    .reads(integers, integers === 0 ? 0 : integerBytes(form, rows, x.cols))
    .word(weight.address)
    .word(bias)
    .word(DTYPES.f32.ggml)
    .writes(to, rows * stride * 4)
    .word(stride)
    .word(machine.scratch)
    .word(form)
    .end();
}
