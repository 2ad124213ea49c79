/**
 * What a person sees of a training run. At a terminal one line is redrawn for each step, and evaluations stay; elsewhere a
 * plain line comes every so often. With --json the log's lines go to standard output.
 */
import type {
  EvaluationLine,
  LogLine,
  PrepareProgress,
  StepLine,
  TrainingConfig,
  TrainingRun,
} from "../../train/index.js";
import { runnable } from "../command-name.js";
import { counted, formatBytes, formatCount, formatDuration, formatPerplexity, formatSignificant } from "../figures.js";
import type { Io } from "../io.js";
import { StatusLines } from "../status-line.js";
import { oneLine } from "../style.js";
import { stepText } from "./step-text.js";

/** Without a terminal a step's line comes once in so many milliseconds. */
const PLAIN_EVERY_MS = 10_000;
/** Weight of the newest step in the speed that the time left is told by. */
const NEWEST = 0.1;

/** The last line of --json. */
export interface ModelLine {
  readonly kind: "model";
  readonly path: string;
  readonly step: number;
  readonly parameters: number;
  readonly bytes: number;
}

const PHASES: Readonly<Record<PrepareProgress["phase"], string>> = {
  count: "counting words of file",
  merge: "merging pairs: token",
  pack: "packing texts: file",
};

export class TrainingProgress {
  private readonly status: StatusLines;
  private readonly json: boolean;
  private readonly quiet: boolean;
  private lastPlain = Number.NEGATIVE_INFINITY;
  private speed: number | undefined;
  private totalTokens = 0;
  private totalSteps = 0;
  private started = 0;
  private firstStep = 0;
  /** Writes that a step's callback could not wait for. */
  private pending: Promise<void> = Promise.resolve();

  constructor(
    private readonly io: Io,
    private readonly config: TrainingConfig,
    { json = false, quiet = false }: { readonly json?: boolean; readonly quiet?: boolean },
  ) {
    this.json = json;
    this.quiet = quiet;
    this.status = new StatusLines(io, quiet);
  }

  preparing({ phase, done, total }: PrepareProgress): void {
    void this.status.update(() => [`${PHASES[phase]} ${formatCount(done)} of ${formatCount(total)}`]);
  }

  prepared(): Promise<void> {
    return this.status.clear();
  }

  /** What is about to be trained, and from where on. */
  async begin({ trainer, folder }: TrainingRun): Promise<void> {
    this.totalTokens = trainer.totalTokens;
    this.totalSteps = trainer.totalSteps;
    this.started = this.io.now();
    this.firstStep = trainer.state.step;
    const { architecture } = this.config.model;
    const sizes = `${counted(trainer.weights.parameters, "parameter")}, ${architecture}`;
    const steps = `${counted(this.totalSteps, "step")}, ${counted(this.totalTokens, "token")}`;
    await this.say(`${this.config.name}: ${sizes}; ${steps}; in ${folder.location}`);
    if (trainer.finished) await this.say("all steps are done: writing the plot and the model again");
    else if (this.firstStep > 0) await this.say(`going on after step ${formatCount(this.firstStep)}`);
  }

  step(line: StepLine): void {
    this.output(line);
    const { tokensPerSecond } = line;
    this.speed = this.speed === undefined ? tokensPerSecond : this.speed + NEWEST * (tokensPerSecond - this.speed);
    if (this.status.visible) {
      void this.status.update(() => [this.stepText(line)]);
    } else if (this.io.now() - this.lastPlain >= PLAIN_EVERY_MS) {
      this.lastPlain = this.io.now();
      void this.say(this.stepText(line));
    }
  }

  measuring(source: string): void {
    void this.status.update(() => [`measuring ${source} ...`]);
  }

  evaluation(line: EvaluationLine): void {
    this.output(line);
    const results = Object.entries(line.results).map(([name, { loss, accuracy }]) =>
      accuracy === null
        ? `${name} ${formatSignificant(loss)} nats (perplexity ${formatPerplexity(Math.exp(loss))})`
        : `${name} ${(100 * accuracy).toFixed(1)}% right`,
    );
    if (results.length > 0) void this.say(`after step ${formatCount(line.step)}: ${results.join("; ")}`);
  }

  /** All steps are done; `path` is the model's. */
  async finished(run: TrainingRun, path: string, bytes: number): Promise<void> {
    const { trainer, log } = run;
    const { step, tokens } = trainer.state;
    const last = log.findLast((line) => line.kind === "step");
    const since = this.firstStep > 0 ? ` since step ${formatCount(this.firstStep)}` : "";
    if (step > this.firstStep) {
      const elapsed = formatDuration(this.io.now() - this.started);
      await this.say(
        `done: ${counted(step, "step")}, ${counted(tokens, "token")}, ${elapsed}${since}; ` +
          `loss of the last step ${last?.loss.toFixed(4) ?? "-"}`,
      );
    }
    const { parameters } = trainer.weights;
    if (this.json) this.output({ kind: "model", path, step, parameters, bytes });
    await this.say(`${path}: ${counted(parameters, "parameter")} in F16, ${formatBytes(bytes)}`);
    const sample = await run.samplePrompt();
    const prompt = sample
      ? `${quoted(sample.prompt)} --temperature 0 --max-tokens ${sample.tokens}`
      : '"..." --max-tokens 100';
    await this.say(`try: sluice run ${quoted(path)} --prompt ${prompt}`);
    if (sample) await this.say(`it should write: ${oneLine(sample.answer)}`);
    if (!this.json && (this.quiet || !this.io.stdout.isTTY)) await this.io.stdout.write(`${path}\n`);
  }

  /** The run was cancelled. `flags` are those to repeat. */
  async stopped({ trainer, folder }: TrainingRun, flags: string): Promise<void> {
    const { step } = trainer.state;
    const kept = step === 0 ? "no step was finished" : `step ${formatCount(step)} is in a checkpoint`;
    await this.say(`stopped: ${kept}. Go on with: sluice train --resume ${quoted(folder.location)}${flags}`);
  }

  /** A line that stays, on standard error. */
  say(text: string): Promise<void> {
    if (this.quiet) return Promise.resolve();
    this.pending = this.pending.then(async () => {
      await this.status.clear();
      await this.io.stderr.write(`${runnable(text, this.io)}\n`);
    });
    return this.pending;
  }

  async end(): Promise<void> {
    await this.pending;
    await this.status.clear();
  }

  private output(line: LogLine | ModelLine): void {
    if (!this.json) return;
    this.pending = this.pending.then(() => this.io.stdout.write(`${JSON.stringify(line)}\n`));
  }

  private stepText(line: StepLine): string {
    const { totalSteps, totalTokens, speed = 0 } = this;
    const columns = this.io.stderr.isTTY ? this.io.stderr.columns : undefined;
    return stepText({ line, totalSteps, totalTokens, speed }, columns);
  }
}

/** A path as a shell takes it. */
export function quoted(path: string): string {
  return /^[\w./:@%+,=-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
