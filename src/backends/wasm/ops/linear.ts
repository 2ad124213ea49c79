/**
 * Commands of matrix products and embeddings; kernels/linear.ts, quantise.ts, planes.ts and quantise-bytes.ts document the
 * arguments.
 */
import * as abi from "../../../../kernels/abi.js";
import { DTYPES, type DType, rowBytes } from "../../../tensor/dtype.js";
import type { Tensor, Weight } from "../../../tensor/tensor.js";
import { formFor } from "../byte-form.js";
import type { Machine } from "../machine.js";
import { expect, own, type WasmInput, WasmTensor, WasmWeight } from "../tensors.js";

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

/** Bytes of that form of all of x. Eight bits: groups of eight rows, as kernels/quantise-bytes.ts lays them. */
function formBytes(maker: number, { rows, cols }: WasmTensor): number {
  if (maker === abi.QUANTISE_BYTES) return Math.ceil(rows / 8) * 15 * cols;
  return rows * (maker === abi.SPLIT_PLANES ? planesRowBytes(cols) : quantisedRowBytes(cols));
}

/** Its address; made once for all products that read x. */
function formOf(machine: Machine, x: WasmTensor, maker: number): number {
  const known = x.forms.get(maker);
  if (known !== undefined) return known;
  const bytes = formBytes(maker, x);
  const address = x.arena.allocate(bytes);
  x.forms.set(maker, address);
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
  const weight = own(WasmWeight, matrix);
  const offsets = bias === undefined ? undefined : own(WasmWeight, bias);
  expect(x.cols === weight.cols, `linear with ${weight.name}`, `${x.cols} columns for ${weight.cols}`);
  expect(!offsets || offsets.cols === weight.rows, `linear with ${weight.name}`, `a bias of ${offsets?.cols}`);
  const form = formFor(machine.byteForm, weight.dtype, x.rows, weight.kernelType >= abi.EIGHTS);
  const maker = makerOf(form);
  const integers = isFloat(weight.dtype) ? 0 : formOf(machine, x, maker);
  const out = machine.empty(x.rows, weight.rows);
  const { commands } = machine;
  commands
    .begin(abi.LINEAR, x.rows * weight.rows * weight.cols * PRODUCT_NS)
    .word(weight.kernelType)
    .word(x.rows)
    .word(weight.cols)
    .word(weight.rows)
    .reads(x.address, x.bytes)
    .word(x.cols)
    .reads(integers, integers === 0 ? 0 : formBytes(maker, x))
    .word(weight.address)
    .word(offsets ? machine.elements(offsets) : 0)
    .word(DTYPES.f32.ggml)
    .writes(out.address, out.bytes)
    .word(weight.rows)
    .word(machine.scratch)
    .word(form)
    .end();
  return out;
}
