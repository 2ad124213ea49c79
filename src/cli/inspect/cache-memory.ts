/** What a session's cache takes, computed from a checkpoint's figures: layers x KV heads x widths x tokens, in the Wasm pages. */
import { pageBytes } from "../../backends/wasm/kv-layout.js";
import { kvCacheBytes, kvLayouts } from "../../context/kv-layout.js";
import { cacheExtent } from "../../engine/memory-plan.js";
import { sessionSettings } from "../../engine/session-options.js";
import { PAGE_TOKENS } from "../../tensor/kv.js";
import type { CheckpointSummary } from "./summary.js";

export interface CacheMemory {
  /** The policy in its canonical text form. */
  readonly context: string;
  readonly kv: string;
  /** Tokens held at most; null when neither the policy nor the checkpoint tells. */
  readonly tokens: number | null;
  /** Null when a figure that it takes is missing. */
  readonly bytes: number | null;
  readonly bytesPerToken: number | null;
}

export interface CacheQuestion {
  readonly context: string;
  readonly kv: string;
  /** Tokens under `full`; default: what the model was trained for. */
  readonly contextLength?: number | undefined;
}

/** @throws PolicyError, ArgumentError */
export function cacheMemory(summary: CheckpointSummary, question: CacheQuestion): CacheMemory {
  const settings = sessionSettings({ context: question.context, kv: question.kv });
  const { policy } = settings;
  const tokens = policy.budget ?? question.contextLength ?? summary.trainedContext;
  const common = { context: policy.text, kv: question.kv, tokens };
  const shapes = attentionShapes(summary);
  if (!shapes) return { ...common, bytes: null, bytesPerToken: null };
  const layouts = kvLayouts(shapes, settings);
  const bytesPerToken = layouts.reduce((sum, { layout }) => sum + pageBytes(layout) / PAGE_TOKENS, 0);
  const extent = tokens === null ? null : cacheExtent(settings, tokens);
  const bytes = extent && kvCacheBytes({ kvPageBytes: pageBytes, placeOf: () => 0 }, shapes, settings, extent);
  return { ...common, bytes, bytesPerToken };
}

/** Layers without KV heads keep no cache. */
function attentionShapes(summary: CheckpointSummary) {
  const { kvHeads, keyWidth, valueWidth, window } = summary;
  if (!kvHeads || keyWidth === null || valueWidth === null) return undefined;
  return kvHeads
    .map((count, layer) => ({
      layer,
      heads: count,
      kvHeads: count,
      keyWidth,
      valueWidth,
      scale: 1,
      // Only mistral's window holds for every layer, as the models have it.
      window: summary.architecture === "mistral" && window !== null ? window : undefined,
    }))
    .filter((shape) => shape.kvHeads > 0);
}
