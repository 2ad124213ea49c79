/** Gates that were found, for people: the heads that retrieve most, and a map of all. */
import { noneRetrieves, streamingHeads } from "../../context/gates/index.js";
import type { FoundGates } from "../../eval/gates/find-gates.js";
import { counted, formatCount } from "../figures.js";
import { heatMap } from "../plot/heat-map.js";
import { tableLines } from "../table.js";

const SHOWN = 12;

/** A table of the KV heads with the largest gates, and how many keep everything. */
export function bestHeads({ gates, scores }: FoundGates, emphasise: (header: string) => string): string[] {
  const heads = gates.layers.flatMap((row, index) => {
    const { layer, copy, passkey } = scores[index];
    const group = copy.length / row.length;
    const best = (of: readonly number[], head: number) => Math.max(...of.slice(head * group, (head + 1) * group));
    return row.map((gate, head) => ({ layer, head, gate, copy: best(copy, head), passkey: best(passkey, head) }));
  });
  const most = [...heads].sort((a, b) => b.gate - a.gate).slice(0, SHOWN);
  const columns = (["layer", "KV head", "gate", "copies", "passkeys"] as const).map((header) => ({
    header,
    align: "right" as const,
  }));
  const rows = most.map(({ layer, head, gate, copy, passkey }) => [
    String(layer),
    String(head),
    gate.toFixed(3),
    share(copy),
    share(passkey),
  ]);
  const keep = streamingHeads(gates)
    .flat()
    .filter((streams) => !streams).length;
  return [
    ...tableLines(columns, rows, emphasise),
    `${formatCount(keep)} of ${counted(heads.length, "KV head")} ${keep === 1 ? "has a gate" : "have gates"} of at least 0.5, with which duo:NAME keeps everything; duo:NAME@SHARE lets that share stream.`,
  ];
}

/**
 * What a model's gates are worth, in a sentence; undefined: its best head finds what it must. A gate is a share of the best
 * score, so where no head retrieves, gates tell what little there is by chance from less.
 */
export function gatesNote({ gates }: Pick<FoundGates, "gates">): string | undefined {
  if (!noneRetrieves(gates)) return undefined;
  return (
    `No head retrieves: the best gives ${share(Number(gates.found?.largest))} of its attention to what is sought, and a head that does gives half or more. ` +
    "These gates are not worth much; full,read=quest:N or a window suits such a model better."
  );
}

/** Of a head's attention. */
function share(mass: number): string {
  return `${(100 * mass).toFixed(1)}%`;
}

/** The gates of all layers and KV heads as SVG. */
export function gatesMap({ gates, scores }: FoundGates, name: string): string {
  const { lengths, prompts }: Readonly<Record<string, unknown>> = gates.found ?? {};
  const tokens = Array.isArray(lengths) ? lengths.join(", ") : "";
  return heatMap({
    title: `Heads that retrieve: ${name}`,
    subtitle: `gate by layer and KV head; ${String(prompts)} prompts of each kind, ${tokens} tokens`,
    rowName: "layer",
    columnName: "KV head",
    rows: gates.layers.map((values, index) => ({ name: String(scores[index].layer), values })),
  });
}
