/** What heads that keep the same tokens hold, in words. */
import type { CacheGroup } from "../context/cache-groups.js";
import { counted, formatBytes } from "./figures.js";
import { layerNumbers } from "./inspect/layer-groups.js";

/** "1.31 MB for 6 KV heads of layers 0-2, which keep everything". */
export function groupText({ keeps, layers, heads, bytes }: CacheGroup): string {
  return `${formatBytes(bytes)} for ${counted(heads, "KV head")} of ${layerNumbers(layers)}, which ${heads === 1 ? "keeps" : "keep"} ${keeps}`;
}
