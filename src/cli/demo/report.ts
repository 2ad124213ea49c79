/** What the demonstration has found: sentences under the table, lines of the plot, JSON (docs/stream-json.md). */

import type { ModelInfo, Usage } from "../../engine/api.js";
import { counted, formatCount, formatPerplexity, formatSignificant } from "../figures.js";
import { keepsAll } from "../gates-option.js";
import type { LineSeries } from "../plot/line-chart-types.js";
import type { Measurement } from "../stream/measurement.js";
import { trailingPerplexity } from "../stream/perplexity-plot.js";
import type { DemoPlan } from "./plan.js";
import type { PolicyRun } from "./policy-run.js";

/** What the model wrote after the stream. */
export interface Written {
  readonly context: string;
  readonly text: string;
  readonly usage: Usage;
}

/**
 * Only what was measured is told.
 * @param window tokens that the policies other than `full` keep
 */
export function findings(runs: readonly PolicyRun[], info: ModelInfo, window: number): string[] {
  const full = runs.find(({ name }) => name === "full");
  const lines = [...beyondTraining(full, info), ...commonStretch(runs, window), ...sameTokens(runs), ...costs(runs)];
  return [...lines, ...runs.flatMap(stopped)];
}

function beyondTraining(full: PolicyRun | undefined, { trainedContext }: ModelInfo): string[] {
  const { measurement } = full ?? {};
  if (!measurement || measurement.tokens <= trainedContext) return [];
  const within = measurement.perplexityOver([{ start: 0, end: trainedContext }]);
  const beyond = measurement.perplexityOver([{ start: trainedContext, end: measurement.tokens }]);
  const tokens = formatCount(measurement.tokens - trainedContext);
  return [
    `full: perplexity ${formatPerplexity(within)} up to its trained length, ${formatPerplexity(beyond)} in ${tokens} tokens beyond.`,
  ];
}

/** The policies that read on and on, over all that each of them read beyond the window: thousands of tokens. */
function commonStretch(runs: readonly PolicyRun[], window: number): string[] {
  const streamed = runs.filter(({ name, plan, measurement }) => !keepsAll(name) && !plan.sampled && measurement);
  const end = Math.min(...streamed.map(({ measurement }) => measurement?.tokens ?? 0));
  if (streamed.length < 2 || end <= window) return [];
  const stretch = [{ start: window, end }];
  const figures = streamed.map(
    ({ name, measurement }) => `${name} ${formatPerplexity(measurement?.perplexityOver(stretch) ?? Number.NaN)}`,
  );
  return [
    "The column of perplexities is of what each policy read, which differs. Over the same text, from token " +
      `${formatCount(window + 1)} to ${formatCount(end)}:`,
    `  ${figures.join("   ")}`,
  ];
}

/** Perplexities of different texts say little; here are those of the very tokens that the sampled policy read. */
function sameTokens(runs: readonly PolicyRun[]): string[] {
  const sampled = runs.find(({ plan }) => plan.sampled);
  if (!sampled?.measurement || sampled.measurement.tokens === 0) return [];
  const end = sampled.textEnd(sampled.measurement.tokens);
  const figures = runs
    .filter(({ measurement, plan }) => plan.sampled || (measurement?.tokens ?? 0) >= end)
    .map((run) => {
      const value = run === sampled ? run.measurement?.perplexity : run.measurement?.perplexityOver(sampled.read);
      return `${run.name} ${formatPerplexity(value ?? Number.NaN)}`;
    });
  const tokens = formatCount(sampled.measurement.tokens);
  const places = sampled.samples.length;
  return [
    `Perplexity of the same ${tokens} tokens, from ${formatCount(places)} ${places === 1 ? "place" : "places"} of the text:`,
    `  ${figures.join("   ")}`,
    ...noise(runs, sampled),
  ];
}

/** How far apart two policies must be to differ at all, from the differences of their scores token by token. */
function noise(runs: readonly PolicyRun[], sampled: PolicyRun): string[] {
  const { read, measurement } = sampled;
  const own = measurement?.logprobsOver([{ start: 0, end: measurement.tokens }]) ?? [];
  const errors = runs.flatMap((run) => {
    const others = run === sampled ? [] : (run.measurement?.logprobsOver(read) ?? []);
    if (others.length !== own.length || own.length < 2) return [];
    return [standardError(others.map((logprob, at) => logprob - own[at]))];
  });
  const error = Math.max(0, ...errors);
  if (error === 0) return [];
  const percent = formatSignificant(100 * Math.expm1(2 * error));
  return [`  (for comparison with ${sampled.name}; differences below about ${percent}% are noise at so few tokens)`];
}

