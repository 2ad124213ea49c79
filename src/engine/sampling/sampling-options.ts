/**
 * The sampling part of GenerateOptions with its defaults and ranges, checked once before anything is computed.
 */
import { ArgumentError } from "../../util/errors.js";
import { formatCount } from "../../util/figures.js";
import type { GenerateOptions } from "../api.js";
import { shown } from "../calls/kinds.js";

/** What a Sampler reads of GenerateOptions. */
export type SamplingOptions = Pick<
  GenerateOptions,
  | "temperature"
  | "topK"
  | "topP"
  | "minP"
  | "repetitionPenalty"
  | "presencePenalty"
  | "frequencyPenalty"
  | "penaltyWindow"
  | "logitBias"
  | "seed"
>;

/** Sampling options with nothing left open, except the seed. */
export interface SamplingSettings {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly penaltyWindow: number;
  readonly bias: readonly { readonly id: number; readonly value: number }[];
  readonly seed: number | undefined;
}

interface Range {
  readonly default: number;
  readonly least: number;
  readonly most: number;
  readonly integer?: true;
  /** `least` itself is not allowed. */
  readonly above?: true;
}

/** Defaults and ranges, by option. */
export const SAMPLING_RANGES = {
  temperature: { default: 0.8, least: 0, most: 100 },
  topK: { default: 40, least: 0, most: 2 ** 31 - 1, integer: true },
  topP: { default: 0.95, least: 0, most: 1, above: true },
  minP: { default: 0.05, least: 0, most: 1 },
  repetitionPenalty: { default: 1, least: 0, most: 100, above: true },
  presencePenalty: { default: 0, least: -100, most: 100 },
  frequencyPenalty: { default: 0, least: -100, most: 100 },
  penaltyWindow: { default: 64, least: 0, most: 65536, integer: true },
} as const satisfies Record<string, Range>;

/**
 * Fills in defaults and checks ranges.
 * @param vocabulary V: ids of `logitBias` must be below it.
 * @throws ArgumentError naming the option, its range and what was found
 */
export function samplingSettings(options: SamplingOptions, vocabulary: number): SamplingSettings {
  const { seed } = options;
  if (seed !== undefined && (!Number.isSafeInteger(seed) || seed < 0)) {
    throw new ArgumentError(`seed must be an integer from 0 to 2^53 - 1; found ${shown(seed)}.`, { option: "seed" });
  }
  return {
    temperature: inRange("temperature", options.temperature),
    topK: inRange("topK", options.topK),
    topP: inRange("topP", options.topP),
    minP: inRange("minP", options.minP),
    repetitionPenalty: inRange("repetitionPenalty", options.repetitionPenalty),
    presencePenalty: inRange("presencePenalty", options.presencePenalty),
    frequencyPenalty: inRange("frequencyPenalty", options.frequencyPenalty),
    penaltyWindow: inRange("penaltyWindow", options.penaltyWindow),
    bias: biasEntries(options.logitBias ?? {}, vocabulary),
    seed,
  };
}

function inRange(option: keyof typeof SAMPLING_RANGES, value: number | undefined): number {
  const range: Range = SAMPLING_RANGES[option];
  if (value === undefined) return range.default;
  const fits =
    typeof value === "number" &&
    value <= range.most &&
    (range.above ? value > range.least : value >= range.least) &&
    (!range.integer || Number.isInteger(value));
  if (fits) return value;
  const kind = range.integer ? "an integer" : "a number";
  const bounds = `${range.above ? "above" : "from"} ${formatCount(range.least)} to ${formatCount(range.most)}`;
  throw new ArgumentError(`${option} must be ${kind} ${bounds}; found ${shown(value)}.`, { option });
}

function biasEntries(bias: Readonly<Record<number, number>>, vocabulary: number): { id: number; value: number }[] {
  return Object.entries(bias).map(([key, value]) => {
    const id = Number(key);
    if (!/^\d+$/.test(key) || id >= vocabulary) {
      throw new ArgumentError(`logitBias: ids must be integers from 0 to ${vocabulary - 1}; found '${key}'.`, {
        option: "logitBias",
      });
    }
    // -Infinity bans a token; the sum of +Infinity and a logit would be no number to compare with.
    if (typeof value !== "number" || Number.isNaN(value) || value === Number.POSITIVE_INFINITY) {
      throw new ArgumentError(`logitBias of id ${id} must be a finite number or -Infinity; found ${shown(value)}.`, {
        option: "logitBias",
        id,
      });
    }
    return { id, value };
  });
}
