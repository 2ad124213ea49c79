/** Line charts as SVG: the perplexity along a text, the loss of a training. Scales and lines are d3's, the rest is here. */
import { line } from "d3-shape";
import { placeable } from "./axis-scale.js";
import { chartAxes } from "./chart-axes.js";
import { COLOURS, FONT, TEXT } from "./chart-colours.js";
import { chartHeader } from "./chart-header.js";
import { endLabels } from "./end-labels.js";
import type { DrawnLine, LineChart, LineSeries } from "./line-chart-types.js";
import { element, type Svg, short, words } from "./svg.js";

/** Pixels around the lines; what stands at the top follows from the legend. */
const MARGIN = { left: 70, right: 64, bottom: 58 };
/** Of the lines that have a colour for the first time, the second time and so on. */
const DASHES = [undefined, "2 4", "12 4 2 4"];
/** The name of the upright axis stands above it. */
const AXIS_NAME_HEIGHT = 26;

/** The chart as an SVG document. */
export function lineChart(chart: LineChart): string {
  const { width = 900, height = 480 } = chart;
  const lines = chart.series.map((series, at) => drawnLine(series, at, chart));
  const header = chartHeader(chart, lines, width);
  const area = {
    left: MARGIN.left,
    right: width - MARGIN.right,
    top: header.height + AXIS_NAME_HEIGHT,
    bottom: height - MARGIN.bottom,
  };
  const axes = chartAxes(chart, lines, area);
  const document = element(
    "svg",
    {
      width,
      height,
      viewBox: `0 0 ${short(width)} ${short(height)}`,
      xmlns: "http://www.w3.org/2000/svg",
      role: "img",
      "font-family": FONT,
      fill: TEXT,
    },
    [
      element("title", {}, [words(chart.title)]),
      element("rect", { width: "100%", height: "100%", fill: "#ffffff" }),
      ...header.parts,
      ...axes.parts,
      ...lines.flatMap((drawn) => lineParts(drawn, axes.x, axes.y)),
      ...endLabels(lines, axes, area),
    ],
  );
  return `${document.svg}\n`;
}

function drawnLine({ name, points, dashed, pointsOnly = false }: LineSeries, at: number, chart: LineChart): DrawnLine {
  return {
    name,
    points: placeable(points, chart),
    colour: COLOURS[at % COLOURS.length],
    // Later lines lie above: where they are narrower, lines that coincide are seen as several.
    strokeWidth: Math.max(1.5, 3.4 - 0.8 * at),
    dashes: dashed ? "7 5" : DASHES[Math.floor(at / COLOURS.length) % DASHES.length],
    pointsOnly,
  };
}

function lineParts(
  { points, colour, strokeWidth, dashes, pointsOnly }: DrawnLine,
  x: (value: number) => number,
  y: (value: number) => number,
): Svg[] {
  // A single point has no line to be seen by.
  if (pointsOnly || points.length === 1) {
    return points.map((point) => element("circle", { cx: x(point[0]), cy: y(point[1]), r: 4, fill: colour }));
  }
  const d = line<[number, number]>()
    .x(([value]) => x(value))
    .y(([, value]) => y(value))
    .digits(2)([...points]);
  if (d === null) return [];
  const stroke = { stroke: colour, "stroke-width": strokeWidth, "stroke-dasharray": dashes };
  return [element("path", { d, fill: "none", ...stroke, "stroke-linejoin": "round" })];
}
