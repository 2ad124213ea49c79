/** `sluice run`: one text goes on. Standard output gets the text alone, to the byte; all else goes to standard error. */
import { type Command, Option } from "commander";
import type { FinishReason, Model, Part, Session, SessionOptions, TokenLogprob, Usage } from "../../engine/api.js";
import { type ErrorDetails, SluiceError } from "../../util/errors.js";
import { describeError, EXIT, UsageError } from "../exit.js";
import { gatesPaths } from "../gates-option.js";
import { addGenerateOptions, type GenerateFlags, generateOptions } from "../generate-options.js";
import { untilInterrupted } from "../interrupt.js";
import type { Io } from "../io.js";
import { loadModel } from "../load-progress.js";
import {
  addLoadOptions,
  addSessionOptions,
  contextHelp,
  DEFAULT_CONTEXT,
  exampleHelp,
  type LoadFlags,
  loadOptions,
  MODEL_ARGUMENT,
  type SessionFlags,
  sessionOptions,
} from "../model-options.js";
import { writeNotes } from "../notes.js";
import { integerIn, pathText } from "../option-values.js";
import { PromptProgress } from "../prompt-progress.js";
import { checkResults, saveResult } from "../save-result.js";
import { styles } from "../style.js";
import { readText } from "../text-input.js";
import { describeRun, runUsage } from "../usage-line.js";

export interface RunArguments extends LoadFlags, SessionFlags, GenerateFlags {
  readonly model: string;
  readonly prompt?: string;
  readonly file?: string;
  readonly source?: string;
  readonly resume?: string;
  readonly save?: string;
  readonly logprobs?: number;
  readonly json?: boolean;
  readonly stats?: boolean;
  readonly quiet?: boolean;
}

/** What a run gave, gathered from its parts. */
interface Gathered {
  text: string;
  finish: FinishReason | null;
  error: { readonly code: string; readonly message: string; readonly details: ErrorDetails } | null;
  readonly ids: number[];
  readonly logprobs: { readonly logprob: number; readonly top: readonly TokenLogprob[] }[];
}

export function runCommand(command: Command): Command {
  command
    .description("Go on with a text. Only the text is written to standard output.")
    .argument("<model>", MODEL_ARGUMENT)
    .option("-p, --prompt <text>", 'the text to go on with; "" starts from nothing')
    .option("-f, --file <file>", "read the prompt from a UTF-8 file, to the byte; - is standard input", pathText);
  addGenerateOptions(command, {
    maxTokensDefault: "until the model ends, Ctrl-C stops it; with --json at most as many as it was trained for",
    leastTokens: 0,
  });
  addSessionOptions(command, DEFAULT_CONTEXT);
  return addLoadOptions(command)
    .option("--source <text>", "models with an encoder (T5): what it reads; the prompt then begins the answer")
    .option("--resume <file>", "go on with a saved session, under its policy, instead of a new one", pathText)
    .option("--save <file>", "save the session at the end, for --resume", pathText)
    .addOption(
      new Option("--logprobs <n>", "with --json: each token's log-probability and n alternatives").argParser(
        integerIn(0, 1000),
      ),
    )
    .option(
      "--json",
      "write one JSON object at the end instead of the text: usage is the whole session's, run this run's part",
    )
    .option(
      "--stats",
      "tell on standard error what the session has seen, kept, evicted, what this run read and wrote, and the speed; " +
        "the newest token written is seen with the step after it",
    )
    .option("-q, --quiet", "nothing but errors on standard error")
    .addHelpText(
      "after",
      contextHelp() +
        exampleHelp([
          'sluice run model.gguf --prompt "Once upon a time" --max-tokens 200',
          "sluice run hf:user/repo:Q4_0 --file book.txt --context sinks:4,recent:2044 --stats",
          "sluice run model.gguf --file book.txt --max-tokens 0 --save book.session",
          'sluice run model.gguf --resume book.session --prompt "In short:" --max-tokens 100',
          'echo "The capital of France is" | sluice run model.gguf --temperature 0 --max-tokens 8',
        ]) +
        "\nA piped prompt goes without the newline at its end; --file - keeps it.\n" +
        "Models without a learned end write on for ever without --max-tokens; at a terminal a note says so.\n",
    );
}

/** @returns the exit code. @throws UsageError and the engine's typed errors */
export async function run(args: RunArguments, io: Io): Promise<number> {
  if (args.logprobs !== undefined && !args.json) {
    throw new UsageError("--logprobs goes with --json: standard output is the text alone otherwise.");
  }
  const session: SessionOptions = {
    ...sessionOptions(args),
    ...(args.source !== undefined && { source: args.source }),
  };
  if (args.resume !== undefined && Object.keys(session).length > 0) {
    throw new UsageError(
      "--resume goes on with the context, cache, length and source that the session was saved with.",
    );
  }
  const prompt = await readText(
    { text: args.prompt, file: args.file, endsLine: true, textOption: "--prompt TEXT" },
    io,
  );
  const saved = args.resume === undefined ? undefined : await io.files.read(args.resume);
  await checkResults(io, [args.save], [args.model, args.file, ...gatesPaths(args)]);
  return untilInterrupted(io, async (signal) => {
    const model = await loadModel(io, {
      reference: args.model,
      options: { ...loadOptions(args), signal },
      session,
      quiet: args.quiet === true,
    });
    try {
      const opened = saved ? await model.restore(saved) : model.session(session);
      const { seen } = opened.usage;
      const code = await goOn(model, opened, prompt, args, io, signal).catch(async (error: unknown) => {
        // What was read and written until then is a session that goes on.
        if (args.save !== undefined && opened.usage.seen > seen) await saveAfter(opened, args.save, io);
        throw error;
      });
      if (args.save !== undefined) await saveResult(io, args.save, await opened.save(), { secret: true });
      return code;
    } finally {
      await model.dispose();
    }
  });
}

