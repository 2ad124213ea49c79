/**
 * The last value of each line, in the line's colour: right of the area, where no line is, also for lines that end before its
 * edge. Labels that would cover each other are moved apart.
 */
import type { Area, Axes } from "./chart-axes.js";
import type { DrawnLine } from "./line-chart-types.js";
import { element, type Svg, words } from "./svg.js";

const SIZE = 11.5;
const LEAST_DISTANCE = 13;
const LEFT_GAP = 6;

export function endLabels(lines: readonly DrawnLine[], { x, y, figure }: Axes, { top, bottom, right }: Area): Svg[] {
  const ends = lines.flatMap(({ points, colour }) => {
    const last = points.at(-1);
    return last ? [{ text: figure(last[1]), colour, x: Math.max(x(last[0]), right) + LEFT_GAP, y: y(last[1]) }] : [];
  });
  const heights = spread(
    ends.map((end) => end.y),
    { top, bottom },
  );
  return ends.map((end, at) =>
    element("text", { x: end.x, y: heights[at] + 4, "font-size": SIZE, fill: end.colour }, [words(end.text)]),
  );
}

/** The same places, moved as little as it takes that none is nearer than the least distance to another. */
export function spread(places: readonly number[], { top, bottom }: Pick<Area, "top" | "bottom">): number[] {
  const order = places.map((_, at) => at).sort((a, b) => places[a] - places[b]);
  const spread = [...places];
  // Down the page first, then back up from the lower edge.
  order.forEach((at, rank) => {
    if (rank > 0) spread[at] = Math.max(spread[at], spread[order[rank - 1]] + LEAST_DISTANCE);
    else spread[at] = Math.max(spread[at], top);
  });
  for (let rank = order.length - 1; rank >= 0; rank--) {
    const limit = rank === order.length - 1 ? bottom : spread[order[rank + 1]] - LEAST_DISTANCE;
    spread[order[rank]] = Math.min(spread[order[rank]], limit);
  }
  return spread;
}
