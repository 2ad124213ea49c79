/** How the pages of a model's layers are laid out, and the bytes that they come to take. */
import type { Backend } from "../tensor/backend.js";
import type { KvType } from "../tensor/dtype.js";
import { type KvLayout, PAGE_TOKENS } from "../tensor/kv.js";
import type { AttentionShape } from "./mixer-state.js";

export interface LayerLayout {
  readonly layout: KvLayout;
  readonly window: number | undefined;
  readonly layers: readonly number[];
}

/**
 * The page layouts that these layers need, with the number of members of each. Without a backend, or with one that has a
 * single place, layers that are alike share a layout.
 */
export function kvLayouts(
  shapes: readonly AttentionShape[],
  types: { readonly keyType: KvType; readonly valueType: KvType },
  backend?: Pick<Backend, "placeOf">,
): LayerLayout[] {
  const keyOf = ({ keyWidth, valueWidth, window, layer }: AttentionShape) =>
    `${keyWidth}/${valueWidth}/${window ?? ""}/${backend?.placeOf(layer) ?? 0}`;
  return [...new Set(shapes.map(keyOf))].map((key) => {
    const members = shapes.filter((shape) => keyOf(shape) === key);
    const { keyWidth, valueWidth, window } = members[0];
    const count = members.reduce((sum, shape) => sum + shape.kvHeads, 0);
    const { keyType, valueType } = types;
    const layout = { members: count, keyWidth, valueWidth, keyType, valueType };
    return { layout, window, layers: members.map(({ layer }) => layer) };
  });
}

/** How many tokens a cache may come to hold. */
export interface CacheExtent {
  /** Tokens that are kept between steps. */
  readonly tokens: number;
  /** Rows of a step, which are held beside what is kept while they are read. */
  readonly chunk: number;
  /** Tokens that are never exceeded, those of the step included; absent where the text has no end. */
  readonly limit?: number | undefined;
}

/** Most bytes that a cache of these layers takes. */
export function kvCacheBytes(
  backend: Pick<Backend, "kvPageBytes" | "placeOf">,
  shapes: readonly AttentionShape[],
  types: { readonly keyType: KvType; readonly valueType: KvType },
  { tokens, chunk, limit = Number.POSITIVE_INFINITY }: CacheExtent,
): number {
  const heads = Math.max(0, ...shapes.map(({ rope, kvHeads }) => (rope?.scaling.kind === "dynamic" ? kvHeads : 0)));
  return kvLayouts(shapes, types, backend).reduce((sum, { layout, window }) => {
    const held = Math.min(limit, Math.min(tokens, window ?? tokens) + chunk);
    // A text that is held from its start fills its pages; otherwise sinks and the oldest recent token may each share one.
    const pages = Math.ceil(held / PAGE_TOKENS) + (held === limit ? 0 : 2);
    const scratch = heads > 0 ? backend.kvPageBytes({ ...layout, members: heads }) : 0;
    return sum + pages * (backend.kvPageBytes(layout) + scratch);
  }, 0);
}
