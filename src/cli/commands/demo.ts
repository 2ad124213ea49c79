/** `sluice demo`, which `npm start` runs: a long text through four policies, live; a table, a plot, and the text goes on. */

import type { Command } from "commander";
import type { Model } from "../../engine/api.js";
import { NotFoundError } from "../../util/errors.js";
import { LiveTable } from "../demo/live-table.js";
import { measurePolicies } from "../demo/measure.js";
import { defaultWindow, demoPlan, LEAST_WINDOW } from "../demo/plan.js";
import { PolicyRun } from "../demo/policy-run.js";
import { findings, plotLines, reportJson, type Written } from "../demo/report.js";
import { runTable } from "../demo/run-table.js";
import type { DemoWork } from "../demo/work.js";
import { writeOn } from "../demo/writing.js";
import { EXIT, UsageError } from "../exit.js";
import { counted, formatCount } from "../figures.js";
import { gatesPaths } from "../gates-option.js";
import { untilInterrupted } from "../interrupt.js";
import type { Io, Output } from "../io.js";
import { loadModel } from "../load-progress.js";
import { addLoadOptions, exampleHelp, type LoadFlags, loadOptions, MODEL_ARGUMENT } from "../model-options.js";
import { integerIn, pathText } from "../option-values.js";
import { checkResults, outputPath, saveText } from "../save-result.js";
import { encodeTexts } from "../stream/encoded-text.js";
import { perplexityPlot } from "../stream/perplexity-plot.js";
import { styles } from "../style.js";
import { readTextFile } from "../text-input.js";

const BUNDLED_MODEL = "sluice-tiny.gguf";
const BUNDLED_TEXT = "the-time-machine-opening.txt";
const DEFAULT_PLOT = "sluice-demo.svg";
const DEFAULT_TOKENS = 20_000;
/** A point of the plot stands for at least this part of the text: single words should not hide the policies. */
const PLOT_WINDOWS = 20;
/** With loading and drawing the whole stays under two minutes. */
const DEFAULT_SECONDS = 100;

export interface DemoArguments extends LoadFlags {
  readonly model?: string;
  readonly file?: string;
  readonly tokens: number;
  readonly window?: number;
  readonly seconds: number;
  readonly plot: string;
  readonly json?: string;
  readonly quiet?: boolean;
}

export function demoCommand(command: Command): Command {
  command
    .description("Show what the policies do: stream a long text through four of them, then let the model write on.")
    .argument("[model]", `${MODEL_ARGUMENT} (default: the small model that the package ships)`)
    .option(
      "-f, --file <file>",
      "a UTF-8 text to stream; - is stdin (default: the opening of The Time Machine)",
      pathText,
    )
    .option("--tokens <n>", "read at most n tokens of it", integerIn(1), DEFAULT_TOKENS)
    .option(
      "--window <n>",
      "tokens that the policies keep (default: half of the trained length, at most 512)",
      integerIn(LEAST_WINDOW),
    )
    .option("--seconds <n>", "stop measuring and writing when so many seconds are over", integerIn(1), DEFAULT_SECONDS)
    .option(
      "--plot <file>",
      "the SVG file for perplexity along the text; - is standard output",
      outputPath,
      DEFAULT_PLOT,
    )
    .option("--json <file>", "write everything, curves included, to a file; - is standard output", outputPath)
    .option("-q, --quiet", "no progress");
  return addLoadOptions(command).addHelpText(
    "after",
    exampleHelp([
      "sluice demo --plot demo.svg",
      "sluice demo model.gguf --file book.txt --tokens 50000 --seconds 600 --json -",
    ]),
  );
}

/** @returns the exit code. @throws UsageError and the engine's typed errors */
export async function demo(args: DemoArguments, io: Io): Promise<number> {
  await checkResults(io, [args.plot, args.json], [args.model, args.file, ...gatesPaths(args)]);
  const reference = args.model ?? (await bundledModel(io));
  const file = args.file ?? io.runtime.assets + BUNDLED_TEXT;
  const source = await readTextFile(file, io);
  return untilInterrupted(io, async (signal) => {
    const model = await loadModel(io, {
      reference,
      options: { ...loadOptions(args), signal },
      quiet: args.quiet === true,
    });
    try {
      const work = await prepare(model, source, args, io, signal);
      return await show(work, args.file ?? BUNDLED_TEXT, args);
    } finally {
      await model.dispose();
    }
  });
}

