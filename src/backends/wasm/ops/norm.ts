/** Commands of the norms; kernels/rows/norm.ts documents the arguments. */
import * as abi from "../../../../kernels/abi.js";
import type { Tensor, Weight } from "../../../tensor/tensor.js";
import type { Machine } from "../machine.js";
import { ownTensor, ownWeight, refuse, shape } from "../tensors.js";

/** Nanoseconds per element of one thread, roughly; it only decides what is worth sharing. */
const NORM_NS = 0.25;

export function rmsNorm(machine: Machine, input: Tensor, gain: Weight, epsilon: number): Tensor {
  const x = ownTensor(input);
  const gains = ownWeight(gain);
  const fits = x.cols % (gains.rows * gains.cols) === 0;
  if (!fits) refuse("rmsNorm", `${shape(x)} with a gain of ${shape(gains)}`);
  const out = machine.empty(x.rows, x.cols);
  machine.commands
    .begin(abi.RMS_NORM, x.rows * x.cols * NORM_NS)
    .reads(x.address, x.bytes)
    .word(machine.elements(gains))
    .writes(out.address, out.bytes)
    .word((x.rows * x.cols) / gains.cols)
    .word(gains.cols)
    .float(epsilon)
    .word(gains.rows)
    .end();
  return out;
}

export function layerNorm(
  machine: Machine,
  input: Tensor,
  gain: Weight,
  bias: Weight | undefined,
  epsilon: number,
): Tensor {
  const x = ownTensor(input);
  const gains = ownWeight(gain);
  const offsets = bias === undefined ? undefined : ownWeight(bias);
  const fits = gains.rows === 1 && gains.cols === x.cols && (!offsets || offsets.cols === x.cols);
  if (!fits)
    refuse("layerNorm", `${shape(x)} with a gain of ${shape(gains)} and ${offsets ? shape(offsets) : "no bias"}`);
  const out = machine.empty(x.rows, x.cols);
  machine.commands
    .begin(abi.LAYER_NORM, x.rows * x.cols * NORM_NS)
    .reads(x.address, x.bytes)
    .word(machine.elements(gains))
    .word(offsets ? machine.elements(offsets) : 0)
    .writes(out.address, out.bytes)
    .word(x.rows)
    .word(x.cols)
    .float(epsilon)
    .end();
  return out;
}
