/** The top of a chart: title, subtitle, and a legend of as many rows as its names need. */
import { FAINT } from "./chart-colours.js";
import type { DrawnLine, LineChart } from "./line-chart-types.js";
import { element, fitted, type Svg, textWidth, words } from "./svg.js";

const LEFT = 16;
const TITLE_SIZE = 17;
const SUBTITLE_SIZE = 12.5;
const LEGEND_SIZE = 13;
const ROW_HEIGHT = 20;
const SAMPLE_WIDTH = 28;
/** Between a sample and its name, and between a name and the next sample. */
const [SAMPLE_GAP, ENTRY_GAP] = [7, 22];

export function chartHeader(
  { title, subtitle }: LineChart,
  lines: readonly DrawnLine[],
  width: number,
): { readonly parts: readonly Svg[]; readonly height: number } {
  const room = width - 2 * LEFT;
  const parts: Svg[] = [];
  const put = (text: string, size: number, y: number, more: Record<string, string>) =>
    parts.push(element("text", { x: LEFT, y, "font-size": size, ...more }, [words(fitted(text, size, room))]));
  put(title, TITLE_SIZE, 28, { "font-weight": "bold" });
  let height = 36;
  if (subtitle !== undefined) {
    put(subtitle, SUBTITLE_SIZE, 49, { fill: FAINT });
    height = 58;
  }
  let [x, y] = [LEFT, height + ROW_HEIGHT / 2];
  for (const drawn of lines) {
    const name = fitted(drawn.name, LEGEND_SIZE, room - SAMPLE_WIDTH - SAMPLE_GAP);
    const entryWidth = SAMPLE_WIDTH + SAMPLE_GAP + textWidth(name, LEGEND_SIZE);
    if (x > LEFT && x + entryWidth > width - LEFT) [x, y] = [LEFT, y + ROW_HEIGHT];
    parts.push(sample(drawn, x, y));
    const place = { x: x + SAMPLE_WIDTH + SAMPLE_GAP, y: y + 4.5, "font-size": LEGEND_SIZE };
    parts.push(element("text", place, [words(name)]));
    x += entryWidth + ENTRY_GAP;
  }
  return { parts, height: y + ROW_HEIGHT / 2 };
}

/** The line itself, dashes and all, or a point of it. */
function sample({ colour, strokeWidth, dashes, pointsOnly }: DrawnLine, x: number, y: number): Svg {
  if (pointsOnly) return element("circle", { cx: x + SAMPLE_WIDTH / 2, cy: y, r: 4, fill: colour });
  const ends = { x1: x, y1: y, x2: x + SAMPLE_WIDTH, y2: y };
  return element("line", { ...ends, stroke: colour, "stroke-width": strokeWidth, "stroke-dasharray": dashes });
}
