/** `sluice gates`: which heads of a model retrieve from all of a text, found by running it; for `duo` policies. */
import type { Command } from "commander";
import { gatesJson } from "../../context/gates/index.js";
import type { FoundGates } from "../../eval/gates/find-gates.js";
import { EXIT, UsageError } from "../exit.js";
import { counted } from "../figures.js";
import { bestHeads, gatesMap, gatesNote } from "../gates/found-gates.js";
import { untilInterrupted } from "../interrupt.js";
import type { Io } from "../io.js";
import { progressLine } from "../load-progress.js";
import { addMachineOptions, exampleHelp, type LoadFlags, loadOptions, MODEL_ARGUMENT } from "../model-options.js";
import { gatherIntegers, integerIn, pathText } from "../option-values.js";
import { checkResults, outputPath, saveTexts } from "../save-result.js";
import { StatusLines } from "../status-line.js";
import { styles } from "../style.js";
import { readTextFile } from "../text-input.js";

const BUNDLED_FILLER = "the-time-machine-opening.txt";

export interface GatesArguments extends LoadFlags {
  readonly model: string;
  readonly out?: string;
  readonly plot?: string;
  readonly length?: readonly number[];
  readonly prompts: number;
  readonly seed: number;
  readonly filler?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function gatesCommand(command: Command): Command {
  command
    .description(
      "Find the heads that retrieve: how much of their attention goes to what is to be copied, in random tokens that come " +
        "again and in texts with a passkey. The gates are for duo policies, in which only such heads keep everything.",
    )
    .argument("<model>", MODEL_ARGUMENT)
    .option("--out <file>", "write the gates to a file, for --gates; - is standard output", outputPath)
    .option("--plot <file>", "write a map of layers and heads as SVG; - is standard output", outputPath)
    .option(
      "--length <n>",
      "tokens of the prompts; may be repeated (default: 1024, or what the model was trained for)",
      gatherIntegers(1),
    )
    .option("--prompts <n>", "prompts of each kind and length", integerIn(1, 10_000), 8)
    .option("--seed <n>", "of tokens, passkeys and places", integerIn(0), 1)
    .option("--filler <file>", "the text around the passkeys (default: the opening of The Time Machine)", pathText)
    .option("--json", "write gates and the scores of all query heads as JSON to standard output")
    .option("-q, --quiet", "no progress");
  return addMachineOptions(command).addHelpText(
    "after",
    exampleHelp([
      "sluice gates model.gguf --out gates.json --plot gates.svg",
      "sluice gates model.gguf --length 1024 --length 4096 --prompts 20 --out gates.json",
      "sluice run model.gguf --file book.txt --gates gates.json --context duo:gates.json@0.5",
    ]),
  );
}

/** @returns the exit code. @throws UsageError and the engine's typed errors */
export async function gates(args: GatesArguments, io: Io): Promise<number> {
  const { out, plot } = args;
  if (args.json && (out === "-" || plot === "-"))
    throw new UsageError("With --json standard output has the JSON: give --out and --plot files.");
  await checkResults(io, [out, plot], [args.model, args.filler]);
  const filler = await readTextFile(args.filler ?? io.runtime.assets + BUNDLED_FILLER, io);
  return untilInterrupted(io, async (signal) => {
    const found = await find(args, filler, io, signal);
    const { model } = found.gates;
    const note = gatesNote(found);
    if (note !== undefined) await io.stderr.write(`note: ${note}\n`);
    const map = () => gatesMap(found, model?.name ?? args.model);
    await saveTexts(io, [
      [out, () => gatesJson(found.gates)],
      [plot, map],
    ]);
    if (args.json) await io.stdout.write(`${JSON.stringify({ ...found.gates, scores: found.scores }, null, 2)}\n`);
    else {
      // With a result on standard output the table moves to standard error.
      const output = out === "-" || plot === "-" ? io.stderr : io.stdout;
      await output.write(`${bestHeads(found, styles(output, io.env).bold).join("\n")}\n`);
    }
    return EXIT.ok;
  });
}

async function find(args: GatesArguments, text: string, io: Io, signal: AbortSignal): Promise<FoundGates> {
  const { loadLocal, findGates } = await io.runtime.study();
  const loading = progressLine(io, args.quiet === true);
  const options = { ...loadOptions(args), signal, onProgress: loading.onProgress };
  const model = await loadLocal(args.model, options).finally(() => loading.end());
  const status = new StatusLines(io, args.quiet === true);
  try {
    const filler = await model.encode(text, { addSpecial: false, parseSpecial: false });
    const { length: lengths, prompts, seed } = args;
    return await findGates(model, {
      filler,
      lengths,
      prompts,
      seed,
      signal,
      onProgress: (done, total) =>
        void status.update(() => [`reading prompts: ${done} of ${counted(total, "prompt")}`]),
    });
  } finally {
    await status.clear();
    await model.dispose();
  }
}
