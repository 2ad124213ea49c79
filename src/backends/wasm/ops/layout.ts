/**
 * Weights that are laid out anew once they are read, in place: Q4_0 and k-quants by eights (kernels/quantise/eights.ts),
 * which few tokens multiply two to three times as fast. Only where the engine has relaxed SIMD; rows that are no multiple of eight stay
 * as the file has them.
 */
import * as abi from "../../../../kernels/abi.js";
import { DTYPES, type DType, rowBytes } from "../../../tensor/dtype.js";
import type { Machine } from "../machine.js";
import type { WasmWeight } from "../tensors.js";

const BY_EIGHTS: readonly DType[] = ["q4_0", "q4_k", "q5_k", "q6_k"];
/** Nanoseconds of one thread per weight. */
const PACK_NS = 0.2;

export function layOut(machine: Machine, weight: WasmWeight): void {
  const { rows, cols, dtype, experts } = weight;
  // No eight rows are of two experts.
  if (!BY_EIGHTS.includes(dtype) || (rows / experts) % 8 > 0) return;
  if (8 * rowBytes(dtype, cols) + abi.EIGHTS_PACK_SCRATCH > abi.SCRATCH_BYTES) return;
  machine.commands
    .begin(abi.PACK_EIGHTS, rows * cols * PACK_NS)
    .writes(weight.address, weight.bytes)
    .word(rows / experts)
    .word(cols)
    .word(machine.scratch)
    .word(DTYPES[dtype].ggml)
    .word(experts)
    .end();
  weight.kernelType += abi.EIGHTS;
}
