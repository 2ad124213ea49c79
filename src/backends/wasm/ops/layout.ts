/**
 * Weights that are laid out anew once they are read, in place: Q4_0 and Q4_K by eights (kernels/eights.ts), which few tokens
 * multiply up to twice as fast. Only where the engine has relaxed SIMD; rows that are no multiple of eight stay as the file
 * has them.
 */
import * as abi from "../../../../kernels/abi.js";
import { DTYPES, type DType, rowBytes } from "../../../tensor/dtype.js";
import type { Machine } from "../machine.js";
import type { WasmWeight } from "../tensors.js";

const BY_EIGHTS: readonly DType[] = ["q4_0", "q4_k"];
/** Nanoseconds of one thread per weight. */
const PACK_NS = 0.2;

export function layOut(machine: Machine, weight: WasmWeight): void {
  const { rows, cols, dtype } = weight;
  if (!BY_EIGHTS.includes(dtype) || rows % 8 > 0 || 8 * rowBytes(dtype, cols) > abi.SCRATCH_BYTES) return;
  machine.commands
    .begin(abi.PACK_EIGHTS, rows * cols * PACK_NS)
    .writes(weight.address, weight.bytes)
    .word(rows)
    .word(cols)
    .word(machine.scratch)
    .word(DTYPES[dtype].ggml)
    .end();
  weight.kernelType += abi.EIGHTS;
}
