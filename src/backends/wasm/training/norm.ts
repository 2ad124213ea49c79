/** Commands of the derivatives of the norms; kernels/training/train-norm.ts documents the arguments. */
import * as abi from "../../../../kernels/abi.js";
import type { KeptTensor, Tensor } from "../../../tensor/tensor.js";
import type { NormCall } from "../../../tensor/training.js";
import type { WasmKept } from "../kept.js";
import type { Machine } from "../machine.js";
import { expect, ownTensor, ownWeight, shape } from "../tensors.js";
import { gradientOf, mergeParts } from "./gradients.js";

/** Nanoseconds per element of one thread, roughly. */
const BACK_NS = 0.6;

/** Blocks of rows that sum their gradients apart: rows of a block at least, and blocks at most. */
const BLOCK_ROWS = 16;
const MOST_BLOCKS = 64;

const blocksOf = (rows: number): number => Math.min(MOST_BLOCKS, Math.ceil(rows / BLOCK_ROWS));

export function rmsNormInput(machine: Machine, call: NormCall): Tensor {
  const x = ownTensor(call.x);
  const dy = ownTensor(call.dy);
  const gain = ownWeight(call.gain);
  const cycleWidth = gain.rows * gain.cols;
  const fits = x.rows === dy.rows && x.cols === dy.cols && x.cols % cycleWidth === 0;
  expect(fits, "rmsNormInput", `${shape(x)}, dy ${shape(dy)} and a gain of ${shape(gain)}`);
  const gradient = call.gradient && gradientOf(machine, "rmsNormInput", call.gradient, gain);
  const cycles = (x.rows * x.cols) / cycleWidth;
  const blocks = blocksOf(cycles);
  const parts = partsOf(machine, gradient, blocks);
  const out = machine.empty(x.rows, x.cols);
  machine.commands
    .begin(abi.RMS_NORM_BACK, x.rows * x.cols * BACK_NS)
    .reads(x.address, x.bytes)
    .word(machine.elements(gain))
    .reads(dy.address, dy.bytes)
    .writes(out.address, out.bytes)
    .writes(parts, gradient ? blocks * gradient.bytes : 0)
    .word(cycles)
    .word(gain.cols)
    .word(gain.rows)
    .float(call.epsilon)
    .word(blocks)
    .end();
  if (gradient) mergeParts(machine, parts, blocks, gradient);
  return out;
}

export function layerNormInput(
  machine: Machine,
  call: NormCall & { readonly biasGradient?: KeptTensor | undefined },
): Tensor {
  const x = ownTensor(call.x);
  const dy = ownTensor(call.dy);
  const gain = ownWeight(call.gain);
  const fits = x.rows === dy.rows && x.cols === dy.cols && gain.rows === 1 && gain.cols === x.cols;
  expect(fits, "layerNormInput", `${shape(x)}, dy ${shape(dy)} and a gain of ${shape(gain)}`);
  const gradient = call.gradient && gradientOf(machine, "layerNormInput", call.gradient, gain);
  const biasGradient = call.biasGradient && gradientOf(machine, "layerNormInput", call.biasGradient, gain);
  const blocks = blocksOf(x.rows);
  const parts = partsOf(machine, gradient, blocks);
  const biasParts = partsOf(machine, biasGradient, blocks);
  const out = machine.empty(x.rows, x.cols);
  machine.commands
    .begin(abi.LAYER_NORM_BACK, x.rows * x.cols * BACK_NS)
    .reads(x.address, x.bytes)
    .word(machine.elements(gain))
    .reads(dy.address, dy.bytes)
    .writes(out.address, out.bytes)
    .writes(parts, gradient ? blocks * gradient.bytes : 0)
    .writes(biasParts, biasGradient ? blocks * biasGradient.bytes : 0)
    .word(x.rows)
    .word(x.cols)
    .float(call.epsilon)
    .word(blocks)
    .end();
  if (gradient) mergeParts(machine, parts, blocks, gradient);
  if (biasGradient) mergeParts(machine, biasParts, blocks, biasGradient);
  return out;
}

/** Room for a sum of each block; 0 where there is nothing to sum. */
function partsOf(machine: Machine, gradient: WasmKept | undefined, blocks: number): number {
  return gradient ? machine.allocate(blocks * gradient.bytes) : 0;
}
