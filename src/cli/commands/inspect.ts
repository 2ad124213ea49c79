/** `sluice inspect`: what a model file contains and what it would take. Weights are never read. */

import type { Command } from "commander";
import { type HeadGates, parseGates } from "../../context/gates/index.js";
import type { Checkpoint } from "../../formats/checkpoint.js";
import { EXIT } from "../exit.js";
import { formatCount } from "../figures.js";
import { addGatesOption, checkGates } from "../gates-option.js";
import { cacheMemory } from "../inspect/cache-memory.js";
import { type Inspection, memoryLines, tensorTable, typeLines } from "../inspect/lines.js";
import { metadataFigures } from "../inspect/metadata-figures.js";
import { figureRows } from "../inspect/metadata-lines.js";
import { metadataJson, metadataText } from "../inspect/metadata-text.js";
import { describeModel } from "../inspect/model-description.js";
import { modelRows } from "../inspect/model-lines.js";
import { summarise, tensorLines } from "../inspect/summary.js";
import { untilInterrupted } from "../interrupt.js";
import type { Io } from "../io.js";
import { progressLine } from "../load-progress.js";
import {
  addSessionOptions,
  contextHelp,
  DEFAULT_CONTEXT,
  exampleHelp,
  MODEL_ARGUMENT,
  type SessionFlags,
} from "../model-options.js";
import { oneLine, styles } from "../style.js";
import { pairLines } from "../table.js";

export interface InspectArguments extends SessionFlags {
  readonly model: string;
  readonly json?: boolean;
  readonly tensors?: boolean;
  readonly metadata?: boolean;
}

export function inspectCommand(command: Command): Command {
  command
    .description("Show what a model file contains and the memory that it takes. Weights are not read.")
    .argument("<model>", MODEL_ARGUMENT);
  return addGatesOption(addSessionOptions(command, DEFAULT_CONTEXT))
    .option("--tensors", "list the tensors")
    .option("--metadata", "list the metadata")
    .option("--json", "write JSON; with --tensors and --metadata these too")
    .addHelpText(
      "after",
      contextHelp() +
        exampleHelp([
          "sluice inspect model.gguf",
          "sluice inspect model.gguf --context sinks:4,recent:2044 --kv q8",
          "sluice inspect model.gguf --tensors --metadata --json",
        ]),
    );
}

/** @returns the exit code. @throws NotFoundError, FormatError */
export async function inspect(args: InspectArguments, io: Io): Promise<number> {
  checkGates(args, [args.context]);
  return untilInterrupted(io, async (signal) => {
    const progress = progressLine(io, false);
    let checkpoint: Checkpoint;
    try {
      checkpoint = await io.runtime.openCheckpoint(args.model, { signal, onProgress: progress.onProgress });
    } finally {
      await progress.end();
    }
    try {
      const found = await inspection(checkpoint, args, io);
      if (args.json) await io.stdout.write(`${JSON.stringify(document(checkpoint, found, args), null, 2)}\n`);
      else await writeLines(checkpoint, found, args, io);
      return EXIT.ok;
    } finally {
      await checkpoint.close();
    }
  });
}

/** @throws PolicyError, ArgumentError for a policy that makes no sense for the model */
async function inspection(checkpoint: Checkpoint, args: InspectArguments, io: Io): Promise<Inspection> {
  const summary = summarise(checkpoint);
  const found = await io.runtime.spec(checkpoint);
  if (!found.spec) {
    return { summary, reason: found.reason, figures: metadataFigures(checkpoint), model: null, cache: null };
  }
  const { spec, notes } = found;
  const gates = await readGates(args, io);
  const question = { context: args.context ?? "auto", kv: args.kv ?? "f16", contextLength: args.contextLength, gates };
  return {
    summary,
    reason: null,
    figures: null,
    model: describeModel(spec),
    cache: cacheMemory(spec, question, notes),
  };
}

/** Whether they are this very model's is not looked at: that takes its weights. @throws FormatError */
async function readGates({ gates = {} }: InspectArguments, io: Io): Promise<Record<string, HeadGates>> {
  const read: Record<string, HeadGates> = {};
  for (const [name, path] of Object.entries(gates)) read[name] = parseGates(await io.files.read(path), path);
  return read;
}

function document(checkpoint: Checkpoint, found: Inspection, args: InspectArguments): object {
  const { summary, reason, figures, model, cache } = found;
  const metadata = [...checkpoint.metadata].map(([key, value]) => [key, metadataJson(value)] as const);
  return {
    ...summary,
    supported: model !== null,
    ...(model ? { model } : { reason, figures }),
    memory: { weightBytes: summary.weightBytes, cache },
    ...(args.metadata && { metadata: Object.fromEntries(metadata) }),
    ...(args.tensors && { tensors: tensorLines(checkpoint) }),
  };
}

async function writeLines(checkpoint: Checkpoint, found: Inspection, args: InspectArguments, io: Io): Promise<void> {
  const style = styles(io.stdout, io.env);
  const sections = [factLines(found), typeLines(found, style), memoryLines(found, style)];
  if (args.metadata) {
    const rows = [...checkpoint.metadata].map(([key, value]) => [oneLine(key), metadataText(value)]);
    sections.push([style.bold(`metadata (${formatCount(rows.length)})`), ...pairLines(rows)]);
  }
  if (args.tensors) sections.push(tensorTable(tensorLines(checkpoint), style));
  for (const [index, lines] of sections.entries()) {
    await io.stdout.write(`${index > 0 ? "\n" : ""}${lines.join("\n")}\n`);
  }
}

function factLines({ summary, reason, figures, model }: Inspection): string[] {
  const rows = [
    ["model", summary.name ?? "(no name)"],
    ["file", summary.location],
    ["format", summary.format],
    ["architecture", summary.architecture],
    ...(reason === null ? [] : [["not run", reason]]),
    ["parameters", formatCount(summary.parameters)],
    ...(model ? modelRows(model) : []),
    ...(figures ? figureRows(figures) : []),
    ["tokenizer", summary.tokenizer ?? "none"],
    ["chat template", summary.hasChatTemplate ? "yes" : "no"],
  ];
  return pairLines(rows.map(([key, value]) => [key, oneLine(value)]));
}
