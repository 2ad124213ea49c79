/**
 * What the demonstration measures: four policies, one after the other, so that none takes another's time, each with a
 * part of the text and a share of the time.
 */
import type { ModelInfo } from "../../engine/api.js";
import type { EncodedText } from "../stream/encoded-text.js";

/** First tokens that StreamingLLM keeps (2309.17453, table 2: four are enough). */
const SINKS = 4;
const MOST_WINDOW = 512;
/** `full` reads this many times the trained length: beyond it, it breaks down, which is to be seen. */
const FULL_LENGTHS = 4;

export interface PlannedPolicy {
  readonly name: string;
  /** Tokens of the text that it reads from the beginning; of a sampled one, the reach of the samples. */
  readonly tokens: number;
  /** Reads samples of the text: a token costs a whole window. */
  readonly sampled: boolean;
  /** Share of the whole time by whose end it stops. */
  readonly until: number;
}

export interface DemoPlan {
  /** Tokens that every policy but `full` sees. */
  readonly window: number;
  readonly policies: readonly PlannedPolicy[];
  /** The policy under which the model writes on. */
  readonly writer: string;
}

/** Half of what the model was trained for, so that all policies but `full` stay well within it. */
export function defaultWindow({ trainedContext }: ModelInfo): number {
  return Math.max(2 * SINKS, Math.min(MOST_WINDOW, Math.floor(trainedContext / 2)));
}

export interface DemoChoices {
  /** More than the sinks. */
  readonly window: number;
  /** Names of gates, each of which is shown under `duo` beside `full`. */
  readonly gates?: readonly string[];
}

export function demoPlan(info: ModelInfo, text: EncodedText, { window, gates = [] }: DemoChoices): DemoPlan {
  const { trainedContext, positions } = info;
  const room = (positions ?? Number.POSITIVE_INFINITY) - text.opening;
  const { tokens } = text;
  const most = Math.min(tokens, room, FULL_LENGTHS * trainedContext);
  const whole = ["full", ...gates.map((name) => `duo:${name},sinks:${SINKS},recent:${window - SINKS}`)];
  const writer = `sinks:${SINKS},recent:${window - SINKS}`;
  return {
    window,
    writer,
    policies: [
      ...whole.map((name, i) => ({ name, tokens: most, sampled: false, until: (0.2 * (i + 1)) / whole.length })),
      { name: `recent:${window}`, tokens, sampled: false, until: 0.45 },
      { name: writer, tokens, sampled: false, until: 0.7 },
      { name: `recompute:${window}`, tokens, sampled: true, until: 0.9 },
    ],
  };
}

/** Fewest tokens of a window: the sinks and as many others. */
export const LEAST_WINDOW = 2 * SINKS;
