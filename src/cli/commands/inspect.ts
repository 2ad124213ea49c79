/** `sluice inspect`: what a model file contains and what it would take. Weights are never read. */
import type { Command } from "commander";
import type { Checkpoint } from "../../formats/checkpoint.js";
import { EXIT } from "../exit.js";
import { formatBytes, formatCount } from "../figures.js";
import { type CacheMemory, cacheMemory } from "../inspect/cache-memory.js";
import { metadataJson, metadataText } from "../inspect/metadata-text.js";
import { type CheckpointSummary, summarise, type TensorLine, tensorLines } from "../inspect/summary.js";
import { untilInterrupted } from "../interrupt.js";
import type { Io } from "../io.js";
import { progressLine } from "../load-progress.js";
import { addSessionOptions, contextHelp, exampleHelp, MODEL_ARGUMENT, type SessionFlags } from "../model-options.js";
import { oneLine, type Styles, styles } from "../style.js";
import { tableLines } from "../table.js";

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
  return addSessionOptions(command, "full")
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
  return untilInterrupted(io, async (signal) => {
    const progress = progressLine(io, false);
    let checkpoint: Checkpoint;
    try {
      checkpoint = await io.runtime.openCheckpoint(args.model, { signal, onProgress: progress.onProgress });
    } finally {
      await progress.end();
    }
    try {
      const summary = summarise(checkpoint, await io.runtime.architectures());
      const question = { context: args.context ?? "full", kv: args.kv ?? "f16", contextLength: args.contextLength };
      const cache = cacheMemory(summary, question);
      if (args.json) await io.stdout.write(`${JSON.stringify(document(checkpoint, summary, cache, args), null, 2)}\n`);
      else await writeLines(checkpoint, summary, cache, args, io);
      return EXIT.ok;
    } finally {
      await checkpoint.close();
    }
  });
}

function document(
  checkpoint: Checkpoint,
  summary: CheckpointSummary,
  cache: CacheMemory,
  args: InspectArguments,
): object {
  const metadata = [...checkpoint.metadata].map(([key, value]) => [key, metadataJson(value)] as const);
  return {
    ...summary,
    memory: { weightBytes: summary.weightBytes, cache },
    ...(args.metadata && { metadata: Object.fromEntries(metadata) }),
    ...(args.tensors && { tensors: tensorLines(checkpoint) }),
  };
}

async function writeLines(
  checkpoint: Checkpoint,
  summary: CheckpointSummary,
  cache: CacheMemory,
  args: InspectArguments,
  io: Io,
): Promise<void> {
  const style = styles(io.stdout, io.env);
  const sections = [factLines(summary), typeLines(summary, style), memoryLines(summary, cache, style)];
  if (args.metadata) {
    const rows = [...checkpoint.metadata].map(([key, value]) => [oneLine(key), metadataText(value)]);
    sections.push([style.bold(`metadata (${formatCount(rows.length)})`), ...pairs(rows)]);
  }
  if (args.tensors) sections.push(tensorTable(tensorLines(checkpoint), style));
  for (const [index, lines] of sections.entries()) {
    await io.stdout.write(`${index > 0 ? "\n" : ""}${lines.join("\n")}\n`);
  }
}

function factLines(summary: CheckpointSummary): string[] {
  const architecture = summary.supported ? summary.architecture : `${summary.architecture} (not supported yet)`;
  const figure = (value: number | null) => (value === null ? "unknown" : formatCount(value));
  const rows = [
    ["model", summary.name ?? "(no name)"],
    ["file", summary.location],
    ["format", summary.format],
    ["architecture", architecture],
    ["parameters", formatCount(summary.parameters)],
    ["layers", figure(summary.layers)],
    ["width", figure(summary.width)],
    ["feed-forward", figure(summary.hidden)],
    ["heads", `${figure(summary.heads)}, KV heads ${kvHeadsText(summary)}, head width ${figure(summary.keyWidth)}`],
    ["vocabulary", figure(summary.vocabulary)],
    ["trained for", summary.trainedContext === null ? "unknown" : `${formatCount(summary.trainedContext)} tokens`],
    ["rope", ropeText(summary)],
    ["window", summary.window === null ? "none" : `${formatCount(summary.window)} tokens`],
    ["tokenizer", summary.tokenizer ?? "none"],
    ["chat template", summary.hasChatTemplate ? "yes" : "no"],
  ];
  return pairs(rows.map(([key, value]) => [key, oneLine(value)]));
}

function kvHeadsText({ kvHeads }: CheckpointSummary): string {
  if (!kvHeads || kvHeads.length === 0) return "unknown";
  const least = kvHeads.reduce((a, b) => Math.min(a, b));
  const most = kvHeads.reduce((a, b) => Math.max(a, b));
  return least === most ? formatCount(most) : `${least} to ${most} by layer`;
}

function ropeText({ ropeBase, ropeScaling }: CheckpointSummary): string {
  const base = ropeBase === null ? "base not given" : `base ${formatCount(ropeBase)}`;
  return ropeScaling === null ? base : `${base}, scaling ${ropeScaling}`;
}

function typeLines(summary: CheckpointSummary, style: Styles): string[] {
  const columns = [
    { header: "type", align: "left" },
    { header: "tensors", align: "right" },
    { header: "elements", align: "right" },
    { header: "bytes", align: "right" },
  ] as const;
  const rows = summary.types.map(({ type, tensors, elements, bytes }) => [
    oneLine(type),
    formatCount(tensors),
    formatCount(elements),
    formatBytes(bytes),
  ]);
  const lines = tableLines(columns, rows, style.bold);
  if (summary.unsupportedTensors === 0) return lines;
  return [
    ...lines,
    `tensors of types that Sluice does not compute with yet, of unknown size: ${formatCount(summary.unsupportedTensors)}`,
  ];
}

function memoryLines(summary: CheckpointSummary, cache: CacheMemory, style: Styles): string[] {
  const tokens = cache.tokens === null ? "an unknown number of" : formatCount(cache.tokens);
  const bytes = cache.bytes === null ? "unknown" : formatBytes(cache.bytes);
  const each = cache.bytesPerToken === null ? "" : `, ${formatBytes(cache.bytesPerToken)} a token`;
  return [
    style.bold("memory"),
    ...pairs([
      ["weights", `${summary.unsupportedTensors > 0 ? "at least " : ""}${formatBytes(summary.weightBytes)}`],
      ["cache", `${bytes} for ${tokens} tokens (${cache.context}, kv ${cache.kv}${each})`],
    ]),
  ];
}

function tensorTable(tensors: readonly TensorLine[], style: Styles): string[] {
  const columns = [
    { header: `tensor (${formatCount(tensors.length)})`, align: "left" },
    { header: "shape", align: "right" },
    { header: "type", align: "left" },
    { header: "bytes", align: "right" },
  ] as const;
  const rows = tensors.map(({ name, shape, type, bytes, supported }) => [
    oneLine(name),
    shape.join(" x "),
    oneLine(supported ? type : `${type} (not supported yet)`),
    bytes === null ? "unknown" : formatCount(bytes),
  ]);
  return tableLines(columns, rows, style.bold);
}

function pairs(rows: readonly (readonly string[])[]): string[] {
  const columns = [
    { header: "", align: "left" },
    { header: "", align: "left" },
  ] as const;
  return tableLines(columns, rows).slice(1);
}
