/** `sluice stream`: perplexity and cost of several context policies, side by side over a long text. */

import { type Command, Option } from "commander";
import { parsePolicy } from "../../context/policy-text.js";
import type { Model, Session, SessionOptions } from "../../engine/api.js";
import { EXIT, UsageError } from "../exit.js";
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
import { cacheType, gather, gatherPaths, integerIn, policyText } from "../option-values.js";
import { checkResults, outputPath, saveTexts } from "../save-result.js";
import { type EncodedText, encodeTexts } from "../stream/encoded-text.js";
import { LiveProgress } from "../stream/live-progress.js";
import { Measurement, partLength } from "../stream/measurement.js";
import { perplexityPlot, resultLine } from "../stream/perplexity-plot.js";
import { reportJson, resultTable, type StreamResult } from "../stream/report.js";
import { warmUp } from "../stream/warm-up.js";
import { styles } from "../style.js";
import { readTextFile } from "../text-input.js";

/** Tokens that a session reads at once where nothing else is asked for. */
const DEFAULT_CHUNK = 256;

/** Tokens over which the perplexity of the plot is taken: fewer would show single words more than the policies. */
const PLOT_WINDOW = 512;

export interface StreamArguments extends LoadFlags {
  readonly model: string;
  readonly file: readonly string[];
  readonly context: readonly string[];
  readonly maxTokens?: number;
  readonly kv?: string;
  readonly batch: number;
  readonly json?: string;
  readonly plot?: string;
  readonly quiet?: boolean;
}

export function streamCommand(command: Command): Command {
  command
    .description("Read a long text under several context policies; compare perplexity, time and memory.")
    .argument("<model>", MODEL_ARGUMENT)
    .addOption(
      new Option("-f, --file <file>", "a UTF-8 text; may be repeated, texts are read one after another; - is stdin")
        .argParser(gatherPaths)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--context <policy>", "a policy to measure; may be repeated")
        .argParser((text: string, before: readonly string[] = []) => gather(policyText(text), before))
        .makeOptionMandatory(),
    )
    .option("--max-tokens <n>", "read only the first n tokens (default: all)", integerIn(1))
    .option("--kv <type>", "cache type: f32, f16, q8, q4, or keys/values apart: q8/q4 (default: f16)", cacheType)
    .option("--batch <n>", "tokens read at once; 1 measures the cost of decoding", integerIn(1, 4096), 1)
    .option("--json <file>", "write everything, curves included, to a file; - is standard output", outputPath)
    .option("--plot <file>", "draw perplexity along the text into an SVG file; - is standard output", outputPath)
    .option("-q, --quiet", "no progress");
  return addLoadOptions(command).addHelpText(
    "after",
    contextHelp() +
      exampleHelp([
        "sluice stream model.gguf --file book.txt --context full --context sinks:4,recent:2044",
        "sluice stream model.gguf --file a.txt --file b.txt --context recompute:256 --context sinks:4,recent:252 \\",
        "  --max-tokens 4000 --json out.json --plot out.svg",
      ]),
  );
}

/** @returns the exit code. @throws UsageError and the engine's typed errors */
export async function stream(args: StreamArguments, io: Io): Promise<number> {
  checkGates(args, args.context);
  await checkResults(io, [args.json, args.plot], [args.model, ...args.file, ...gatesPaths(args)]);
  const texts: string[] = [];
  for (const file of args.file) texts.push(await readTextFile(file, io));
  return untilInterrupted(io, async (signal) => {
    const options = { ...loadOptions(args), signal };
    const model = await loadModel(io, { reference: args.model, options, quiet: args.quiet === true });
    try {
      if (model.info.encoderDecoder) {
        throw new UsageError(
          `${model.info.architecture} predicts a text from a source that its encoder reads; stream reads a text alone. ` +
            "Models without an encoder can be measured.",
        );
      }
      const text = await encodeTexts(model, texts, args.maxTokens);
      if (text.tokens === 0) throw new UsageError("There is no text to read: the files are empty.");
      return await measureAll(model, text, args, io, signal);
    } finally {
      await model.dispose();
    }
  });
}

async function measureAll(
  model: Model,
  text: EncodedText,
  args: StreamArguments,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const names = args.context.map((context) => parsePolicy(context).text);
  const runs = names.map((): Measurement | undefined => undefined);
  const live = new LiveProgress(io, names, runs, args.quiet === true);
  const results: StreamResult[] = [];
  try {
    await warmUp(model, policySession(model, names[0], text, args), text.ids, { batch: args.batch, signal });
    for (const [index, name] of names.entries()) {
      if (signal.aborted) break;
      const run = new Measurement(name, text.tokens);
      runs[index] = run;
      results.push(await measure(model, text, run, args, live, signal));
    }
  } finally {
    await live.clear();
  }
  await writeResults(model, text.tokens, results, args, io, signal.aborted);
  return results.some((result) => result.error !== null) ? EXIT.failure : EXIT.ok;
}

/** Reads the whole text under one policy. What goes wrong becomes part of the result, so that the others still run. */
async function measure(
  model: Model,
  text: EncodedText,
  run: Measurement,
  args: StreamArguments,
  live: LiveProgress,
  signal: AbortSignal,
): Promise<StreamResult> {
  const { ids, opening, tokens } = text;
  let session: Session | undefined;
  let error: string | null = null;
  let early: readonly string[] = [];
  try {
    session = model.session(policySession(model, run.context, text, args));
    early = session.notes;
    await live.note(session);
    for await (const part of session.score(ids, {
      batch: args.batch,
      every: partLength(tokens, args.batch),
      signal,
    })) {
      run.add({ ...part, start: part.start - opening });
      await live.update(run);
    }
  } catch (thrown) {
    if (!isCancellation(thrown)) error = thrown instanceof Error ? thrown.message : String(thrown);
  }
  const notes = session?.notes ?? [];
  await session?.dispose();
  await live.policyEnded(run);
  const lateNotes = notes.filter((note) => !early.includes(note));
  return { ...run.result({ complete: run.tokens >= tokens && error === null, error }), notes, lateNotes };
}

function policySession({ info }: Model, context: string, { ids }: EncodedText, args: StreamArguments): SessionOptions {
  return {
    context,
    ...(args.kv !== undefined && { kv: args.kv }),
    // Without it `full` would end where the training did.
    ...(keepsAll(context) && { contextLength: Math.min(ids.length, info.positions ?? ids.length) }),
    // A session reads at most a chunk at once.
    ...(args.batch > DEFAULT_CHUNK && { chunk: args.batch }),
  };
}

async function writeResults(
  model: Model,
  tokens: number,
  results: readonly StreamResult[],
  args: StreamArguments,
  io: Io,
  interrupted: boolean,
): Promise<void> {
  // With a document on standard output the table moves to standard error.
  const output = args.json === "-" || args.plot === "-" ? io.stderr : io.stdout;
  if (results.length > 0) {
    await output.write(`${resultTable(results, styles(output, io.env).bold).join("\n")}\n`);
  }
  const plot = () => {
    const lines = results.map((result) => resultLine(result, PLOT_WINDOW));
    return perplexityPlot({ model: model.info, lines, window: PLOT_WINDOW });
  };
  const json = () =>
    reportJson({
      model: model.info,
      sluiceVersion: io.version,
      text: { files: args.file, tokens },
      kv: args.kv ?? null,
      batch: args.batch,
      interrupted,
      policies: results,
    });
  await saveTexts(io, [
    [args.plot, plot],
    [args.json, json],
  ]);
}
