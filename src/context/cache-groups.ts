/** What a cache holds, by heads that keep the same tokens: for reports of memory and usage. */
import type { Backend } from "../tensor/backend.js";
import { counted, formatCount } from "../util/figures.js";
import type { Retention } from "./head-sets.js";
import { type CacheExtent, type CacheKind, type GroupLayout, kvLayouts, layoutExtents } from "./kv-layout.js";
import type { AttentionShape } from "./mixer-state.js";

/** Heads that keep the same tokens. */
export interface CacheGroup {
  /** What they keep, for a person: "everything", "the first 64 and the newest 256 tokens". */
  readonly keeps: string;
  /** Numbers of the layers that have some of them, ascending. */
  readonly layers: readonly number[];
  /** KV heads, in all of these layers together. */
  readonly heads: number;
  /** Tokens that each of them keeps: now in `usage`, at most in a plan. */
  readonly kept: number;
  /** Bytes of their keys and values, and of bounds of keys where heads choose what they read. */
  readonly bytes: number;
}

/** A group's constant part, and which of the page layouts it has: those of other widths and places are apart in memory. */
export interface GroupFacts extends Pick<CacheGroup, "keeps" | "layers" | "heads"> {
  /** Indices of the layouts. */
  readonly parts: readonly number[];
}

export function groupFacts(layouts: readonly GroupLayout[]): GroupFacts[] {
  const groups: { of: GroupLayout; parts: number[] }[] = [];
  layouts.forEach((layout, index) => {
    const known = groups.find(({ of }) => of.retention === layout.retention && of.window === layout.window);
    if (known) known.parts.push(index);
    else groups.push({ of: layout, parts: [index] });
  });
  return groups.map(({ of, parts }) => {
    const members = parts.flatMap((index) => layouts[index].members);
    return {
      keeps: keepsText(of.retention, of.window),
      layers: [...new Set(members.map(({ layer }) => layer))].sort((a, b) => a - b),
      heads: members.reduce((sum, { heads }) => sum + heads.length, 0),
      parts,
    };
  });
}

/** What groups come to hold at most. */
export function plannedGroups(
  backend: Pick<Backend, "kvPageBytes" | "placeOf">,
  shapes: readonly AttentionShape[],
  kind: CacheKind,
  extent: CacheExtent,
): CacheGroup[] {
  const layouts = kvLayouts(shapes, kind, backend);
  const extents = layoutExtents(backend, shapes, layouts, extent);
  return groupFacts(layouts).map(({ keeps, layers, heads, parts }) => {
    const kept = parts.reduce((most, index) => Math.max(most, extents[index].kept), 0);
    return { keeps, layers, heads, kept, bytes: parts.reduce((sum, index) => sum + extents[index].bytes, 0) };
  });
}

/** @param window the model's own */
function keepsText(retention: Retention, window: number | undefined): string {
  const kept = retention.summary ?? keptTokens(retention);
  return window === undefined ? kept : `${kept}, within the model's window of ${formatCount(window)}`;
}

function keptTokens({ budget, sinks }: Retention): string {
  if (budget === undefined) return "everything";
  const newest = `the newest ${counted(budget - sinks, "token")}`;
  return sinks > 0 ? `the first ${formatCount(sinks)} and ${newest}` : newest;
}
