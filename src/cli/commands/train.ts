/** `sluice train`: trains a model as a configuration says, in a folder from which the run can go on. */
import { type Command, Option } from "commander";
import type { BackendName } from "../../tensor/backend.js";
import type { RunFolder, TrainingConfig, TrainingRun } from "../../train/index.js";
import { ArgumentError, WriteError } from "../../util/errors.js";
import { EXIT, UsageError } from "../exit.js";
import { isCancellation, untilInterrupted } from "../interrupt.js";
import type { Io } from "../io.js";
import { exampleHelp } from "../model-options.js";
import { gatherPaths, integerIn, pathText } from "../option-values.js";
import type { Training } from "../runtime.js";
import { lossPlot } from "../train/loss-plot.js";
import { quoted, TrainingProgress } from "../train/progress.js";

export interface TrainArguments {
  readonly config?: string;
  readonly data?: readonly string[];
  readonly out?: string;
  readonly resume?: string;
  readonly threads?: number;
  readonly backend?: BackendName;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function trainCommand(command: Command): Command {
  return command
    .description(
      "Train a model. Everything of the run lies in one folder; stopped or killed, it goes on with --resume. " +
        "The trained model's path goes to standard output.",
    )
    .argument("[config]", "a training configuration (JSON)")
    .option(
      "--data <path>",
      "a text file, or a folder of .txt, .md, .jsonl, beside data.paths; may be given several times",
      gatherPaths,
    )
    .option("--out <folder>", "the run's folder (default: the configuration's name)", pathText)
    .option("--resume <folder>", "go on with a run from its newest checkpoint", pathText)
    .option("--threads <n>", "threads of the kernels (default: the machine's cores)", integerIn(1, 256))
    .addOption(
      new Option("--backend <name>", "what computes; reference is slow, plain TypeScript")
        .choices(["wasm", "reference"])
        .default("wasm"),
    )
    .option("--json", "write each step and evaluation, and the model, as lines of JSON to standard output")
    .option("-q, --quiet", "nothing but errors on standard error")
    .addHelpText(
      "after",
      `\nThe configuration is documented in docs/training.md. examples/tiny.json is also found in the package.\n${exampleHelp(
        [
          "sluice train examples/tiny.json",
          "sluice train model.json --data books/ --out runs/model",
          "sluice train --resume runs/model",
          "sluice export runs/model --to gguf --quant q8_0",
        ],
      )}`,
    );
}

/** What both halves of the command, preparing and training, work with. */
interface Work {
  readonly folder: RunFolder;
  readonly args: TrainArguments;
  readonly io: Io;
  readonly training: Training;
  readonly signal: AbortSignal;
}

/** @returns the exit code. @throws UsageError and typed errors */
export async function train(args: TrainArguments, io: Io): Promise<number> {
  if (args.config === undefined && args.resume === undefined) {
    throw new UsageError("Give a configuration to begin a run, or --resume FOLDER to go on with one.");
  }
  if (args.config !== undefined && args.resume !== undefined) {
    throw new UsageError(
      "Give a configuration or --resume FOLDER, not both: a run goes on with its own configuration.",
    );
  }
  if (args.resume !== undefined && (args.data !== undefined || args.out !== undefined)) {
    throw new UsageError("--resume goes on with the run's own data in its own folder.");
  }
  return untilInterrupted(io, async (signal) => {
    const training = await io.runtime.training();
    const begun = args.config === undefined ? undefined : await readConfig(args.config, args, io, training);
    const location = args.resume ?? args.out ?? begun?.name ?? "";
    const folder = new training.RunFolder(location);
    if (!begun) await folder.config();
    const lock = await training.lockFolder(location);
    const work = { folder, args, io, training, signal };
    try {
      if (begun) await begin(work, begun);
    } catch (error) {
      await lock.abandon();
      throw error;
    }
    try {
      return await trainIn(work, await folder.config());
    } finally {
      await lock.release();
    }
  });
}

async function readConfig(
  path: string,
  { quiet }: TrainArguments,
  io: Io,
  training: Training,
): Promise<TrainingConfig> {
  const found = await exampleInstead(path, io);
  if (found !== undefined && !quiet) {
    await io.stderr.write(`${path} is not here: taken from the package, ${found}\n`);
  }
  return training.parseConfig(parseJson(await io.files.read(found ?? path), path), path);
}

/** The package's example of that name where nothing lies at the path: `examples/tiny.json` or `tiny.json`. */
async function exampleInstead(path: string, io: Io): Promise<string | undefined> {
  const [, name] = /^(?:\.[\\/])?(?:examples[\\/])?((?:[\w-]+[\\/])?[\w-]+\.json)$/.exec(path) ?? [];
  if (name === undefined || (await io.files.exists(path))) return undefined;
  const example = io.runtime.examples + name;
  return (await io.files.exists(example)) ? example : undefined;
}

async function begin({ folder, args, io, training, signal }: Work, config: TrainingConfig): Promise<void> {
  const { location } = folder;
  if (await io.files.exists(`${location}/config.json`)) {
    throw new UsageError(
      `${location} has a config.json already: go on with that run by --resume ${quoted(location)}, or choose another --out.`,
    );
  }
  const progress = new TrainingProgress(io, config, args);
  try {
    await training.prepareRun(folder, config, {
      paths: args.data ?? [],
      signal,
      onProgress: (done) => progress.preparing(done),
    });
  } catch (error) {
    if (isCancellation(error)) await progress.say("stopped before the first step: begin again with the same command");
    throw error;
  } finally {
    await progress.prepared();
  }
}

async function trainIn({ folder, args, io, training, signal }: Work, config: TrainingConfig): Promise<number> {
  const backend = await training.createBackend(args.backend ?? "wasm", { threads: args.threads ?? io.runtime.cores });
  const progress = new TrainingProgress(io, config, args);
  try {
    const run = await training.TrainingRun.open(folder, backend, {
      signal,
      onStep: (line) => progress.step(line),
      onMeasure: (source) => progress.measuring(source),
      onEvaluation: (line) => progress.evaluation(line),
    });
    try {
      await progress.begin(run);
      await finish(run, config, progress, repeatedFlags(args));
      return EXIT.ok;
    } finally {
      await run.close();
    }
  } finally {
    await progress.end();
    await backend.dispose();
  }
}

async function finish(
  run: TrainingRun,
  config: TrainingConfig,
  progress: TrainingProgress,
  flags: string,
): Promise<void> {
  try {
    await run.train();
  } catch (error) {
    if (isCancellation(error)) await progress.stopped(run, flags);
    throw error;
  } finally {
    await drawLosses(run, config, progress);
  }
  const { path, bytes } = await run.writeModel();
  await progress.finished(run, path, bytes);
}

/** A plot that cannot be written is no reason to give up a trained model, or to hide why the training ended. */
async function drawLosses(run: TrainingRun, config: TrainingConfig, progress: TrainingProgress): Promise<void> {
  if (run.log.length === 0) return;
  try {
    await run.folder.write("loss.svg", lossPlot(config, run.log));
  } catch (error) {
    if (!(error instanceof WriteError)) throw error;
    await progress.say(`note: the losses are not drawn: ${error.message}`);
  }
}

/** What to say again to go on in the same way. */
function repeatedFlags({ threads, backend }: TrainArguments): string {
  const flags = [threads !== undefined && `--threads ${threads}`, backend === "reference" && "--backend reference"];
  return flags.flatMap((flag) => (flag === false ? [] : [` ${flag}`])).join("");
}

function parseJson(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new ArgumentError(`${path} is no JSON: ${error instanceof Error ? error.message : error}.`, { file: path });
  }
}
