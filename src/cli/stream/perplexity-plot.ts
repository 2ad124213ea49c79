/** Perplexity along a text, a line for each policy, as an SVG. */
import type { ModelInfo } from "../../engine/api.js";
import { counted } from "../figures.js";
import { lineChart } from "../plot/line-chart.js";
import type { LineSeries } from "../plot/line-chart-types.js";
import type { CurvePoint, PolicyResult } from "./measurement.js";

export interface PerplexityPlot {
  readonly model: Pick<ModelInfo, "name" | "architecture" | "trainedContext">;
  readonly lines: readonly LineSeries[];
  /** Tokens that a point speaks for. */
  readonly window: number;
}

/** The line of a policy that read the text from its beginning. */
export function resultLine({ context, curve }: PolicyResult, window: number): LineSeries {
  return { name: context, points: trailingPerplexity(curve, window) };
}

export function perplexityPlot({ model, lines, window }: PerplexityPlot): string {
  const name = model.name ?? model.architecture;
  return lineChart({
    title: "Perplexity along the text",
    subtitle: `${name}, trained for ${counted(model.trainedContext, "token")}; each point is of the ${counted(window, "token")} before it; lower is better`,
    xLabel: "tokens of the text",
    yLabel: "perplexity",
    series: lines,
    logY: true,
  });
}

/**
 * Smooths a curve: at the end of each stretch the perplexity of the stretches that reach back `window` tokens, of fewer
 * at the beginning, none of less than half.
 */
export function trailingPerplexity(
  curve: readonly Pick<CurvePoint, "tokens" | "perplexity">[],
  window: number,
): [number, number][] {
  const starts = [0, ...curve.map((point) => point.tokens)];
  const least = Math.min(window, starts[curve.length]) / 2;
  return curve.flatMap(({ tokens }, last): [number, number][] => {
    let [sum, first] = [0, last];
    for (; first >= 0; first--) {
      sum += (starts[first + 1] - starts[first]) * Math.log(curve[first].perplexity);
      if (tokens - starts[first] >= window) break;
    }
    const count = tokens - starts[Math.max(0, first)];
    return count >= least ? [[tokens, Math.exp(sum / count)]] : [];
  });
}
