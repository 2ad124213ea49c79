/** A run's log: a line of JSON for each step and each evaluation, in the order in which they happened. */

import { isObject } from "../formats/json-file.js";
import { FormatError } from "../util/errors.js";
import { fileWriter } from "./export/save.js";
import type { RunFolder } from "./run-folder.js";
import type { StepReport } from "./trainer.js";

const NAME = "log.jsonl";

export interface StepLine {
  readonly kind: "step";
  readonly step: number;
  readonly stage: string;
  readonly tokens: number;
  readonly loss: number;
  readonly lossBySource: Readonly<Record<string, number>>;
  readonly rate: number;
  readonly gradientNorm: number;
  readonly tokensPerSecond: number;
}

export interface TaskResult {
  /** Mean in nats of the predictions that count. */
  readonly loss: number;
  /** Of a task: the part of the answers' tokens that were the most probable ones. */
  readonly accuracy: number | null;
  /** Predictions measured. */
  readonly tokens: number;
}

export interface EvaluationLine {
  readonly kind: "evaluation";
  readonly step: number;
  readonly stage: string;
  /** By source; `held-out` is the text that is not learned. */
  readonly results: Readonly<Record<string, TaskResult>>;
}

export type LogLine = StepLine | EvaluationLine;

export function stepLine(report: StepReport, tokensPerSecond: number): StepLine {
  const { step, stageName: stage, tokens, loss, lossBySource, rate, gradientNorm } = report;
  return { kind: "step", step, stage, tokens, loss, lossBySource, rate, gradientNorm, tokensPerSecond };
}

export async function appendLog(folder: RunFolder, line: LogLine): Promise<void> {
  await fileWriter().append(folder.path(NAME), new TextEncoder().encode(`${JSON.stringify(line)}\n`));
}

/** The lines up to a step. A last line that was cut short by a crash is left out. */
export async function readLog(folder: RunFolder, lastStep: number): Promise<LogLine[]> {
  const text = (await folder.has(NAME)) ? await folder.read(NAME) : "";
  const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
  return lines
    .filter((line) => line !== "")
    .map((line, index) => parse(folder, line, index))
    .filter(({ step }) => step <= lastStep);
}

/** Drops what was logged after the step from which a run goes on. */
export async function cutLog(folder: RunFolder, lastStep: number): Promise<LogLine[]> {
  const lines = await readLog(folder, lastStep);
  await folder.write(NAME, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  return lines;
}

function parse(folder: RunFolder, text: string, index: number): LogLine {
  const where = `${folder.path(NAME)}: line ${index + 1}`;
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch {
    throw new FormatError(`${where} is no JSON. Remove it, or begin a new run.`);
  }
  if (isLogLine(line)) return line;
  throw new FormatError(`${where} is neither a step nor an evaluation. Remove it, or begin a new run.`);
}

function isLogLine(line: unknown): line is LogLine {
  if (!isObject(line) || typeof line.step !== "number" || typeof line.stage !== "string") return false;
  return line.kind === "evaluation" ? isObject(line.results) : line.kind === "step" && typeof line.loss === "number";
}
