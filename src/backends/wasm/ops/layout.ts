/**
 * Weights that are laid out anew once they are read, in place: Q4_0 by eights (kernels/eights.ts), which few tokens multiply
 * nearly twice as fast. Only where the engine has relaxed SIMD; rows that are no multiple of eight stay as the file has them.
 */
import * as abi from "../../../../kernels/abi.js";
import { rowBytes } from "../../../tensor/dtype.js";
import type { Machine } from "../machine.js";
import type { WasmWeight } from "../tensors.js";

/** Nanoseconds of one thread per weight. */
const PACK_NS = 0.2;

export function layOut(machine: Machine, weight: WasmWeight): void {
  const { rows, cols, dtype } = weight;
  if (dtype !== "q4_0" || rows % 8 > 0 || 8 * rowBytes(dtype, cols) > abi.SCRATCH_BYTES) return;
  if (weight.kernelType >= abi.EIGHTS) return;
  machine.commands
    .begin(abi.PACK_EIGHTS, rows * cols * PACK_NS)
    .writes(weight.address, weight.bytes)
    .word(rows)
    .word(cols)
    .word(machine.scratch)
    .end();
  weight.kernelType += abi.EIGHTS;
}
