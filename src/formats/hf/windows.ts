/**
 * Sliding windows of a config.json as keys. `layer_types` names each layer's kind; older files have `sliding_window_pattern`,
 * a period whose last layer sees everything, or `max_window_layers`, from which on layers have the window (Qwen).
 */
import type { KeyValues } from "./architecture.js";
import type { ConfigFields } from "./config-fields.js";

/** More layers than any model has: no list is made by such a number. */
const MOST_LAYERS = 65536;

/** GGUF's keys, of architectures whose layers alternate: a window is what `transformers` asks of every such layer. */
export function alternatingWindows(config: ConfigFields, width: number, period: number): KeyValues {
  const field = config.either("sliding_window_pattern", "_sliding_window_pattern");
  const pattern = windowedLayers(config) ?? config.count(field, period);
  const none = Array.isArray(pattern) ? !pattern.includes(true) : pattern === 1;
  const absent = config.has("sliding_window") && config.value("sliding_window") === undefined;
  if (absent && !none) throw config.wrong("sliding_window", "a number, as there are layers with a window");
  return {
    "attention.sliding_window": none ? 0 : config.count("sliding_window", width),
    "attention.sliding_window_pattern": pattern === period ? undefined : pattern,
  };
}

/** A window of all layers, under the key of folders: in GGUF these architectures have none. */
export function windowOfAll(config: ConfigFields): KeyValues {
  if (config.value("sliding_window") === undefined) return {};
  return { "attention.window": config.count("sliding_window") };
}

/** Qwen's: only where `use_sliding_window` says so, in the layers from `max_window_layers` on or of `layer_types`. */
export function flaggedWindows(config: ConfigFields): KeyValues {
  if (!config.flag("use_sliding_window")) return {};
  const absent = config.has("sliding_window") && config.value("sliding_window") === undefined;
  if (absent) return {};
  const layers = layerCount(config);
  const first = config.whole("max_window_layers", 28);
  const pattern = windowedLayers(config) ?? Array.from({ length: layers }, (_, layer) => layer >= first);
  if (!pattern.includes(true)) return {};
  return { "attention.window": config.count("sliding_window", 4096), "attention.window_pattern": pattern };
}

/** Which layers have a window by `layer_types`; undefined without it. @throws FormatError, UnsupportedError for other kinds */
function windowedLayers(config: ConfigFields): boolean[] | undefined {
  const types = config.value("layer_types");
  if (types === undefined) return undefined;
  const layers = layerCount(config);
  if (!Array.isArray(types) || types.length !== layers) {
    throw config.wrong("layer_types", `a list of the kinds of ${layers} layers`);
  }
  return types.map((type) => {
    if (type === "sliding_attention" || type === "full_attention") return type === "sliding_attention";
    throw config.unsupported("layer_types", "full_attention or sliding_attention for each layer");
  });
}

function layerCount(config: ConfigFields): number {
  const layers = config.count("num_hidden_layers");
  if (layers <= MOST_LAYERS) return layers;
  throw config.wrong("num_hidden_layers", `at most ${MOST_LAYERS}`);
}
