/** `sluice export`: the model of a training run as a GGUF file or a Hugging Face folder. */
import { type Command, Option } from "commander";
import type { StreamedFile } from "../../formats/write/gguf-writer.js";
import { EXIT, UsageError } from "../exit.js";
import { formatBytes } from "../figures.js";
import { untilInterrupted } from "../interrupt.js";
import type { Io } from "../io.js";
import { exampleHelp } from "../model-options.js";
import { integerIn, pathText } from "../option-values.js";

const QUANTS = ["f32", "f16", "q8_0", "q4_0"] as const;

export interface ExportArguments {
  readonly folder: string;
  readonly to: "gguf" | "safetensors";
  readonly quant: (typeof QUANTS)[number];
  readonly out?: string;
  readonly step?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function exportCommand(command: Command): Command {
  return command
    .description("Write the model of a training run for use: GGUF, or a Hugging Face folder with safetensors.")
    .argument("<folder>", "the folder of a run")
    .addOption(new Option("--to <format>", "gguf or safetensors").choices(["gguf", "safetensors"]).default("gguf"))
    .addOption(
      new Option("--quant <type>", "type of the matrices; safetensors: f32 or f16").choices([...QUANTS]).default("f16"),
    )
    .option("--out <path>", "the file or folder (default: beside the run's checkpoints, by name and type)", pathText)
    .option("--step <n>", "of this checkpoint (default: the newest)", integerIn(1))
    .option("--json", "write what was made as JSON")
    .option("-q, --quiet", "nothing but errors on standard error")
    .addHelpText(
      "after",
      exampleHelp([
        "sluice export runs/model --to gguf --quant q8_0",
        "sluice export runs/model --to safetensors --quant f32 --out model-hf",
      ]),
    );
}

/** @returns the exit code. @throws UsageError and typed errors */
export async function exportModel(args: ExportArguments, io: Io): Promise<number> {
  const { to, quant } = args;
  if (to === "safetensors" && quant !== "f32" && quant !== "f16") {
    throw new UsageError(`safetensors holds f32 and f16; --quant is ${quant}. GGUF holds all: --to gguf.`);
  }
  return untilInterrupted(io, async (signal) => {
    const training = await io.runtime.training();
    const folder = new training.RunFolder(args.folder);
    const { name } = await folder.config();
    const path = args.out ?? folder.path(to === "gguf" ? `${name}-${quant}.gguf` : `${name}-hf`);
    const made = await training.folderModel(
      folder,
      async ({ model, tokenizerKeys, step }) => {
        if (to === "gguf") {
          const file = await training.exportGguf({ model, tokenizerKeys, quant, name });
          await training.saveFile(path, until(signal, file));
          return { step, bytes: file.bytes, types: file.types, notes: file.notes };
        }
        const files = await training.exportHuggingFace({
          model,
          tokenizerKeys,
          dtype: quant === "f32" ? "f32" : "f16",
        });
        await training.saveFolder(path, { ...files, files: files.files.map((file) => until(signal, file)) });
        const bytes = files.files.reduce((sum, file) => sum + file.bytes, 0);
        return { step, bytes, types: {}, notes: files.notes };
      },
      args.step,
    );
    if (args.json) await io.stdout.write(`${JSON.stringify({ path, ...made }, undefined, 2)}\n`);
    else await io.stdout.write(`${path}\n`);
    if (!args.quiet) {
      for (const note of made.notes) await io.stderr.write(`note: ${note}.\n`);
      const types = Object.entries(made.types).map(([type, count]) => `${count} ${type}`);
      const held = types.length > 0 ? `; tensors: ${types.join(", ")}` : "";
      await io.stderr.write(`step ${made.step}, ${formatBytes(made.bytes)}${held}\n`);
    }
    return EXIT.ok;
  });
}

/** The same file, which is not written to its end when the signal is aborted. */
function until<F extends StreamedFile>(signal: AbortSignal, file: F): F {
  return {
    ...file,
    async *chunks() {
      for await (const chunk of file.chunks()) {
        signal.throwIfAborted();
        yield chunk;
      }
    },
  };
}
