/** The options of generation, as `run` and `chat` share them: one row per number, with the engine's own ranges. */
import { type Command, Option } from "commander";
import type { GenerateOptions } from "../engine/api.js";
import { SAMPLING_RANGES } from "../engine/sampling/sampling-options.js";
import { describeRange, gather, integerIn, logitBias, numberIn } from "./option-values.js";

export interface GenerateFlags {
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly penaltyWindow?: number;
  readonly logitBias?: Readonly<Record<number, number>>;
  readonly seed?: number;
  readonly stop?: readonly string[];
  readonly ignoreEnd?: boolean;
}

type SamplingNumber = keyof typeof SAMPLING_RANGES;

const SAMPLING: readonly (readonly [SamplingNumber, flag: string, help: string])[] = [
  ["temperature", "--temperature <x>", "randomness; 0 takes the most likely token each time"],
  ["topK", "--top-k <n>", "keep the n most likely tokens; 0 = all"],
  ["topP", "--top-p <x>", "keep the fewest tokens that reach this probability; 1 = all"],
  ["minP", "--min-p <x>", "drop tokens below this share of the most likely; 0 = none"],
  ["repetitionPenalty", "--repetition-penalty <x>", "weaken tokens seen lately by this factor; 1 = off"],
  ["presencePenalty", "--presence-penalty <x>", "subtracted from the logit of tokens seen lately"],
  ["frequencyPenalty", "--frequency-penalty <x>", "subtracted for each time that a token was seen lately"],
  ["penaltyWindow", "--penalty-window <n>", "tokens that the penalties look back at"],
];

export const MAX_SEED = Number.MAX_SAFE_INTEGER;

/** What differs between the commands, for their help. */
export interface GenerateHelp {
  readonly maxTokensDefault: string;
  readonly seedHelp?: string;
  /** Default 1; 0: a text may also be read alone. */
  readonly leastTokens?: number;
}

/** --max-tokens, the sampling options, --seed, --stop, --ignore-end. */
export function addGenerateOptions(command: Command, help: GenerateHelp): Command {
  const { maxTokensDefault, seedHelp = "same seed, same text", leastTokens = 1 } = help;
  command.option("--max-tokens <n>", `most tokens to write (default: ${maxTokensDefault})`, integerIn(leastTokens));
  for (const [name, flag, meaning] of SAMPLING) {
    const range = SAMPLING_RANGES[name];
    const parse = numberIn(range);
    command.addOption(
      new Option(flag, `${meaning}; ${describeRange(range)} (default: ${range.default})`).argParser(parse),
    );
  }
  return command
    .option("--logit-bias <id=x>", "add x to the logit of a token, -inf bans it; may be repeated", logitBias)
    .option(
      "--seed <n>",
      `${seedHelp} (default: drawn at random)`,
      numberIn({ least: 0, most: MAX_SEED, integer: true }),
    )
    .option("--stop <text>", "end before this text; may be repeated", gather)
    .option("--ignore-end", "go on at end tokens");
}

export function generateOptions(flags: GenerateFlags): GenerateOptions {
  const { maxTokens, temperature, topK, topP, minP, seed, stop, ignoreEnd } = flags;
  const { repetitionPenalty, presencePenalty, frequencyPenalty, penaltyWindow } = flags;
  return {
    ...(maxTokens !== undefined && { maxTokens }),
    ...(temperature !== undefined && { temperature }),
    ...(topK !== undefined && { topK }),
    ...(topP !== undefined && { topP }),
    ...(minP !== undefined && { minP }),
    ...(repetitionPenalty !== undefined && { repetitionPenalty }),
    ...(presencePenalty !== undefined && { presencePenalty }),
    ...(frequencyPenalty !== undefined && { frequencyPenalty }),
    ...(penaltyWindow !== undefined && { penaltyWindow }),
    ...(flags.logitBias !== undefined && { logitBias: flags.logitBias }),
    ...(seed !== undefined && { seed }),
    ...(stop !== undefined && { stop }),
    ...(ignoreEnd !== undefined && { ignoreEnd }),
  };
}
