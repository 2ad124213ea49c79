/**
 * Commands of matrix products and embeddings; kernels/linear.ts, quantise.ts, planes.ts and quantise-bytes.ts document the
 * arguments.
 */
import * as abi from "../../../../kernels/abi.js";
import { DTYPES, type DType, rowBytes } from "../../../tensor/dtype.js";
import type { Tensor, Weight } from "../../../tensor/tensor.js";
import { floatForm, formFor } from "../byte-form.js";
import type { Machine } from "../machine.js";
import { own, refuse, type WasmInput, WasmTensor, WasmWeight } from "../tensors.js";

/** Nanoseconds of one thread per multiplication of a product, per weight of an embedding, per activation quantised. */
const PRODUCT_NS = 0.06;
const UNPACK_NS = 0.3;
const QUANTISE_NS = 0.4;

export function embed(machine: Machine, table: Weight, ids: WasmInput): Tensor {
  const weight = own(WasmWeight, table);
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
    .end();
  return out;
}

const isFloat = (dtype: DType): boolean => DTYPES[dtype].blockSize === 1;

/** Bytes of a row of 16-bit activations, as kernels/quantise.ts pads it. */
function quantisedRowBytes(columns: number): number {
  return Math.ceil((columns * 2 + (columns / 32) * 4 + (columns / 16) * 4) / 64) * 64;
}

/** Bytes of a row in planes, as kernels/planes.ts pads it. */
function planesRowBytes(columns: number): number {
  return Math.ceil((columns * 2 + (columns / 32) * 8) / 64) * 64;
}

/** The command that makes the form of x which a product reads. */
function makerOf(form: number): number {
  if (form === abi.SIXTEEN_BITS) return abi.QUANTISE;
  return form >= abi.PLANES ? abi.SPLIT_PLANES : abi.QUANTISE_BYTES;
}

/** Bytes of that form of so many rows. Eight bits: groups of eight rows, as kernels/quantise-bytes.ts lays them. */
function formBytes(maker: number, rows: number, cols: number): number {
  if (maker === abi.QUANTISE_BYTES) return Math.ceil(rows / 8) * 15 * cols;
  return rows * (maker === abi.SPLIT_PLANES ? planesRowBytes(cols) : quantisedRowBytes(cols));
}

/** Its address; made once for all products that read x. */
function formOf(machine: Machine, x: WasmTensor, maker: number): number {
  const known = x.forms[maker];
  if (known !== 0) return known;
  const bytes = formBytes(maker, x.rows, x.cols);
  const address = x.arena.allocate(bytes);
  x.forms[maker] = address;
  machine.commands
    .begin(maker, x.rows * x.cols * QUANTISE_NS)
    .word(x.rows)
    .word(x.cols)
    .reads(x.address, x.bytes)
    .word(x.cols)
    .writes(address, bytes)
    .end();
  return address;
}

export function linear(machine: Machine, input: Tensor, matrix: Weight, bias: Weight | undefined): Tensor {
  const x = own(WasmTensor, input);
  const out = machine.empty(x.rows, matrix.rows);
  multiply(machine, x, matrix, bias, out.address);
  return out;
}

/** Writes x times the matrix's transpose, plus the bias, to [rows, outputs] at `to`. */
export function multiply(machine: Machine, x: WasmTensor, matrix: Weight, bias: Weight | undefined, to: number): void {
  const weight = checked(x, matrix, bias);
  const form = formOfProduct(machine, weight, x.rows);
  const address = isFloat(weight.dtype) ? 0 : formOf(machine, x, makerOf(form));
  product(machine, { x, first: 0, rows: x.rows, form, address, weight, bias, to, stride: weight.rows });
}

/**
 * The same for one row of x, so few that all rows share their integer form: it is made of all of x at once, for all
 * products of any of its rows.
 */
export function multiplyRow(
  machine: Machine,
  x: WasmTensor,
  row: number,
  matrix: Weight,
  bias: Weight | undefined,
  to: number,
): void {
  const weight = checked(x, matrix, bias);
  const form = formOfProduct(machine, weight, 1);
  const maker = makerOf(form);
  const address = isFloat(weight.dtype) ? 0 : formOf(machine, x, maker) + formBytes(maker, row, x.cols);
  product(machine, { x, first: row, rows: 1, form, address, weight, bias, to, stride: weight.rows });
}

/** The same for rows [first, first + rows) of x and a weight of floats, to rows `stride` numbers apart. */
export function multiplyRows(
  machine: Machine,
  x: WasmTensor,
  range: { readonly first: number; readonly rows: number },
  matrix: Weight,
  bias: Weight | undefined,
  to: { readonly address: number; readonly stride: number },
): void {
  const weight = checked(x, matrix, bias);
  if (!isFloat(weight.dtype)) refuse(`A product of rows with ${weight.name}`, `weights of ${weight.dtype}`);
  const form = floatForm(machine.wide, range.rows);
  product(machine, { x, ...range, form, address: 0, weight, bias, to: to.address, stride: to.stride });
}

function formOfProduct(machine: Machine, weight: WasmWeight, rows: number): number {
  if (isFloat(weight.dtype)) return floatForm(machine.wide, rows);
  return formFor(machine.byteForm, weight.dtype, rows, weight.kernelType >= abi.EIGHTS);
}

function checked(x: WasmTensor, matrix: Weight, bias: Weight | undefined): WasmWeight {
  const weight = own(WasmWeight, matrix);
  if (!(x.cols === weight.cols)) refuse(`linear with ${weight.name}`, `${x.cols} columns for ${weight.cols}`);
  if (!(!bias || bias.cols === weight.rows)) refuse(`linear with ${weight.name}`, `a bias of ${bias?.cols}`);
  return weight;
}

interface Product {
  readonly x: WasmTensor;
  /** Rows of x that are multiplied, the form that is taken of them, and its address (0: none, the weight is of floats). */
  readonly first: number;
  readonly rows: number;
  readonly form: number;
  readonly address: number;
  readonly weight: WasmWeight;
  readonly bias: Weight | undefined;
  readonly to: number;
  /** Numbers from row to row there. */
  readonly stride: number;
}

function product(machine: Machine, { x, first, rows, form, address, weight, bias, to, stride }: Product): void {
  const rowBytes = x.cols * 4;
  machine.commands
    .begin(abi.LINEAR, rows * weight.rows * weight.cols * PRODUCT_NS)
    .word(weight.kernelType)
    .word(rows)
    .word(weight.cols)
    .word(weight.rows)
    .reads(x.address + first * rowBytes, rows * rowBytes)
    .word(x.cols)
    .reads(address, address === 0 ? 0 : formBytes(makerOf(form), rows, x.cols))
    .word(weight.address)
    .word(bias === undefined ? 0 : machine.elements(own(WasmWeight, bias)))
    .word(DTYPES.f32.ggml)
    .writes(to, rows * stride * 4)
    .word(stride)
    .word(machine.scratch)
    .word(form)
    .end();
}
