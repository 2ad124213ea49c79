/**
 * The sliding windows of an architecture's layers, by GGUF's keys: `attention.sliding_window` is the width, none where it is
 * 0; `attention.sliding_window_pattern` says which layers have it, as a period P (all but every P-th; 1 none, 0 all) or as
 * a list with true or 1 for each layer that has.
 */
import type { MetadataValue } from "../formats/checkpoint.js";
import type { AttentionSpec } from "../nn/spec.js";
import type { RopeSpec } from "../position/rope.js";
import { FormatError } from "../util/errors.js";
import { type ModelMetadata, shown } from "./metadata.js";

export interface WindowKeys {
  readonly width: string;
  readonly pattern: string;
}

const GGUF: WindowKeys = { width: "attention.sliding_window", pattern: "attention.sliding_window_pattern" };
/** Of folders whose architecture has no window in GGUF, as llama.cpp has none for it. */
export const FOLDER: WindowKeys = { width: "attention.window", pattern: "attention.window_pattern" };

/** Window and rotation of a layer: those with a window may turn otherwise. */
export function windowOrNone(
  window: number | undefined,
  windowed: RopeSpec,
  rope: RopeSpec,
): Pick<AttentionSpec, "rope" | "window"> {
  return window === undefined ? { rope } : { rope: windowed, window };
}

/** What an architecture has where the checkpoint says nothing. */
export interface UsualWindows {
  /** Tokens that a layer sees, the newest included; 0 or absent: no window. */
  readonly width?: number;
  /** As the pattern's. */
  readonly period: number;
}

/** The window of each layer. @throws FormatError */
export function windowsOf(
  meta: ModelMetadata,
  usual: UsualWindows,
  keys = GGUF,
): (layer: number) => number | undefined {
  const width = meta.whole(keys.width, usual.width ?? 0);
  const list = meta.byLayer(keys.pattern)?.map((entry) => flagOf(meta, keys.pattern, entry));
  const period = list ? 0 : meta.whole(keys.pattern, usual.period);
  if (width === 0) return () => undefined;
  const windowed = (layer: number) => (list ? list[layer] : period === 0 || layer % period < period - 1);
  return (layer) => (windowed(layer) ? width : undefined);
}

function flagOf(meta: ModelMetadata, key: string, entry: MetadataValue): boolean {
  if (entry === true || entry === 1) return true;
  if (entry === false || entry === 0) return false;
  throw new FormatError(
    `${meta.checkpoint.location}: the metadata key "${meta.full(key)}" must be a number, or a list with true or false ` +
      `for each layer; found ${shown(entry)} in it.`,
    { key: meta.full(key) },
  );
}
