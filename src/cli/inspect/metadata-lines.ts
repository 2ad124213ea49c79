/** The figures of an architecture that Sluice does not run, for people. */
import { counted, formatCount } from "../figures.js";
import type { MetadataFigures } from "./metadata-figures.js";

export function figureRows(figures: MetadataFigures): (readonly [string, string])[] {
  const count = (value: number | null) => (value === null ? "unknown" : formatCount(value));
  const tokens = (value: number | null, absent: string) => (value === null ? absent : `${counted(value, "token")}`);
  const { layers, width, hidden, heads, keyWidth, vocabulary, trainedContext, window } = figures;
  return [
    ["layers", count(layers)],
    ["width", count(width)],
    ["feed-forward", count(hidden)],
    ["heads", `${count(heads)}, KV heads ${kvHeadsText(figures)}, head width ${count(keyWidth)}`],
    ["vocabulary", count(vocabulary)],
    ["trained for", tokens(trainedContext, "unknown")],
    ["rope", ropeText(figures)],
    ["window", tokens(window, "none")],
  ];
}

function kvHeadsText({ kvHeads }: MetadataFigures): string {
  if (!kvHeads || kvHeads.length === 0) return "unknown";
  const least = kvHeads.reduce((a, b) => Math.min(a, b));
  const most = kvHeads.reduce((a, b) => Math.max(a, b));
  return least === most ? formatCount(most) : `${least} to ${most} by layer`;
}

function ropeText({ ropeBase, ropeScaling }: MetadataFigures): string {
  const base = ropeBase === null ? "base not given" : `base ${formatCount(ropeBase)}`;
  return ropeScaling === null ? base : `${base}, scaling ${ropeScaling}`;
}
