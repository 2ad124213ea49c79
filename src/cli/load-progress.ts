/** Loads a model while standard error shows how far it is and, before the memory is taken, what will be taken. */
import type { LoadOptions, LoadProgress, MemoryPlan, Model } from "../engine/api.js";
import { formatBytes, formatCount } from "./figures.js";
import type { Io } from "./io.js";
import { StatusLines } from "./status-line.js";

const PHASES: Readonly<Record<LoadProgress["phase"], string>> = {
  resolve: "looking for the model",
  download: "downloading",
  header: "reading the header",
  weights: "reading weights",
  ready: "ready",
};
const BAR_WIDTH = 24;

/** Progress for `load` and `pull`: `onProgress` to hand over, `end` to call in any case. */
export interface ProgressLine {
  readonly onProgress: (progress: LoadProgress) => void;
  end(): Promise<void>;
}

export function progressLine(io: Io, quiet: boolean): ProgressLine {
  const status = new StatusLines(io, quiet);
  return {
    onProgress: (progress) => void status.update(() => progressLines(progress)),
    end: () => status.clear(),
  };
}

/** The model with these options; what it takes is told at a terminal. @throws SluiceError of every kind */
export async function loadModel(io: Io, reference: string, options: LoadOptions, quiet: boolean): Promise<Model> {
  const progress = progressLine(io, quiet);
  try {
    return await io.runtime.load(reference, { ...options, onProgress: progress.onProgress });
  } finally {
    await progress.end();
  }
}

function progressLines({ phase, doneBytes, totalBytes, plan }: LoadProgress): string[] {
  const lines = plan ? [`memory: ${describePlan(plan)}`] : [];
  if (totalBytes <= 0) return [...lines, PHASES[phase]];
  const share = Math.min(1, Math.max(0, doneBytes / totalBytes));
  const full = Math.round(share * BAR_WIDTH);
  const bar = `[${"#".repeat(full)}${"-".repeat(BAR_WIDTH - full)}]`;
  return [...lines, `${PHASES[phase]} ${bar} ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`];
}

/** "weights 1.17 GB + cache 46.1 MB (2,048 tokens) + work 20 MB, of 12.3 GB free". */
export function describePlan(plan: MemoryPlan): string {
  const parts = [
    `weights ${formatBytes(plan.weightBytes)}`,
    `cache ${formatBytes(plan.cacheBytes)} (${formatCount(plan.cacheTokens)} tokens)`,
    `work ${formatBytes(plan.activationBytes)}`,
  ];
  const free = plan.availableBytes === null ? "" : `, of ${formatBytes(plan.availableBytes)} free`;
  return `${parts.join(" + ")}${free}`;
}
