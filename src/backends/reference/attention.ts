/**
 * Attention and cache writes as their definition: for every row and head, a softmax over the visible slots, in double
 * precision, one key at a time.
 */

import { KV_FORMATS } from "../../quant/kv/index.js";
import type { Angles, AppendCall, AppendPart, AttentionCall, AttentionPart } from "../../tensor/backend.js";
import { BOUNDED_RANGE, type KvSlice, PAGE_TOKENS } from "../../tensor/kv.js";
import { boundPart } from "./bounds.js";
import { misfitsOf, ReferenceKvStore } from "./kv.js";
import { adjusted } from "./scores.js";
import { ReferencePages } from "./select.js";
import { elements, own, ReferenceInput, tensor } from "./tensors.js";

/** Rotates one head in place by row `row` of the angles. */
export function rotateHead(head: Float32Array, angles: Angles, row: number): void {
  const half = angles.dims / 2;
  const { values } = own(ReferenceInput, angles.values);
  for (let i = 0; i < half; i++) {
    const cos = values[(row * half + i) * 2];
    const sin = values[(row * half + i) * 2 + 1];
    const first = angles.layout === "interleaved" ? 2 * i : i;
    const second = angles.layout === "interleaved" ? 2 * i + 1 : i + half;
    const x = head[first];
    const y = head[second];
    head[first] = x * cos - y * sin;
    head[second] = x * sin + y * cos;
  }
}

function memberAt(slice: KvSlice, index: number, slot: number) {
  const store = own(ReferenceKvStore, slice.store);
  return store.member(slice.table.page(Math.floor(slot / PAGE_TOKENS)), slice.member + index);
}

/** The vector as a store keeps it, which remembers what does not fit. */
function stored({ store }: KvSlice, part: "keys" | "values", vector: Float32Array): Float32Array {
  const { keyType, valueType } = store.layout;
  const kept = KV_FORMATS[part === "keys" ? keyType : valueType].round(vector, part);
  const owner = own(ReferenceKvStore, store);
  owner.misfits ??= misfitsOf(vector, kept);
  return kept;
}

export function append(call: AppendCall): void {
  for (const part of call.parts) appendPart(call, part);
}

function appendPart(call: AppendCall, { slice, first, rows, slot: firstSlot, bounds }: AppendPart): void {
  const { keyWidth, valueWidth } = slice.store.layout;
  const keys = tensor(call.keys);
  const values = tensor(call.values);
  for (let row = first; row < first + rows; row++) {
    const slot = firstSlot + row - first;
    const place = slot % PAGE_TOKENS;
    for (const [i, head] of slice.heads.entries()) {
      const page = memberAt(slice, i, slot);
      const rotated = keys.row(row).slice(head * keyWidth, (head + 1) * keyWidth);
      if (call.angles) rotateHead(rotated, call.angles, row);
      const key = stored(slice, "keys", rotated);
      if (bounds) checkBounded(slice, rotated);
      for (let d = 0; d < keyWidth; d++) page.keys[d * PAGE_TOKENS + place] = key[d];
      const value = stored(slice, "values", values.row(row).subarray(head * valueWidth, (head + 1) * valueWidth));
      page.values.set(value, place * valueWidth);
    }
  }
  if (bounds) boundPart({ slice, bounds, slot: firstSlot, rows });
}

/** Remembers a key that has no bounds. */
function checkBounded({ store }: KvSlice, key: Float32Array): void {
  if (store.layout.keyType === "f16" || key.every((x) => Math.abs(x) < BOUNDED_RANGE)) return;
  own(ReferenceKvStore, store).misfits ??= { beyondRange: true, notFinite: false };
}

