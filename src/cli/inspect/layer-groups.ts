/** Layers that are alike in some respect, together, and lists of their numbers as people write them. */

export interface LayerGroup<T> {
  /** From 0, as in the names of tensors. */
  readonly layers: readonly number[];
  readonly value: T;
}

/** Layers with equal values together, in the order of their first layers. Values are plain data. */
export function groupLayers<T>(values: readonly T[]): LayerGroup<T>[] {
  return mergeGroups(values.map((value, layer) => ({ layers: [layer], value })));
}

/** Groups with equal values as one. */
export function mergeGroups<T>(groups: readonly LayerGroup<T>[]): LayerGroup<T>[] {
  const merged = new Map<string, LayerGroup<T>>();
  for (const { layers, value } of groups) {
    const key = JSON.stringify(value);
    const all = [...(merged.get(key)?.layers ?? []), ...layers];
    merged.set(key, { layers: all.sort((a, b) => a - b), value });
  }
  return [...merged.values()];
}

/** Longer lists of runs are shortened in their middle. */
const MOST_RUNS = 6;

/** "layer 5", "layers 0-4, 6", "layers 0, 2, 4, ... 24"; `layers` ascend. */
export function layerNumbers(layers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const layer of layers) {
    const last = runs.at(-1);
    if (last && last[1] === layer - 1) last[1] = layer;
    else runs.push([layer, layer]);
  }
  const texts = runs.map(([first, last]) => {
    if (first === last) return String(first);
    return last === first + 1 ? `${first}, ${last}` : `${first}-${last}`;
  });
  const shown =
    texts.length > MOST_RUNS ? `${texts.slice(0, 3).join(", ")}, ... ${texts[texts.length - 1]}` : texts.join(", ");
  return `${layers.length === 1 ? "layer" : "layers"} ${shown}`;
}

/** The value that all have, or each with the layers that have it: "16 tokens (layers 0, 2); none (layers 1, 3)". */
export function groupText<T>(groups: readonly LayerGroup<T>[], text: (value: T) => string): string {
  const texts = mergeGroups(groups.map(({ layers, value }) => ({ layers, value: text(value) })));
  if (texts.length === 1) return texts[0].value;
  return texts.map(({ layers, value }) => `${value} (${layerNumbers(layers)})`).join("; ");
}
