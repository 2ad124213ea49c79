/** Calls about a single slice of a cache and all rows of their tensors. */
import type { AppendCall, AttentionCall } from "../../src/tensor/backend.js";
import type { KvSlice } from "../../src/tensor/kv.js";

/** KV heads [first, first + count). */
export function headsFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

export function attended({ slice, ...call }: Omit<AttentionCall, "parts"> & { slice: KvSlice }): AttentionCall {
  return { ...call, parts: [{ slice, first: 0, rows: call.out.rows, ranges: call.queries.length, spans: 0 }] };
}

export function appended({
  slice,
  slot,
  ...call
}: Omit<AppendCall, "parts"> & { slice: KvSlice; slot: number }): AppendCall {
  return { ...call, parts: [{ slice, first: 0, rows: call.keys.rows, slot }] };
}
