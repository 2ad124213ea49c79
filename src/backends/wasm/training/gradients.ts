/**
 * Gradients that are sums over rows: blocks of rows have sums of their own, which are then added in the order of the
 * blocks.
 */
import * as abi from "../../../../kernels/abi.js";
import type { KeptTensor } from "../../../tensor/tensor.js";
import { WasmKept } from "../kept.js";
import type { Machine } from "../machine.js";
import { expect, own, shape } from "../tensors.js";

/** Nanoseconds of one thread per number of a part. */
const MERGE_NS = 0.15;

/** The kept tensor of a gradient, which must be of this shape and in this memory. */
export function gradientOf(
  machine: Machine,
  operation: string,
  gradient: KeptTensor,
  wanted: { readonly rows: number; readonly cols: number },
): WasmKept {
  const kept = own(WasmKept, gradient);
  const fits = kept.rows === wanted.rows && kept.cols === wanted.cols;
  expect(fits, operation, `a gradient of ${shape(kept)} for ${shape(wanted)}`);
  expect(kept.place === machine.place, operation, "a gradient in another memory");
  return kept;
}

/** gradient += the sum of `count` parts of its size, one after the other from `parts` on. */
export function mergeParts(machine: Machine, parts: number, count: number, gradient: WasmKept): void {
  const { bytes } = gradient;
  machine.commands
    .begin(abi.MERGE_PARTS, count * (bytes / 4) * MERGE_NS)
    .reads(parts, count * bytes)
    .writes(gradient.address, bytes)
    .word(count)
    .word(bytes)
    .word(bytes / 4)
    .end();
}
