/** Bounds of keys by page as their definition: of what is stored, rounded outwards to half floats. */
import { ceilToF16, floorToF16 } from "../../quant/f16.js";
import type { BoundPart } from "../../tensor/backend.js";
import { type BoundsPlace, type KvSlice, PAGE_TOKENS } from "../../tensor/kv.js";
import { ReferenceKvStore } from "./kv.js";
import { own } from "./tensors.js";

/** The largest and the smallest of each element. */
export interface PageBounds {
  readonly largest: Float32Array;
  readonly smallest: Float32Array;
}

/** Bounds of all pages that have slots of [slot, slot + rows), each from its first place to the last of them. */
export function boundPart({ slice, bounds, slot, rows }: BoundPart): void {
  if (rows === 0) return;
  const first = Math.floor(slot / PAGE_TOKENS);
  const end = slot + rows;
  for (let entry = first; entry * PAGE_TOKENS < end; entry++) {
    const tokens = Math.min(end - entry * PAGE_TOKENS, PAGE_TOKENS);
    for (let head = 0; head < slice.heads.length; head++) {
      boundPage(slice, head, entry, tokens, { ...bounds, at: bounds.at + entry - first });
    }
  }
}

function boundPage(slice: KvSlice, head: number, entry: number, tokens: number, { bounds, at }: BoundsPlace): void {
  const { keys } = own(ReferenceKvStore, slice.store).member(slice.table.page(entry), slice.member + head);
  const block = own(ReferenceKvStore, bounds.store).member(
    bounds.table.page(Math.floor(at / PAGE_TOKENS)),
    bounds.member + head,
  ).keys;
  const width = slice.store.layout.keyWidth;
  const lane = at % PAGE_TOKENS;
  for (let d = 0; d < width; d++) {
    const element = keys.subarray(d * PAGE_TOKENS, d * PAGE_TOKENS + tokens);
    block[d * PAGE_TOKENS + lane] = ceilToF16(Math.max(...element));
    block[(width + d) * PAGE_TOKENS + lane] = floorToF16(Math.min(...element));
  }
}

/** The bounds at a place, of the head number `head` of the slice. */
export function boundsAt({ bounds, at }: BoundsPlace, head: number): PageBounds {
  const page = bounds.table.page(Math.floor(at / PAGE_TOKENS));
  const block = own(ReferenceKvStore, bounds.store).member(page, bounds.member + head).keys;
  const width = bounds.store.layout.keyWidth / 2;
  const lane = at % PAGE_TOKENS;
  const column = (from: number) =>
    Float32Array.from({ length: width }, (_, d) => block[(from + d) * PAGE_TOKENS + lane]);
  return { largest: column(0), smallest: column(width) };
}
