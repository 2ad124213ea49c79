/** What the distances between queries and keys add to a layer's scores: its slopes or buckets, uploaded once a step. */
import { type RelativeSpec, relativeBuckets } from "../position/relative.js";
import type { AttentionBias } from "../tensor/backend.js";
import type { StepInput, Weight } from "../tensor/tensor.js";
import type { AttentionShape } from "./mixer-state.js";
import type { Uploads } from "./uploads.js";

/** They follow from the spec alone. */
const bucketsOf = new WeakMap<RelativeSpec, Int32Array>();

/**
 * @param table of a layer with relative positions
 * @param places as AttentionBias has them; asked for only where they count
 */
export function distanceBias(
  { alibi, relative }: Pick<AttentionShape, "alibi" | "relative">,
  table: Weight | undefined,
  uploads: Uploads,
  places: () => StepInput,
): AttentionBias | undefined {
  if (alibi) return { kind: "linear", slopes: uploads.once(alibi, () => alibi.slopes), places: places() };
  if (!relative || !table) return undefined;
  return { kind: "table", table, buckets: uploads.once(relative, () => buckets(relative)), places: places() };
}

function buckets(relative: RelativeSpec): Int32Array {
  const known = bucketsOf.get(relative) ?? relativeBuckets(relative);
  bucketsOf.set(relative, known);
  return known;
}
