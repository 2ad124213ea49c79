/** Commands of matrix products and embeddings; kernels/linear.ts and kernels/quantise.ts document the arguments. */
import * as abi from "../../../../kernels/abi.js";
import { DTYPES, type DType, rowBytes } from "../../../tensor/dtype.js";
import type { Tensor, Weight } from "../../../tensor/tensor.js";
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
    .word(DTYPES[weight.dtype].ggml)
    .end();
  return out;
}

const isFloat = (dtype: DType): boolean => DTYPES[dtype].blockSize === 1;

/** Bytes of a row of 16-bit activations, as kernels/quantise.ts pads it. */
function quantisedRowBytes(columns: number): number {
  return Math.ceil((columns * 2 + (columns / 32) * 4 + (columns / 16) * 4) / 64) * 64;
}

/** The address of x's 16-bit form, made once for all products that read x. */
function quantised(machine: Machine, x: WasmTensor): number {
  if (x.quantised > 0) return x.quantised;
  const bytes = x.rows * quantisedRowBytes(x.cols);
  x.quantised = x.arena.allocate(bytes);
  machine.commands
    .begin(abi.QUANTISE, x.rows * x.cols * QUANTISE_NS)
    .word(x.rows)
    .word(x.cols)
    .reads(x.address, x.bytes)
    .word(x.cols)
    .writes(x.quantised, bytes)
    .end();
  return x.quantised;
}

export function linear(machine: Machine, input: Tensor, matrix: Weight, bias: Weight | undefined): Tensor {
  const x = own(WasmTensor, input);
  const weight = own(WasmWeight, matrix);
  const offsets = bias === undefined ? undefined : own(WasmWeight, bias);
  expect(x.cols === weight.cols, `linear with ${weight.name}`, `${x.cols} columns for ${weight.cols}`);
  expect(!offsets || offsets.cols === weight.rows, `linear with ${weight.name}`, `a bias of ${offsets?.cols}`);
  const integers = isFloat(weight.dtype) ? 0 : quantised(machine, x);
  const out = machine.empty(x.rows, weight.rows);
  const { commands } = machine;
  commands
    .begin(abi.LINEAR, x.rows * weight.rows * weight.cols * PRODUCT_NS)
    .word(DTYPES[weight.dtype].ggml)
    .word(x.rows)
    .word(weight.cols)
    .word(weight.rows)
    .reads(x.address, x.bytes)
    .word(x.cols)
    .reads(integers, integers === 0 ? 0 : x.rows * quantisedRowBytes(x.cols))
    .word(weight.address)
    .word(offsets ? machine.vector(offsets) : 0)
    .word(DTYPES.f32.ggml)
    .writes(out.address, out.bytes)
    .word(weight.rows)
    .word(machine.scratch)
    .end();
  return out;
}
