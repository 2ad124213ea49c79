/** The line of a running training, as much of it as fits into the terminal: what matters less goes first. */
import type { StepLine } from "../../train/index.js";
import { formatCount, formatDuration } from "../figures.js";

const BAR_WIDTH = 20;

export interface StepFigures {
  readonly line: StepLine;
  readonly totalSteps: number;
  readonly totalTokens: number;
  /** Tokens per second, smoothed. */
  readonly speed: number;
}

/** @param columns of the terminal; absent, a line for a log: all but the bar, which is for the eye */
export function stepText({ line, totalSteps, totalTokens, speed }: StepFigures, columns?: number): string {
  const { step, stage, loss, rate, tokens } = line;
  const left = speed > 0 ? formatDuration(((totalTokens - tokens) / speed) * 1000) : "-";
  // In the order in which they stand; the highest rank is left out first.
  const parts: readonly (readonly [number, string])[] = [
    [2, `${stage}:`],
    [4, bar(step / totalSteps)],
    [0, `step ${formatCount(step)} of ${formatCount(totalSteps)},`],
    [0, `loss ${loss.toFixed(4)},`],
    [3, `rate ${rate.toPrecision(3)},`],
    [1, `${formatCount(speed)} tok/s,`],
    [0, `${left} left`],
  ];
  if (columns === undefined) return joined(parts, 3);
  for (let most = 4; most > 0; most--) {
    const text = joined(parts, most);
    if (text.length < columns) return text;
  }
  return joined(parts, 0);
}

function joined(parts: readonly (readonly [number, string])[], most: number): string {
  return parts.flatMap(([rank, text]) => (rank <= most ? [text] : [])).join(" ");
}

function bar(share: number): string {
  const full = Math.round(Math.min(1, share) * BAR_WIDTH);
  return `[${"#".repeat(full)}${"-".repeat(BAR_WIDTH - full)}]`;
}
