/** Commands of training that work row by row; kernels/training/train-rows.ts documents the arguments. */
import * as abi from "../../../../kernels/abi.js";
import type { Angles } from "../../../tensor/backend.js";
import type { KeptTensor, StepInput, Tensor } from "../../../tensor/tensor.js";
import type { RowTraining } from "../../../tensor/training.js";
import type { Machine } from "../machine.js";
import { checkAngles, LAYOUTS } from "../ops/elementwise.js";
import { expect, ownInput, ownTensor, shape, type WasmInput, type WasmTensor } from "../tensors.js";
import { gatedInputs, mapInput } from "./elementwise.js";
import { gradientOf } from "./gradients.js";
import { layerNormInput, rmsNormInput } from "./norm.js";

/** Nanoseconds per element of one thread, roughly; they only decide what is worth sharing. */
const COST = { zero: 0.05, copy: 0.1, add: 0.1, scatter: 0.3, rotate: 0.3 } as const;

export function rowTraining(machine: Machine): RowTraining {
  return {
    zeros: (rows, cols) => zeros(machine, rows, cols),
    copy: (x) => copy(machine, x),
    accumulate: (into, x) => accumulate(machine, into, x),
    scatterRows: (dy, ids, gradient) => scatterRows(machine, dy, ids, gradient),
    ungather: (dy, indices, rows) => ungather(machine, dy, indices, rows),
    rmsNormInput: (call) => rmsNormInput(machine, call),
    layerNormInput: (call) => layerNormInput(machine, call),
    mapInput: (x, f, parameter, dy) => mapInput(machine, x, f, parameter ?? 0, dy),
    gatedInputs: (gate, up, gating, dy) => gatedInputs(machine, gate, up, gating, dy),
    rotateBack: (dy, headWidth, angles) => rotateBack(machine, dy, headWidth, angles),
  };
}

/** Writes zeros over `elements` numbers. */
export function zero(machine: Machine, address: number, elements: number): void {
  machine.commands
    .begin(abi.ZERO, elements * COST.zero)
    .writes(address, elements * 4)
    .word(elements)
    .end();
}

function zeros(machine: Machine, rows: number, cols: number): WasmTensor {
  const out = machine.empty(rows, cols);
  zero(machine, out.address, rows * cols);
  return out;
}

function copy(machine: Machine, input: Tensor): Tensor {
  const x = ownTensor(input);
  const out = machine.empty(x.rows, x.cols);
  machine.commands
    .begin(abi.COPY, x.rows * x.cols * COST.copy)
    .reads(x.address, x.bytes)
    .writes(out.address, out.bytes)
    .word(x.rows * x.cols)
    .end();
  return out;
}

function accumulate(machine: Machine, into: Tensor, added: Tensor): void {
  const to = ownTensor(into);
  const x = ownTensor(added);
  expect(to.rows === x.rows && to.cols === x.cols, "accumulate", `${shape(to)} and ${shape(x)}`);
  to.forgetForms();
  machine.commands
    .begin(abi.ACCUMULATE, x.rows * x.cols * COST.add)
    .writes(to.address, to.bytes)
    .reads(x.address, x.bytes)
    .word(x.rows * x.cols)
    .end();
}

/** Rows of dy added to the rows that `ids` names, of a [.., dy.cols] at `address`. */
function scatter(machine: Machine, dy: WasmTensor, ids: WasmInput, address: number, bytes: number): void {
  expect(ids.length === dy.rows, "scatterRows", `${ids.length} ids for ${shape(dy)}`);
  machine.commands
    .begin(abi.SCATTER_ROWS, dy.rows * dy.cols * COST.scatter)
    .reads(dy.address, dy.bytes)
    .word(ids.address)
    .writes(address, bytes)
    .word(dy.rows)
    .word(dy.cols)
    .end();
}

function scatterRows(machine: Machine, dy: Tensor, ids: StepInput, gradient: KeptTensor): void {
  const rows = ownTensor(dy);
  const { address, bytes } = gradientOf(machine, "scatterRows", gradient, { rows: gradient.rows, cols: rows.cols });
  scatter(machine, rows, ownInput(ids), address, bytes);
}

export function ungather(machine: Machine, dy: Tensor, indices: StepInput, rows: number): Tensor {
  const out = zeros(machine, rows, dy.cols);
  scatter(machine, ownTensor(dy), ownInput(indices), out.address, out.bytes);
  return out;
}

/** The transposed rotation is that by the angles negated. */
function rotateBack(machine: Machine, input: Tensor, headWidth: number, angles: Angles): Tensor {
  const dy = ownTensor(input);
  const values = ownInput(angles.values);
  expect(dy.cols % headWidth === 0, "rotateBack", `${shape(dy)} in heads of ${headWidth}`);
  checkAngles("rotateBack", angles, dy.rows, headWidth);
  const turned = machine.empty(dy.rows, angles.dims);
  machine.commands
    .begin(abi.TURN_BACK, dy.rows * angles.dims * COST.copy)
    .word(values.address)
    .writes(turned.address, turned.bytes)
    .word((dy.rows * angles.dims) / 2)
    .end();
  const out = machine.empty(dy.rows, dy.cols);
  machine.commands
    .begin(abi.ROTATE, dy.rows * dy.cols * COST.rotate)
    .reads(dy.address, dy.bytes)
    .writes(out.address, out.bytes)
    .word(dy.rows)
    .word(dy.cols / headWidth)
    .word(headWidth)
    .reads(turned.address, turned.bytes)
    .word(angles.dims)
    .word(LAYOUTS[angles.layout])
    .end();
  return out;
}
