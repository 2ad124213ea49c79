/** How the pages of a model's layers are laid out, and the bytes that they come to take. */
import type { Backend } from "../tensor/backend.js";
import type { KvType } from "../tensor/dtype.js";
import { boundsLayout, type KvLayout, PAGE_TOKENS } from "../tensor/kv.js";
import { InternalError, UnsupportedError } from "../util/errors.js";
import { type HeadSets, keeperOf, type Retention, setsOfLayer } from "./head-sets.js";
import type { AttentionShape } from "./mixer-state.js";
import { type PageReading, pagesRead } from "./page-reading.js";

/** Heads of a layer, and where their keys and values are in a page group. */
export interface LayerHeads {
  readonly layer: number;
  readonly heads: readonly number[];
  /** What they see of what the group keeps. */
  readonly retention: Retention;
  /** The first of as many members. */
  readonly member: number;
  /** The first of as many members of a block of bounds; undefined: they read everything. */
  readonly bounded: number | undefined;
}

/** What shares a page table. */
export interface GroupLayout {
  readonly layout: KvLayout;
  /** Which tokens are kept. */
  readonly retention: Retention;
  readonly window: number | undefined;
  readonly members: readonly LayerHeads[];
  /** How those of the members read that have bounds, and how many these are; undefined: none has. */
  readonly choice: { readonly reading: PageReading; readonly members: number } | undefined;
}

/** How a cache stores things, and by which policy it keeps them. */
export interface CacheKind {
  readonly policy: HeadSets;
  readonly keyType: KvType;
  readonly valueType: KvType;
}

/**
 * The page layouts that these layers need, with the number of members of each. Without a backend, or with one that has a
 * single place, heads that are alike share a layout.
 */
export function kvLayouts(
  shapes: readonly AttentionShape[],
  { policy, keyType, valueType }: CacheKind,
  backend?: Pick<Backend, "placeOf">,
): GroupLayout[] {
  const groups: {
    shape: AttentionShape;
    place: number;
    retention: Retention;
    reading: PageReading | undefined;
    members: LayerHeads[];
  }[] = [];
  const groupOf = (shape: AttentionShape, place: number, retention: Retention) => {
    const known = groups.find((one) => one.retention === retention && one.place === place && alike(one.shape, shape));
    if (known) return known;
    groups.push({ shape, place, retention, reading: undefined, members: [] });
    return groups[groups.length - 1];
  };
  for (const shape of shapes) {
    const { layer, kvHeads } = shape;
    for (const { heads, retention, read } of setsOfLayer(policy, layer, kvHeads)) {
      const group = groupOf(shape, backend?.placeOf(layer) ?? 0, keeperOf(retention));
      const { members } = group;
      const reading = read && mayChoose(read, shape) ? read : undefined;
      group.reading ??= reading;
      if (reading && group.reading?.tokens !== reading.tokens)
        throw new InternalError("Heads that keep the same tokens must read as many of them.");
      const bounded = reading && countHeads(members.filter((one) => one.bounded !== undefined));
      members.push({ layer, heads, retention, member: countHeads(members), bounded });
    }
  }
  return groups.map(({ shape: { keyWidth, valueWidth, window }, retention, reading, members }) => {
    return {
      layout: { members: countHeads(members), keyWidth, valueWidth, keyType, valueType },
      retention,
      window,
      members,
      choice: reading && { reading, members: countHeads(members.filter(({ bounded }) => bounded !== undefined)) },
    };
  });
}

/** Not where the model's own window has no more pages than are read, wherever it begins. */
function mayChoose(read: PageReading, { window = Number.POSITIVE_INFINITY, rope }: AttentionShape): boolean {
  if (rope?.scaling.kind === "dynamic") {
    throw new UnsupportedError(
      "read=quest:N needs keys that stay as they are; those of dynamic NTK are rotated anew with every token. Leave read= out.",
    );
  }
  return Math.ceil((window - 1) / PAGE_TOKENS) + 1 > pagesRead(read);
}

function alike(a: AttentionShape, b: AttentionShape): boolean {
  return a.keyWidth === b.keyWidth && a.valueWidth === b.valueWidth && a.window === b.window;
}

function countHeads(members: readonly LayerHeads[]): number {
  return members.reduce((sum, { heads }) => sum + heads.length, 0);
}

/** How many tokens a cache may come to hold. */
export interface CacheExtent {
  /** Tokens that are kept between steps where a set's budget does not say fewer. */
  readonly tokens: number;
  /** Rows of a step, which are held beside what is kept while they are read. */
  readonly chunk: number;
  /** Tokens that are never exceeded, those of the step included; absent where the text has no end. */
  readonly limit?: number | undefined;
}

/** What the heads of one layout come to hold. */
export interface LayoutExtent {
  /** Tokens kept between steps, at most. */
  readonly kept: number;
  readonly bytes: number;
  /** Of these, for bounds of keys. */
  readonly boundsBytes: number;
}

/** Most bytes that a cache of these layers takes. */
export function kvCacheBytes(
  backend: Pick<Backend, "kvPageBytes" | "placeOf">,
  shapes: readonly AttentionShape[],
  kind: CacheKind,
  extent: CacheExtent,
): number {
  const extents = layoutExtents(backend, shapes, kvLayouts(shapes, kind, backend), extent);
  return extents.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Of these, for bounds of keys where heads choose what they read. */
export function kvBoundsBytes(
  backend: Pick<Backend, "kvPageBytes" | "placeOf">,
  shapes: readonly AttentionShape[],
  kind: CacheKind,
  extent: CacheExtent,
): number {
  const extents = layoutExtents(backend, shapes, kvLayouts(shapes, kind, backend), extent);
  return extents.reduce((sum, { boundsBytes }) => sum + boundsBytes, 0);
}

/** By layout, what a cache of these layers holds at most. */
export function layoutExtents(
  backend: Pick<Backend, "kvPageBytes">,
  shapes: readonly AttentionShape[],
  layouts: readonly GroupLayout[],
  { tokens, chunk, limit = Number.POSITIVE_INFINITY }: CacheExtent,
): LayoutExtent[] {
  const rotatesAnew = shapes.some(({ rope }) => rope?.scaling.kind === "dynamic");
  return layouts.map(({ layout, window, retention, members, choice }) => {
    const kept = Math.min(tokens, retention.budget ?? tokens, window ?? tokens);
    const held = Math.min(limit, kept + chunk);
    // A text that is held from its start fills its pages; otherwise sinks and the oldest recent token may each share one.
    const pages = Math.ceil(held / PAGE_TOKENS) + (held === limit ? 0 : 2);
    // The same for blocks of bounds and their pages.
    const blocks = Math.ceil(pages / PAGE_TOKENS) + (held === limit ? 0 : 2);
    const blockBytes = choice ? backend.kvPageBytes(boundsLayout({ ...layout, members: choice.members })) : 0;
    const heads = members.reduce((most, one) => Math.max(most, one.heads.length), 0);
    const scratch = rotatesAnew ? backend.kvPageBytes({ ...layout, members: heads }) : 0;
    const boundsBytes = blocks * blockBytes;
    return { kept, bytes: pages * (backend.kvPageBytes(layout) + scratch) + boundsBytes, boundsBytes };
  });
}
