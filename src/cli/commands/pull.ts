/** `sluice pull`: fetches a model of the hub into the standard cache and tells where it lies. */
import type { Command } from "commander";
import { EXIT, UsageError } from "../exit.js";
import { untilInterrupted } from "../interrupt.js";
import type { Io } from "../io.js";
import { progressLine } from "../load-progress.js";
import { exampleHelp } from "../model-options.js";

export interface PullArguments {
  readonly reference: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function pullCommand(command: Command): Command {
  return command
    .description("Download a model into the hub's cache. Its local path is written to standard output.")
    .argument("<reference>", "hf:user/repo, hf:user/repo:QUANT or hf:user/repo/file.gguf")
    .option("--json", "write JSON: reference and path")
    .option("-q, --quiet", "no progress")
    .addHelpText(
      "after",
      exampleHelp(["sluice pull hf:user/repo:Q4_0", "sluice pull hf:user/repo/model-q8_0.gguf --quiet"]) +
        "\nEnvironment: HF_HOME (cache), HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE.\n",
    );
}

/** @returns the exit code. @throws UsageError, NotFoundError and other typed errors */
export async function pull(args: PullArguments, io: Io): Promise<number> {
  if (!args.reference.startsWith("hf:")) {
    throw new UsageError(`Expected a hub reference such as hf:user/repo; found "${args.reference}".`);
  }
  return untilInterrupted(io, async (signal) => {
    const progress = progressLine(io, args.quiet === true);
    const { reference } = args;
    let path: string;
    try {
      path = await io.runtime.pull(reference, { signal, onProgress: progress.onProgress });
    } finally {
      await progress.end();
    }
    await io.stdout.write(args.json ? `${JSON.stringify({ reference, path })}\n` : `${path}\n`);
    return EXIT.ok;
  });
}
