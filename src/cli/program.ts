/** The command line as a whole: parses the arguments, runs one command, shows its error, returns the exit code. */
import { Command } from "commander";
import { runnable } from "./command-name.js";
import { type ChatArguments, chat, chatCommand } from "./commands/chat.js";
import { type DemoArguments, demo, demoCommand } from "./commands/demo.js";
import { evalCommand } from "./commands/eval.js";
import { type ExportArguments, exportCommand, exportModel } from "./commands/export.js";
import { type GatesArguments, gates, gatesCommand } from "./commands/gates.js";
import { type InspectArguments, inspect, inspectCommand } from "./commands/inspect.js";
import { type PullArguments, pull, pullCommand } from "./commands/pull.js";
import { type RunArguments, run, runCommand } from "./commands/run.js";
import { type StreamArguments, stream, streamCommand } from "./commands/stream.js";
import { type TokenizeArguments, tokenize, tokenizeCommand } from "./commands/tokenize.js";
import { type TrainArguments, train, trainCommand } from "./commands/train.js";
import { EXIT, presentError } from "./exit.js";
import { refuseEmptyPaths } from "./given-paths.js";
import type { Io } from "./io.js";

type Flags<Arguments, Positional extends keyof Arguments> = Omit<Arguments, Positional>;

/**
 * @param argv without the interpreter and the script
 * @returns 0 success, 1 failure, 2 wrong usage, 130 interrupted; never rejects
 */
export async function runCli(argv: readonly string[], io: Io): Promise<number> {
  let code: number = EXIT.ok;
  // The parser writes help and errors without waiting.
  const writes: Promise<void>[] = [];
  const program = createProgram(io, writes, async (work) => {
    code = await work;
  });
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    code = await presentError(error, io, argv[0]);
  }
  await Promise.all(writes);
  // Only here is the last write known to have ended.
  return io.outputFailure ? presentError(io.outputFailure, io) : code;
}

/** `writes` gathers what the parser writes; `finish` receives the running command. */
function createProgram(io: Io, writes: Promise<void>[], finish: (work: Promise<number>) => Promise<void>): Command {
  const program = new Command("sluice")
    .description("Sluice: long texts through language models, in constant memory.")
    .version(io.version, "-V, --version", "write the version")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void writes.push(io.stdout.write(runnable(text, io))),
      writeErr: (text) => void writes.push(io.stderr.write(runnable(text, io))),
      getOutHelpWidth: () => io.stdout.columns,
      getErrHelpWidth: () => io.stderr.columns,
    })
    .showSuggestionAfterError()
    .helpCommand("help [command]", "show the help of a command")
    .addHelpText("after", "\nExit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted.\n");

  const hint = (name: string) => program.command(name).showHelpAfterError(`hint: see sluice ${name} --help`);
  runCommand(hint("run")).action((model: string, flags: Flags<RunArguments, "model">) =>
    finish(run({ ...flags, model }, io)),
  );
  chatCommand(hint("chat")).action((model: string, flags: Flags<ChatArguments, "model">) =>
    finish(chat({ ...flags, model }, io)),
  );
  streamCommand(hint("stream")).action((model: string, flags: Flags<StreamArguments, "model">) =>
    finish(stream({ ...flags, model }, io)),
  );
  inspectCommand(hint("inspect")).action((model: string, flags: Flags<InspectArguments, "model">) =>
    finish(inspect({ ...flags, model }, io)),
  );
  tokenizeCommand(hint("tokenize")).action(
    (model: string, text: string | undefined, flags: Flags<TokenizeArguments, "model" | "text">) =>
      finish(tokenize({ ...flags, model, ...(text !== undefined && { text }) }, io)),
  );
  demoCommand(hint("demo")).action((model: string | undefined, flags: Flags<DemoArguments, "model">) =>
    finish(demo({ ...flags, ...(model !== undefined && { model }) }, io)),
  );
  pullCommand(hint("pull")).action((reference: string, flags: Flags<PullArguments, "reference">) =>
    finish(pull({ ...flags, reference }, io)),
  );
  evalCommand(hint("eval"), io, finish);
  gatesCommand(hint("gates")).action((model: string, flags: Flags<GatesArguments, "model">) =>
    finish(gates({ ...flags, model }, io)),
  );
  trainCommand(hint("train")).action((config: string | undefined, flags: Flags<TrainArguments, "config">) =>
    finish(train({ ...flags, ...(config !== undefined && { config }) }, io)),
  );
  exportCommand(hint("export")).action((folder: string, flags: Flags<ExportArguments, "folder">) =>
    finish(exportModel({ ...flags, folder }, io)),
  );
  refuseEmptyPaths(program);
  return program;
}
