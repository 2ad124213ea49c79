/** Commands of the derivatives of functions and gates; kernels/training/train-elementwise.ts documents the arguments. */
import * as abi from "../../../../kernels/abi.js";
import type { ElementFunction, Gating } from "../../../tensor/backend.js";
import type { Tensor } from "../../../tensor/tensor.js";
import type { Machine } from "../machine.js";
import { FUNCTIONS } from "../ops/elementwise.js";
import { expect, ownTensor, shape, type WasmTensor } from "../tensors.js";

/** Nanoseconds per element of one thread, roughly. */
const COST = { map: 0.8, gated: 1.2 } as const;

const sameShape = (a: WasmTensor, b: WasmTensor): boolean => a.rows === b.rows && a.cols === b.cols;

export function mapInput(
  machine: Machine,
  input: Tensor,
  f: ElementFunction,
  parameter: number,
  slope: Tensor,
): Tensor {
  const x = ownTensor(input);
  const dy = ownTensor(slope);
  expect(sameShape(x, dy), "mapInput", `${shape(x)} and dy ${shape(dy)}`);
  const out = machine.empty(x.rows, x.cols);
  machine.commands
    .begin(abi.MAP_BACK, x.rows * x.cols * COST.map)
    .reads(x.address, x.bytes)
    .reads(dy.address, dy.bytes)
    .writes(out.address, out.bytes)
    .word(x.rows * x.cols)
    .word(FUNCTIONS[f])
    .float(parameter)
    .end();
  return out;
}

export function gatedInputs(machine: Machine, gates: Tensor, ups: Tensor, gating: Gating, slope: Tensor) {
  const [gate, up, dy] = [gates, ups, slope].map((x) => ownTensor(x));
  const fits = sameShape(gate, up) && sameShape(gate, dy);
  expect(fits, "gatedInputs", `${shape(gate)}, ${shape(up)} and dy ${shape(dy)}`);
  const { rows, cols } = gate;
  const [dGate, dUp] = [machine.empty(rows, cols), machine.empty(rows, cols)];
  machine.commands
    .begin(abi.GATED_BACK, rows * cols * COST.gated)
    .reads(gate.address, gate.bytes)
    .reads(up.address, up.bytes)
    .reads(dy.address, dy.bytes)
    .writes(dGate.address, dGate.bytes)
    .writes(dUp.address, dUp.bytes)
    .word(rows * cols)
    .word(FUNCTIONS[gating])
    .end();
  return { gate: dGate, up: dUp };
}
