/** Sizes of the cache's pages; kernels/kv/ lays them out. */
import { KV_F16, KV_F32, KV_Q4, KV_Q8, MAX_HEAD_WIDTH } from "../../../kernels/abi.js";
import { kvBytes, memberBytes } from "../../quant/kv/pages.js";
import { KV_TYPES, type KvType } from "../../tensor/dtype.js";
import type { KvLayout } from "../../tensor/kv.js";
import { ArgumentError, UnsupportedError } from "../../util/errors.js";

export const KV_CODES: Readonly<Record<KvType, number>> = { f32: KV_F32, f16: KV_F16, q8: KV_Q8, q4: KV_Q4 };

export { kvBytes, memberBytes };

export function pageBytes(layout: KvLayout): number {
  return layout.members * memberBytes(layout);
}

/** @throws UnsupportedError for head widths that the kernels are not made for */
export function checkWidths(...widths: readonly number[]): void {
  for (const width of widths) {
    if (Number.isInteger(width) && width >= 4 && width % 4 === 0 && width <= MAX_HEAD_WIDTH) continue;
    throw new UnsupportedError(
      `The wasm backend attends with heads of 4 to ${MAX_HEAD_WIDTH} elements, in steps of 4; this model's have ` +
        `${width}. Use the reference backend.`,
      { width },
    );
  }
}

/** @throws UnsupportedError for head widths that the kernels are not made for */
export function checkLayout(layout: KvLayout): void {
  // Blocks of bounds have no values, and two rows for each element of a key.
  if (layout.valueWidth === 0) checkWidths(layout.keyWidth / 2);
  else checkWidths(layout.keyWidth, layout.valueWidth);
  for (const type of [layout.keyType, layout.valueType]) {
    if (!KV_TYPES.includes(type))
      throw new ArgumentError(`Unknown cache type ${type}; there are ${KV_TYPES.join(", ")}.`);
  }
}
