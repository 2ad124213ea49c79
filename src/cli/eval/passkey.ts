/** `sluice eval passkey`: finds a model a number that was hidden in a long text? By policy, length and depth. */

import { type Command, Option } from "commander";
import { parsePolicy } from "../../context/policy-text.js";
import type { Model, Session } from "../../engine/api.js";
import { inMixedOrder, type PasskeyPromptOptions, passkeyPrompt, passkeyTrials } from "../../eval/tasks/passkey.js";
import { answerPasskeys, type PasskeyQuestion } from "../../eval/tasks/passkey-run.js";
import type { Tokenizer } from "../../tokenizer/tokenizer.js";
import { EXIT, UsageError } from "../exit.js";
import { counted } from "../figures.js";
import { checkGates, gatesPaths, keepsAll } from "../gates-option.js";
import { isCancellation, untilInterrupted } from "../interrupt.js";
import type { Io } from "../io.js";
import { loadModel } from "../load-progress.js";
import {
  addLoadOptions,
  contextHelp,
  exampleHelp,
  type LoadFlags,
  loadOptions,
  MODEL_ARGUMENT,
} from "../model-options.js";
import { cacheType, gather, gatherIntegers, integerIn, pathText, policyText } from "../option-values.js";
import { checkResults, outputPath, saveText } from "../save-result.js";
import { startTokens } from "../stream/encoded-text.js";
import { styles } from "../style.js";
import { readTextFile } from "../text-input.js";
import { PasskeyProgress } from "./passkey-progress.js";
import { PasskeyResult, passkeyJson, passkeyTable } from "./passkey-report.js";

const BUNDLED_FILLER = "the-time-machine-opening.txt";
/** Where the package has no text: the filler of 2305.16300. */
const NEUTRAL_FILLER = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. ";

export interface PasskeyArguments extends LoadFlags {
  readonly model: string;
  readonly length: readonly number[];
  readonly context: readonly string[];
  readonly trials: number;
  readonly seed: number;
  readonly filler?: string;
  readonly kv?: string;
  readonly json?: string;
  readonly quiet?: boolean;
}

export function passkeyCommand(command: Command): Command {
  command
    .description(
      "Hide a number in a long text and ask for it: the share of right answers by policy, length and depth. " +
        "Depths are spread evenly and asked in a mixed order, so that an interrupted run is spread too; answers are greedy.",
    )
    .argument("<model>", MODEL_ARGUMENT)
    .addOption(
      new Option("--length <n>", "tokens of the prompt, start token and question included; may be repeated")
        .argParser(gatherIntegers(1))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--context <policy>", "a policy to measure; may be repeated")
        .argParser((text: string, before: readonly string[] = []) => gather(policyText(text), before))
        .makeOptionMandatory(),
    )
    .option("--trials <n>", "prompts of each length", integerIn(1, 100_000), 100)
    .option("--seed <n>", "of passkeys and places in the filler", integerIn(0), 1)
    .option(
      "--filler <file>",
      "the text around the passkey; - is stdin (default: the opening of The Time Machine)",
      pathText,
    )
    .option("--kv <type>", "cache type: f32, f16, q8, q4, or keys/values apart: q8/q4 (default: f16)", cacheType)
    .option("--json <file>", "write everything, each answer included, to a file; - is standard output", outputPath)
    .option("-q, --quiet", "no progress");
  return addLoadOptions(command).addHelpText(
    "after",
    contextHelp() +
      exampleHelp([
        "sluice eval passkey model.gguf --length 1500 --context full --context sinks:4,recent:508",
        "sluice eval passkey model.gguf --length 500 --length 1000 --context full --trials 20 --filler book.txt",
      ]),
  );
}

/** @returns the exit code. @throws UsageError and the engine's typed errors */
export async function passkey(args: PasskeyArguments, io: Io): Promise<number> {
  checkGates(args, args.context);
  await checkResults(io, [args.json], [args.model, args.filler, ...gatesPaths(args)]);
  const filler = await readFiller(args, io);
  return untilInterrupted(io, async (signal) => {
    const tokenizer = await openTokenizer(args.model, io, signal);
    const options = { ...loadOptions(args), signal };
    const model = await loadModel(io, { reference: args.model, options, quiet: args.quiet === true });
    try {
      if (model.info.encoderDecoder) {
        throw new UsageError(
          `${model.info.architecture} reads a source with an encoder; passkeys need a decoder alone.`,
        );
      }
      return await measureAll(model, { tokenizer, filler, args, io, signal });
    } finally {
      await model.dispose();
    }
  });
}

