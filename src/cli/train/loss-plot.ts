/** The losses of a run along its tokens, as SVG: of training (smoothed), of each task, and of the held-out text. */
import type { LogLine, TrainingConfig } from "../../train/index.js";
import { lineChart } from "../plot/line-chart.js";
import type { LineSeries } from "../plot/line-chart-types.js";

/** Steps over which a training loss is averaged: this part of the run. */
const SMOOTHING = 1 / 100;

export function lossPlot(config: TrainingConfig, log: readonly LogLine[]): string {
  const steps = log.filter((line) => line.kind === "step");
  const tokensAt = new Map(steps.map(({ step, tokens }) => [step, tokens]));
  const names = [...new Set(steps.flatMap(({ lossBySource }) => Object.keys(lossBySource)))];
  const span = Math.max(1, Math.round(steps.length * SMOOTHING));
  const learned: LineSeries[] = names.map((name) => {
    const points = steps.flatMap(({ tokens, lossBySource }) =>
      lossBySource[name] === undefined ? [] : [[tokens, lossBySource[name]] as const],
    );
    return { name, points: smoothed(points, span) };
  });
  const measured = log.flatMap((line) => {
    const tokens = tokensAt.get(line.step);
    const result = line.kind === "evaluation" ? line.results["held-out"] : undefined;
    return result && tokens !== undefined ? [[tokens, result.loss] as const] : [];
  });
  const heldOut: LineSeries[] = measured.length > 1 ? [{ name: "held-out text", points: measured, dashed: true }] : [];
  return lineChart({
    title: `${config.name}: loss`,
    subtitle: config.stages.map(({ name, contextLength }) => `${name}: ${contextLength} tokens`).join(", "),
    xLabel: "tokens read",
    yLabel: "nats per token",
    series: [...learned, ...heldOut],
  });
}

function smoothed(points: readonly (readonly [number, number])[], span: number): (readonly [number, number])[] {
  const means: (readonly [number, number])[] = [];
  for (let end = span; end <= points.length; end += span) {
    const part = points.slice(end - span, end);
    means.push([part[part.length - 1][0], part.reduce((sum, [, loss]) => sum + loss, 0) / span]);
  }
  return means;
}
