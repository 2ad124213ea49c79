/** Which part of the numbers an axis shows, and how its marks are written. */
import { formatCount, formatSignificant } from "../figures.js";

export type Point = readonly [number, number];

export interface Extent {
  readonly least: number;
  readonly most: number;
}

/** Points that both axes have a place for: finite, and positive on a logarithmic axis. */
export function placeable(
  points: readonly Point[],
  { logX = false, logY = false }: { readonly logX?: boolean; readonly logY?: boolean },
): [number, number][] {
  const fits = (value: number, log: boolean) => Number.isFinite(value) && (!log || value > 0);
  return points.filter(([x, y]) => fits(x, logX) && fits(y, logY)).map(([x, y]) => [x, y]);
}

/** Of all x (0) or y (1); 0 to 1 where there are no points. */
export function extentOf(series: readonly { readonly points: readonly Point[] }[], index: 0 | 1): Extent {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { points } of series) {
    for (const point of points) {
      least = Math.min(least, point[index]);
      most = Math.max(most, point[index]);
    }
  }
  return least <= most ? { least, most } : { least: 0, most: 1 };
}

/** Below this ratio a logarithmic axis would have one mark or none. */
const LEAST_LOG_RATIO = 4;
/** Up to this ratio marks are powers of 2, beyond it powers of 10. */
const MOST_BINARY_RATIO = 1000;

/**
 * Scale and bounds as echarts takes them.
 * @param whole the axis ends where the points do; otherwise it ends at marks
 */
export function axisScale(extent: Extent, { log, whole }: { readonly log: boolean; readonly whole: boolean }) {
  const { least, most } = extent;
  if (log && most / least >= LEAST_LOG_RATIO) {
    const logBase = most / least <= MOST_BINARY_RATIO ? 2 : 10;
    const exponent = (value: number) => Math.log(value) / Math.log(logBase);
    // Powers come out a rounding error beside whole numbers.
    const min = logBase ** Math.floor(exponent(least) + 1e-9);
    const max = logBase ** Math.ceil(exponent(most) - 1e-9);
    return {
      type: "log" as const,
      logBase,
      minorSplitLine: { show: false },
      ...(whole ? { min: least, max: most } : { min, max }),
    };
  }
  if (!whole || least === most) return { type: "value" as const, scale: true };
  return { type: "value" as const, min: least >= 0 && least < most / 2 ? 0 : least, max: most };
}

/** "0.05", "1.5", "20,000". */
export function formatMark(value: number): string {
  if (value < 0) return `-${formatMark(-value)}`;
  if (value >= 10 || Number.isInteger(value)) return formatCount(value);
  // Three digits are enough to tell marks apart; zeros behind them say nothing.
  return formatSignificant(value).replace(/0+$/, "").replace(/\.$/, "");
}
