/** Commands of the optimizer; kernels/training/adamw.ts documents the arguments. */
import * as abi from "../../../../kernels/abi.js";
import type { KeptTensor, Tensor } from "../../../tensor/tensor.js";
import type { AdamWCall, OptimizerTraining } from "../../../tensor/training.js";
import { WasmKept } from "../kept.js";
import type { Machine } from "../machine.js";
import { expect, own, ownWeight } from "../tensors.js";
import { gradientOf } from "./gradients.js";
import { zero } from "./rows.js";

/** Nanoseconds per element of one thread, roughly. */
const COST = { squares: 0.2, adamW: 1.5 } as const;
/** Elements of a block of SQUARES. */
const BLOCK = 4096;

export function optimizerTraining(machine: Machine): OptimizerTraining {
  return {
    clear(x) {
      const { address, rows, cols } = own(WasmKept, x);
      zero(machine, address, rows * cols);
    },
    sumsOfSquares: (x) => sumsOfSquares(machine, x),
    adamW: (call) => adamW(machine, call),
  };
}

/** A sum for each block of each, by all threads; then the sums of these, in order. */
function sumsOfSquares(machine: Machine, tensors: readonly KeptTensor[]): Tensor {
  const all = tensors.map((x) => own(WasmKept, x));
  const ends = new Int32Array(all.length);
  let blocks = 0;
  all.forEach(({ rows, cols }, i) => {
    blocks += Math.ceil((rows * cols) / BLOCK);
    ends[i] = blocks;
  });
  const sums = machine.allocate(blocks * 8);
  all.forEach(({ address, bytes, rows, cols }, i) => {
    const first = i === 0 ? 0 : ends[i - 1];
    machine.commands
      .begin(abi.SQUARES, rows * cols * COST.squares)
      .reads(address, bytes)
      .writes(sums + first * 8, (ends[i] - first) * 8)
      .word(rows * cols)
      .end();
  });
  const out = machine.empty(1, all.length);
  const places = machine.input(ends);
  machine.commands
    .begin(abi.SQUARES_SUM, blocks)
    .reads(sums, blocks * 8)
    .word(places.address)
    .writes(out.address, out.bytes)
    .word(all.length)
    .end();
  return out;
}

function adamW(machine: Machine, call: AdamWCall): void {
  const weight = ownWeight(call.weight);
  expect(weight.dtype === "f32", "adamW", `the weight ${weight.name} in ${weight.dtype}; what is trained is f32`);
  const [gradient, first, second] = [call.gradient, call.first, call.second].map((kept) =>
    gradientOf(machine, "adamW", kept, weight),
  );
  machine.commands
    .begin(abi.ADAM_W, weight.rows * weight.cols * COST.adamW)
    .writes(weight.address, weight.bytes)
    .reads(gradient.address, gradient.bytes)
    .writes(first.address, first.bytes)
    .writes(second.address, second.bytes)
    .word(weight.rows * weight.cols)
    .float(call.gradientScale)
    .float(call.beta1)
    .float(1 - call.beta1)
    .float(call.beta2)
    .float(1 - call.beta2)
    .float(call.rate / call.correction1)
    .float(1 / call.correction2)
    .float(call.epsilon)
    .float(call.rate * call.decay)
    .end();
  machine.forgetCopies(weight);
}
