/** The axes of a chart with their marks, names and grid lines. */
import { type AxisScale, axisScale, extentOf } from "./axis-scale.js";
import { FAINT, GRID } from "./chart-colours.js";
import type { DrawnLine, LineChart } from "./line-chart-types.js";
import { element, type Svg, textWidth, words } from "./svg.js";

/** Pixels of the rectangle in which the lines are. */
export interface Area {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

export interface Axes {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
  /** A value of the upright axis as text. */
  readonly figure: (value: number) => string;
  readonly parts: readonly Svg[];
}

const MARK_SIZE = 12;
const NAME_SIZE = 13;
/** Pixels for a mark, at least. */
const [X_SPACE, Y_SPACE] = [95, 48];

export function chartAxes(chart: LineChart, lines: readonly DrawnLine[], area: Area): Axes {
  const count = (pixels: number, space: number) => Math.max(2, Math.round(pixels / space));
  const x = axisScale(extentOf(lines, 0), {
    log: chart.logX === true,
    whole: true,
    count: count(area.right - area.left, X_SPACE),
    range: [area.left, area.right],
  });
  const y = axisScale(extentOf(lines, 1), {
    log: chart.logY === true,
    whole: false,
    count: count(area.bottom - area.top, Y_SPACE),
    range: [area.bottom, area.top],
  });
  return { x: x.place, y: y.place, figure: y.figure, parts: [...yParts(y, chart, area), ...xParts(x, chart, area)] };
}

function xParts({ place, marks }: AxisScale, { xLabel }: LineChart, { left, right, bottom }: Area): Svg[] {
  const axis = element("line", { x1: left, y1: bottom, x2: right, y2: bottom, stroke: FAINT });
  const shown = marks.flatMap(({ value, text }) => {
    const x = place(value);
    // What would stand beyond the picture's edge or under the other axis's marks is drawn as a mark alone.
    const half = textWidth(text, MARK_SIZE) / 2;
    const label = { x, y: bottom + 20, "font-size": MARK_SIZE, fill: FAINT, "text-anchor": "middle" };
    const tick = element("line", { x1: x, y1: bottom, x2: x, y2: bottom + 5, stroke: FAINT });
    return x - half < 0 ? [tick] : [tick, element("text", label, [words(text)])];
  });
  const middle = { x: (left + right) / 2, y: bottom + 43, "font-size": NAME_SIZE, fill: FAINT };
  return [axis, ...shown, element("text", { ...middle, "text-anchor": "middle" }, [words(xLabel)])];
}

/** Its name stands above it and reads from left to right. */
function yParts({ place, marks }: AxisScale, { yLabel }: LineChart, { left, right, top }: Area): Svg[] {
  const lines = marks.flatMap(({ value, text }) => {
    const y = place(value);
    const label = { x: left - 8, y: y + 4, "font-size": MARK_SIZE, fill: FAINT, "text-anchor": "end" };
    return [
      element("line", { x1: left, y1: y, x2: right, y2: y, stroke: GRID }),
      element("text", label, [words(text)]),
    ];
  });
  const name = { x: 16, y: top - 12, "font-size": NAME_SIZE, fill: FAINT };
  return [...lines, element("text", name, [words(yLabel)])];
}
