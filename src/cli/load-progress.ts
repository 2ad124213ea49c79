/** Loads a model while standard error shows how far it is and, before the memory is taken, what will be taken. */
import type { LoadOptions, LoadProgress, MemoryPlan, Model, SessionOptions } from "../engine/api.js";
import { counted, formatBytes } from "./figures.js";
import type { Io } from "./io.js";
import { StatusLines } from "./status-line.js";
import { styles } from "./style.js";

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
  let phase: LoadProgress["phase"] | undefined;
  return {
    onProgress(progress) {
      // A new phase is always shown; within one, some times a second is enough.
      const begins = progress.phase !== phase;
      phase = progress.phase;
      void (begins ? status.draw(progressLines(progress)) : status.update(() => progressLines(progress)));
    },
    end: () => status.clear(),
  };
}

export interface LoadRequest {
  readonly reference: string;
  readonly options: LoadOptions;
  /** The session that is to come: at a terminal, what it will take is told before it is made. */
  readonly session?: SessionOptions;
  readonly quiet: boolean;
}

/** @throws SluiceError of every kind */
export async function loadModel(io: Io, { reference, options, session, quiet }: LoadRequest): Promise<Model> {
  const progress = progressLine(io, quiet);
  let model: Model;
  try {
    model = await io.runtime.load(reference, { ...options, onProgress: progress.onProgress });
  } finally {
    await progress.end();
  }
  if (!session || quiet || !io.stderr.isTTY) return model;
  try {
    const plan = describePlan(await model.plan(session));
    await io.stderr.write(`${styles(io.stderr, io.env).dim(`memory: ${plan}`)}\n`);
    return model;
  } catch (error) {
    await model.dispose();
    throw error;
  }
}

function progressLines({ phase, doneBytes, totalBytes, plan }: LoadProgress): string[] {
  const lines = plan ? [`weights take ${formatBytes(plan.weightBytes)}${describeFree(plan)}`] : [];
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
    `cache ${formatBytes(plan.cacheBytes)} (${counted(plan.cacheTokens, "token")})`,
    `work ${formatBytes(plan.activationBytes)}`,
  ];
  return `${parts.join(" + ")}${describeFree(plan)}`;
}

function describeFree({ availableBytes }: MemoryPlan): string {
  return availableBytes === null ? "" : `, of ${formatBytes(availableBytes)} free`;
}