export function rotatePages(from: KvSlice, to: KvSlice, count: number, angles: Angles): void {
  const { keyWidth, valueWidth } = from.store.layout;
  for (let slot = 0; slot < count; slot++) {
    const place = slot % PAGE_TOKENS;
    for (let i = 0; i < from.heads.length; i++) {
      const source = memberAt(from, i, slot);
      const target = memberAt(to, i, slot);
      const key = new Float32Array(keyWidth);
      for (let d = 0; d < keyWidth; d++) key[d] = source.keys[d * PAGE_TOKENS + place];
      rotateHead(key, angles, slot);
      const rounded = stored(to, "keys", key);
      for (let d = 0; d < keyWidth; d++) target.keys[d * PAGE_TOKENS + place] = rounded[d];
      target.values.set(source.values.subarray(place * valueWidth, (place + 1) * valueWidth), place * valueWidth);
    }
  }
}

export function attention(call: AttentionCall): void {
  const { group } = call;
  for (const part of call.parts) {
    for (let row = part.first; row < part.first + part.rows; row++) {
      part.slice.heads.forEach((kvHead, index) => {
        for (let g = 0; g < group; g++) attendHead(call, part, row, index, kvHead * group + g);
      });
    }
  }
}

/** One query head of one row: weighted sum of the values of every visible slot. */
function attendHead(call: AttentionCall, part: AttentionPart, row: number, index: number, head: number): void {
  const { slice } = part;
  const { valueWidth } = slice.store.layout;
  const { slots, weights, total } = attentionWeights(call, part, row, index, head);
  const sums = new Float64Array(valueWidth);
  slots.forEach((slot, j) => {
    const { values } = memberAt(slice, index, slot);
    const offset = (slot % PAGE_TOKENS) * valueWidth;
    for (let d = 0; d < valueWidth; d++) sums[d] += weights[j] * values[offset + d];
  });
  const result = tensor(call.out)
    .row(row)
    .subarray(head * valueWidth, (head + 1) * valueWidth);
  for (let d = 0; d < valueWidth; d++) result[d] = total === 0 ? 0 : sums[d] / total;
}

/** What the softmax makes of the scores of one query head of one row. */
export interface AttentionWeights {
  /** All that the row sees. */
  readonly slots: readonly number[];
  /** Of each slot, to be divided by the total. */
  readonly weights: readonly number[];
  /** With the sink's part. */
  readonly total: number;
}

/**
 * @param row of the call's tensors, one of the part's
 * @param index of the KV head within the slice, whose query head `head` is
 */
export function attentionWeights(
  call: Omit<AttentionCall, "out" | "parts">,
  { slice, first, ranges, spans: firstSpan, selection }: AttentionPart,
  row: number,
  index: number,
  head: number,
): AttentionWeights {
  const queries = call.queries.slice(call.queries.length - ranges);
  const { keyWidth } = slice.store.layout;
  const spans = own(ReferenceInput, call.spans).values;
  const chosen = selection && own(ReferencePages, selection);
  const slots: number[] = [];
  const scores: number[] = [];
  queries.forEach((rotated, range) => {
    const query = tensor(rotated)
      .row(row)
      .subarray(head * keyWidth, (head + 1) * keyWidth);
    const finite = query.every(Number.isFinite);
    const pair = firstSpan + (row - first) * ranges + range;
    for (let listed = spans[pair * 2]; listed < spans[pair * 2 + 1]; listed++) {
      const slot = chosen ? chosen.slotOf(index, listed) : listed;
      const { keys } = memberAt(slice, index, slot);
      let dot = 0;
      for (let d = 0; d < keyWidth; d++) dot += query[d] * keys[d * PAGE_TOKENS + (slot % PAGE_TOKENS)];
      slots.push(slot);
      // Not through the soft cap, which has a limit at infinity.
      const score = finite ? dot * call.scale : Number.NaN;
      scores.push(adjusted(call, score, pair, slot, head));
    }
  });
  const sink = call.sinks ? elements(call.sinks)[head] : Number.NEGATIVE_INFINITY;
  const most = scores.reduce((a, b) => Math.max(a, b), sink);
  const weights = scores.map((score) => Math.exp(score - most));
  const total = weights.reduce((a, b) => a + b, slots.length > 0 ? Math.exp(sink - most) : 0);
  return { slots, weights, total };
}
