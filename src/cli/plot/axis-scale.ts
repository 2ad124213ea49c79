/** Which part of the numbers an axis shows, where its marks are, and how they are written. */
import { nice, ticks } from "d3-array";
import { scaleLinear, scaleLog } from "d3-scale";
import { formatCount, formatSignificant } from "../figures.js";

export type Point = readonly [number, number];

export interface Extent {
  readonly least: number;
  readonly most: number;
}

export interface AxisScale {
  /** From a number to pixels. */
  readonly place: (value: number) => number;
  readonly marks: readonly { readonly value: number; readonly text: string }[];
  /** A number between the marks, as exactly as it can be told on this axis. */
  readonly figure: (value: number) => string;
}

/** Beyond this, differences of numbers are not finite. */
const LARGEST = 1e300;

/** Points that both axes have a place for: finite, and positive on a logarithmic axis. */
export function placeable(
  points: readonly Point[],
  { logX = false, logY = false }: { readonly logX?: boolean; readonly logY?: boolean },
): [number, number][] {
  const fits = (value: number, log: boolean) => Math.abs(value) <= LARGEST && (!log || value > 0);
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

export interface AxisOptions {
  readonly log: boolean;
  /** The axis ends where the points do; otherwise it ends at marks. */
  readonly whole: boolean;
  /** About so many marks. */
  readonly count: number;
  /** Pixels of the axis's beginning and end. */
  readonly range: readonly [number, number];
}

export function axisScale(extent: Extent, { log, whole, count, range }: AxisOptions): AxisScale {
  const { least, most } = extent;
  if (log && most / least >= LEAST_LOG_RATIO) return logScale(extent, { whole, count, range });
  const [first, last] = whole ? linearEnds(extent) : nice(...widened(least, most), count);
  const scale = scaleLinear([first, last], range);
  const marks = ticks(first, last, count).map((value) => mark(value, scale.tickFormat(count, ",f")));
  return { place: scale, marks, figure: figureWithin(last - first) };
}

/** A hundredth of the axis is seen, less is not. */
function figureWithin(length: number): (value: number) => string {
  const digits = Math.min(12, Math.max(0, 2 - Math.floor(Math.log10(length))));
  const format = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return (value) => mark(value, () => value.toLocaleString("en-US", format)).text;
}

/** From 0 where the points come near it. */
function linearEnds({ least, most }: Extent): [number, number] {
  return widened(least >= 0 && least < most / 2 ? 0 : least, most);
}

/** A single number stands in the middle. */
function widened(least: number, most: number): [number, number] {
  if (least < most) return [least, most];
  const room = Math.abs(least) / 10 || 1;
  return [least - room, most + room];
}

function logScale({ least, most }: Extent, { whole, count, range }: Omit<AxisOptions, "log">): AxisScale {
  const base = most / least <= MOST_BINARY_RATIO ? 2 : 10;
  const exponent = (value: number) => Math.log(value) / Math.log(base);
  // Powers come out a rounding error beside whole numbers.
  const [low, high] = [Math.floor(exponent(least) + 1e-9), Math.ceil(exponent(most) - 1e-9)];
  const scale = scaleLog(whole ? [least, most] : [base ** low, base ** high], range).base(base);
  const step = Math.max(1, Math.ceil((high - low) / (2 * count)));
  const powers = Array.from({ length: Math.floor((high - low) / step) + 1 }, (_, at) => base ** (low + at * step));
  const [first, last] = scale.domain();
  const shown = powers.filter((value) => value >= first * (1 - 1e-9) && value <= last * (1 + 1e-9));
  return { place: scale, marks: shown.map((value) => mark(value, formatMark)), figure: formatSignificant };
}

/** Texts of more digits than these would run into each other. */
const LONGEST_MARK = 13;

function mark(value: number, format: (value: number) => string) {
  const text = format(value);
  return { value, text: text.length <= LONGEST_MARK ? text : value.toExponential().replace("e+", "e") };
}

/** "0.05", "1.5", "20,000". */
export function formatMark(value: number): string {
  if (value < 0) return `-${formatMark(-value)}`;
  if (value >= 10 || Number.isInteger(value)) return formatCount(value);
  // Three digits are enough to tell marks apart; zeros behind them say nothing.
  return formatSignificant(value).replace(/0+$/, "").replace(/\.$/, "");
}