interface PasskeyWork {
  readonly tokenizer: Tokenizer;
  readonly filler: string;
  readonly args: PasskeyArguments;
  readonly io: Io;
  readonly signal: AbortSignal;
}

async function readFiller({ filler }: PasskeyArguments, io: Io): Promise<string> {
  const bundled = io.runtime.assets + BUNDLED_FILLER;
  if (filler === undefined && !(await io.files.exists(bundled))) return NEUTRAL_FILLER;
  const text = await readTextFile(filler ?? bundled, io);
  if (text.trim() === "") throw new UsageError(`The filler ${filler ?? bundled} is empty.`);
  return text;
}

/** The prompts are put together of ids, for which the vocabulary is needed beside the model. */
async function openTokenizer(reference: string, io: Io, signal: AbortSignal): Promise<Tokenizer> {
  const checkpoint = await io.runtime.openCheckpoint(reference, { signal });
  try {
    return await io.runtime.openTokenizer(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

async function measureAll(model: Model, work: PasskeyWork): Promise<number> {
  const { args, io, signal } = work;
  const results = args.context.flatMap((context) =>
    args.length.map((length) => new PasskeyResult(parsePolicy(context).text, length, args.trials)),
  );
  const questions = await makeQuestions(model, work);
  const progress = new PasskeyProgress(io, results, args.quiet === true);
  try {
    for (const result of results) {
      if (signal.aborted) break;
      await measure(model, result, questions.get(result.length) ?? [], work, progress);
    }
  } finally {
    await progress.clear();
  }
  await writeResults(model, results, work);
  return results.some(({ error }) => error !== null) ? EXIT.failure : EXIT.ok;
}

/** By length. All policies answer the same. @throws ArgumentError for a length without room */
async function makeQuestions(model: Model, { tokenizer, filler, args }: PasskeyWork) {
  const [firstToken] = await startTokens(model);
  const ids = tokenizer.encode(filler, { addSpecial: false, parseSpecial: false });
  const trials = inMixedOrder(passkeyTrials(args.seed, args.trials));
  const questionsOf = (length: number): PasskeyQuestion[] => {
    const options: PasskeyPromptOptions = { tokenizer, length, filler: ids, firstToken };
    return trials.map((trial) => ({ trial, prompt: passkeyPrompt(trial, options) }));
  };
  return new Map(args.length.map((length) => [length, questionsOf(length)]));
}

/** All trials of a policy and length. What goes wrong becomes part of the result, so that the others still run. */
async function measure(
  model: Model,
  result: PasskeyResult,
  questions: readonly PasskeyQuestion[],
  { args, io, signal }: PasskeyWork,
  progress: PasskeyProgress,
): Promise<void> {
  let session: Session | undefined;
  const began = io.now();
  try {
    session = model.session(sessionOptions(model, result, questions, args));
    await progress.note(session);
    for await (const outcome of answerPasskeys(session, questions, signal)) {
      result.add(outcome, io.now() - began);
      await progress.update(result);
    }
  } catch (thrown) {
    if (!isCancellation(thrown)) result.error = thrown instanceof Error ? thrown.message : String(thrown);
  } finally {
    await session?.dispose();
  }
  await progress.ended(result);
}

function sessionOptions(
  { info }: Model,
  { context, length }: PasskeyResult,
  questions: readonly PasskeyQuestion[],
  { kv }: PasskeyArguments,
) {
  const answer = questions.reduce((most, { prompt }) => Math.max(most, prompt.answerIds.length), 0);
  const needed = length + answer + 1;
  return {
    context,
    ...(kv !== undefined && { kv }),
    // Without it `full` would end where the training did.
    ...(keepsAll(context) && { contextLength: Math.min(needed, info.positions ?? needed) }),
  };
}

async function writeResults(model: Model, results: readonly PasskeyResult[], work: PasskeyWork): Promise<void> {
  const { args, io, signal } = work;
  // With JSON on standard output the table moves to standard error.
  const output = args.json === "-" ? io.stderr : io.stdout;
  const begun = results.filter(({ outcomes, error }) => outcomes.length > 0 || error !== null);
  if (begun.length > 0) {
    const { trainedContext } = model.info;
    const beyond = args.length.some((length) => length > trainedContext);
    const note = beyond ? [`the model was trained for ${counted(trainedContext, "token")}`] : [];
    await output.write(`${[...passkeyTable(begun, styles(output, io.env).bold), ...note].join("\n")}\n`);
  }
  if (args.json === undefined) return;
  const text = passkeyJson({
    model: model.info,
    sluiceVersion: io.version,
    seed: args.seed,
    filler: args.filler ?? null,
    kv: args.kv ?? null,
    interrupted: signal.aborted,
    results,
  });
  await saveText(io, args.json, text);
}