/** @throws NotFoundError where the package was built without it */
async function bundledModel(io: Io): Promise<string> {
  const path = io.runtime.assets + BUNDLED_MODEL;
  if (await io.files.exists(path)) return path;
  throw new NotFoundError(
    `The package's own model is missing: expected ${path}. Give another, \`sluice demo MODEL\`, or make one with ` +
      "`sluice train` and `sluice export`.",
    { path },
  );
}

async function prepare(
  model: Model,
  source: string,
  args: DemoArguments,
  io: Io,
  signal: AbortSignal,
): Promise<DemoWork> {
  const { info } = model;
  if (info.encoderDecoder) {
    throw new UsageError(
      `${info.architecture} predicts a text from a source that its encoder reads; the demonstration needs a model that ` +
        "reads a text alone.",
    );
  }
  const text = await encodeTexts(model, [source], args.tokens);
  if (text.tokens === 0) throw new UsageError("There is no text to read: the file is empty.");
  const plan = demoPlan(info, text, {
    window: args.window ?? defaultWindow(info),
    gates: Object.keys(args.gates ?? {}),
  });
  const runs = plan.policies.map((policy) => new PolicyRun(policy));
  const began = io.now();
  const timeLeftMs = (share: number) => began + 1000 * args.seconds * share - io.now();
  return {
    io,
    model,
    text,
    plan,
    runs,
    signal,
    live: new LiveTable(io, runs, plan.window, args.quiet === true),
    timeLeftMs,
    late: (share) => timeLeftMs(share) <= 0,
  };
}

async function show(work: DemoWork, file: string, args: DemoArguments): Promise<number> {
  const { io, signal, runs } = work;
  // With a document on standard output everything else moves to standard error.
  const output = args.json === "-" || args.plot === "-" ? io.stderr : io.stdout;
  await output.write(`${heading(work, file).join("\n")}\n\n`);
  let written: Written | undefined;
  try {
    const writer = await measurePolicies(work);
    await work.live.clear();
    await tell(work, output, args);
    const run = runs.find(({ name }) => name === work.plan.writer);
    if (writer && !signal.aborted) {
      const tokens = run?.measurement?.tokens ?? 0;
      const late = () => work.late(1);
      written = await writeOn(io, work.model, writer, { text: work.text, tokens }, { output, signal, late });
    }
  } finally {
    await work.live.clear();
    await writeJson(work, file, written, args);
  }
  return runs.some(({ ending }) => ending === "error") ? EXIT.failure : EXIT.ok;
}

function heading({ model: { info }, text, plan }: DemoWork, file: string): string[] {
  const name = info.name ?? info.architecture;
  return [
    `${name}: ${counted(info.parameters, "parameter")}, trained for ${counted(info.trainedContext, "token")}, ` +
      `${formatCount(info.threads)} ${info.threads === 1 ? "thread" : "threads"}`,
    `text: ${file}, ${counted(text.tokens, "token")}`,
    `policies: one after the other, token by token; recompute:${plan.window} reads samples`,
  ];
}

/** The table, what it says, and the plot. */
async function tell({ io, model, text, runs, plan }: DemoWork, output: Output, args: DemoArguments): Promise<void> {
  const begun = runs.filter(({ ending }) => ending !== undefined);
  if (begun.length === 0) return;
  const { bold } = styles(output, io.env);
  const found = [...runTable(begun, plan.window, bold), "", ...findings(begun, model.info, plan.window)];
  await output.write(`${found.join("\n")}\n`);
  const window = Math.max(plan.window, Math.round(text.tokens / PLOT_WINDOWS));
  const lines = plotLines(begun, plan, window);
  await saveText(io, args.plot, perplexityPlot({ model: model.info, lines, window }));
  if (args.plot !== "-") await output.write(`Perplexity along the text is drawn in ${args.plot}\n`);
}

async function writeJson(
  { io, model, text, plan, runs, signal }: DemoWork,
  file: string,
  written: Written | undefined,
  args: DemoArguments,
): Promise<void> {
  if (args.json === undefined) return;
  const json = reportJson({
    model: model.info,
    sluiceVersion: io.version,
    text: { file, tokens: text.tokens },
    window: plan.window,
    runs,
    plot: args.plot,
    interrupted: signal.aborted,
    written: written ?? null,
  });
  await saveText(io, args.json, json);
}