/** After an error that the command ends with; one of saving is only told. */
async function saveAfter(session: Session, path: string, io: Io): Promise<void> {
  try {
    await saveResult(io, path, await session.save(), { secret: true });
  } catch (error) {
    await io.stderr.write(describeError(error, io));
  }
}

async function goOn(
  model: Model,
  session: Session,
  prompt: string,
  args: RunArguments,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  await writeNotes(io, session, args.quiet === true);
  await tellEndless(args, io);
  const before = session.usage;
  const told = session.notes.length;
  const gathered: Gathered = { text: "", finish: null, error: null, ids: [], logprobs: [] };
  try {
    await write(session, prompt, gathered, bounded(args, model), io, signal);
  } catch (error) {
    // What was written until then is not lost: under `full` a long text ends this way.
    if (!args.json || !(error instanceof SluiceError)) throw error;
    gathered.error = { code: error.code, message: error.message, details: error.details };
    await io.stderr.write(describeError(error, io));
  }
  // What became true on the way: that the text passed the context.
  await writeNotes(io, { notes: session.notes.slice(told) }, args.quiet === true);
  if (args.json) await io.stdout.write(`${JSON.stringify(await report(model, session, before, gathered, args))}\n`);
  if (args.stats) await io.stderr.write(`${describeRun(before, session.usage)}\n`);
  return gathered.error === null ? EXIT.ok : EXIT.failure;
}

/** What is written when a text has ended must end: as long as the model was trained for is long enough. */
function bounded(args: RunArguments, { info }: Model): RunArguments {
  return args.json && args.maxTokens === undefined ? { ...args, maxTokens: info.trainedContext } : args;
}

/** Models without a learned end write on for ever: whoever waits for the end should know. */
async function tellEndless({ maxTokens, json, quiet }: RunArguments, io: Io): Promise<void> {
  if (maxTokens !== undefined || json || quiet || !io.stderr.isTTY) return;
  const note = "note: no --max-tokens: the text goes on until the model ends it; Ctrl-C stops it";
  await io.stderr.write(`${styles(io.stderr, io.env).dim(note)}\n`);
}

async function write(
  session: Session,
  prompt: string,
  gathered: Gathered,
  args: RunArguments,
  io: Io,
  signal: AbortSignal,
): Promise<void> {
  const progress = new PromptProgress(io, args.quiet);
  const options = {
    ...generateOptions(args),
    ...(args.logprobs !== undefined && { logprobs: args.logprobs }),
    signal,
    onPrefill: (done: number, total: number) => progress.update(done, total),
  };
  try {
    for await (const part of session.generate(prompt, options)) {
      await progress.clear();
      gather(gathered, part, args.json === true);
      if (!args.json && part.text !== "") await io.stdout.write(part.text);
    }
  } finally {
    await progress.clear();
    // A shell's prompt should not stand behind the text; where the output is read by a program, it is the text alone.
    if (!args.json && io.stdout.isTTY) await io.stdout.write("\n");
  }
}

/** Texts without end must not gather in memory: what only the JSON object needs is gathered for it alone. */
function gather(into: Gathered, part: Part, json: boolean): void {
  if (part.finish) into.finish = part.finish;
  if (!json) return;
  into.text += part.text;
  if (part.id !== undefined) into.ids.push(part.id);
  if (part.logprob !== undefined) into.logprobs.push({ logprob: part.logprob, top: part.top ?? [] });
}

async function report(
  model: Model,
  session: Session,
  before: Usage,
  gathered: Gathered,
  args: RunArguments,
): Promise<object> {
  const { text, ids, finish, error, logprobs } = gathered;
  const pieces = args.logprobs === undefined ? [] : await model.tokenTexts(ids);
  const textOf = (id: number) => model.decode([id], { special: true, continues: true });
  const texts = await Promise.all(pieces.map((_, index) => textOf(ids[index])));
  return {
    model: model.info.location,
    context: session.context,
    text,
    ids,
    finish,
    ...(error !== null && { error }),
    usage: session.usage,
    run: runUsage(before, session.usage),
    ...(args.logprobs !== undefined && {
      logprobs: logprobs.map((entry, index) => ({
        id: ids[index],
        text: texts[index],
        piece: pieces[index],
        ...entry,
      })),
    }),
  };
}