/** Of the mean. */
function standardError(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}

function costs(runs: readonly PolicyRun[]): string[] {
  const slow = runs.find(({ plan }) => plan.sampled);
  const fast = runs.find(({ name }) => name.startsWith("sinks"));
  const ratio = (slow?.result?.msPerTokenEnd ?? Number.NaN) / (fast?.result?.msPerTokenEnd ?? Number.NaN);
  if (!slow || !fast || !Number.isFinite(ratio)) return [];
  return [`A token under ${slow.name} costs ${formatSignificant(ratio)} times one under ${fast.name}.`];
}

function stopped(run: PolicyRun): string[] {
  const tokens = `${counted(run.measurement?.tokens ?? 0, "token")}`;
  if (run.ending === "error") return [`${run.name}: ${run.error}`];
  if (run.ending === "interrupted") return [`${run.name}: interrupted after ${tokens}`];
  if (run.ending === "time") return [`${run.name}: stopped after ${tokens}, when its share of --seconds was over`];
  return [];
}

/** Samples behind a point of the line of a sampled policy. */
const SMOOTHED_SAMPLES = 16;

/** Between fewer samples a line would show what nobody measured. */
const FEWEST_FOR_A_LINE = 24;

/** @param window tokens that a point speaks for */
export function plotLines(runs: readonly PolicyRun[], { writer }: DemoPlan, window: number): LineSeries[] {
  const reference = runs.find(({ name }) => name === writer)?.measurement;
  return runs.flatMap((run) => {
    const { result, measurement, plan } = run;
    if (!result || !measurement) return [];
    if (!plan.sampled) return [{ name: run.name, points: trailingPerplexity(result.curve, window) }];
    const name = `${run.name} (${counted(result.tokens, "token")} sampled)`;
    const few = run.samples.length < FEWEST_FOR_A_LINE;
    return reference
      ? [
          {
            name,
            points: sampledPoints(run, measurement, reference, window),
            ...(few ? { pointsOnly: true } : { dashed: true }),
          },
        ]
      : [];
  });
}

/**
 * Samples alone would show which places they are from. How their perplexity compares with that of the same tokens under a
 * policy that read everything depends on the place much less: the line is that policy's, times the ratio of the last samples.
 */
function sampledPoints(run: PolicyRun, own: Measurement, reference: Measurement, window: number): [number, number][] {
  const { read } = run;
  let measured = 0;
  const within = read.map(({ start, end }) => {
    measured += end - start;
    return { start: measured - (end - start), end: measured };
  });
  return read.map(({ end }, at) => {
    const first = Math.max(0, at + 1 - SMOOTHED_SAMPLES);
    const ratio = own.perplexityOver(within.slice(first, at + 1)) / reference.perplexityOver(read.slice(first, at + 1));
    return [end, ratio * reference.perplexityOver([{ start: Math.max(0, end - window), end }])];
  });
}

export interface DemoReport {
  readonly model: ModelInfo;
  readonly sluiceVersion: string;
  readonly text: { readonly file: string; readonly tokens: number };
  readonly window: number;
  readonly runs: readonly PolicyRun[];
  readonly plot: string;
  readonly interrupted: boolean;
  readonly written: Written | null;
}

/** Figures that are not finite become null. */
export function reportJson({ runs, ...report }: DemoReport): string {
  const policies = runs.flatMap((run) => {
    const { result, measurement } = run;
    if (!result || !measurement) return [];
    const { curve, ...figures } = result;
    return [
      {
        ...figures,
        ending: run.ending,
        perplexityLastWindow: run.plan.sampled ? null : measurement.perplexityOfLast(report.window),
        residentBytes: run.residentBytes,
        samples: run.plan.sampled ? run.samples : null,
        curve: curve.map((point) => ({ ...point, tokens: run.textEnd(point.tokens) })),
      },
    ];
  });
  return `${JSON.stringify({ format: "sluice-demo", version: 1, ...report, policies }, null, 2)}\n`;
}
