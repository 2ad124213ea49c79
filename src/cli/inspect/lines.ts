/** The sections of `sluice inspect` for people: types of tensors, memory, the list of tensors. */
import { groupText } from "../cache-group.js";
import { counted, formatBytes, formatCount } from "../figures.js";
import { oneLine, type Styles } from "../style.js";
import { pairLines, tableLines } from "../table.js";
import type { CacheMemory, CacheReads } from "./cache-memory.js";
import type { MetadataFigures } from "./metadata-figures.js";
import type { ModelDescription } from "./model-description.js";
import type { CheckpointSummary, TensorLine } from "./summary.js";

/** All that was found out: either the model and its memory, or why not and the metadata's figures. */
export interface Inspection {
  readonly summary: CheckpointSummary;
  readonly model: ModelDescription | null;
  readonly cache: CacheMemory | null;
  /** Why Sluice does not run it. */
  readonly reason: string | null;
  readonly figures: MetadataFigures | null;
}

export function typeLines({ summary }: Inspection, style: Styles): string[] {
  const columns = [
    { header: "type", align: "left" },
    { header: "tensors", align: "right" },
    { header: "elements", align: "right" },
    { header: "bytes", align: "right" },
  ] as const;
  const rows = summary.types.map(({ type, tensors, elements, bytes }) => [
    oneLine(type),
    formatCount(tensors),
    formatCount(elements),
    formatBytes(bytes),
  ]);
  const lines = tableLines(columns, rows, style.bold);
  if (summary.unsupportedTensors === 0) return lines;
  const count = formatCount(summary.unsupportedTensors);
  return [...lines, `tensors of types that Sluice does not compute with yet, of unknown size: ${count}`];
}

export function memoryLines({ summary, cache }: Inspection, style: Styles): string[] {
  const least = summary.unsupportedTensors > 0 ? "at least " : "";
  return [
    style.bold("memory"),
    ...pairLines([["weights", `${least}${formatBytes(summary.weightBytes)}`], ...(cache ? cacheRows(cache) : [])]),
  ];
}

function cacheRows(cache: CacheMemory): (readonly string[])[] {
  const { bytes, tokens, chunk, context, kv, bytesPerToken, bytesPerTokenBeyondWindows, stateBytes, sourceBytes } =
    cache;
  const { boundsBytes, reads } = cache;
  const notes = cache.notes.map((note) => ["note", note]);
  const state = ["state", `${formatBytes(stateBytes)}, whatever the length of the text`];
  if (bytesPerToken === 0) return [state, ...notes];
  const each = [`${formatBytes(bytesPerToken)} a token`];
  if (bytesPerTokenBeyondWindows < bytesPerToken) {
    each.push(`${formatBytes(bytesPerTokenBeyondWindows)} beyond the windows`);
  }
  const pages = bytes - stateBytes - sourceBytes;
  // Tokens of layers with a window, and the rest of pages that are not full.
  const rest = pages - boundsBytes - (tokens + chunk) * bytesPerTokenBeyondWindows;
  if (rest > 0 && bytesPerTokenBeyondWindows === bytesPerToken) each.push(`${formatBytes(rest)} to fill pages`);
  else if (rest > 0) each.push(`${formatBytes(rest)} for the windows and to fill pages`);
  if (boundsBytes > 0) each.push(`${formatBytes(boundsBytes)} for bounds of keys`);
  const source = [
    "source",
    `${formatBytes(sourceBytes)} for ${counted(cache.sourceTokens, "token")} that the encoder reads`,
  ];
  const system = cache.systemMessage ? " and the system message" : "";
  const held = `${counted(tokens, "token")}${system}${chunk > 0 ? ` and ${formatCount(chunk)} being read` : ""}`;
  return [
    ["cache", `${formatBytes(pages)} for ${held} (${[context, `kv ${kv}`, ...each].join(", ")})`],
    ...(reads && reads.layers > 0 ? [["reads", readsText(reads)]] : []),
    ...(cache.groups.length > 1 ? cache.groups.map((group) => ["of which", groupText(group)]) : []),
    ...(stateBytes > 0 ? [state] : []),
    ...(sourceBytes > 0 ? [source] : []),
    ...notes,
  ];
}

/** "1,024 tokens for a token that it writes, in 20 layers; the first 2 with attention read everything". */
function readsText({ tokens, layers, denseLayers }: CacheReads): string {
  const few = `${counted(tokens, "token")} at most for a token that it writes, in ${counted(layers, "layer")}`;
  if (denseLayers === 0) return few;
  return `${few}; the first ${denseLayers === 1 ? "one" : formatCount(denseLayers)} with attention ${denseLayers === 1 ? "reads" : "read"} everything`;
}

export function tensorTable(tensors: readonly TensorLine[], style: Styles): string[] {
  const columns = [
    { header: `tensor (${formatCount(tensors.length)})`, align: "left" },
    { header: "shape", align: "right" },
    { header: "type", align: "left" },
    { header: "bytes", align: "right" },
  ] as const;
  const rows = tensors.map(({ name, shape, type, bytes, supported }) => [
    oneLine(name),
    shape.join(" x "),
    oneLine(supported ? type : `${type} (not supported yet)`),
    bytes === null ? "unknown" : formatCount(bytes),
  ]);
  return tableLines(columns, rows, style.bold);
}
