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
import { formatCount, formatDuration, formatPerplexity, formatSignificant } from "../figures.js";
import type { Io } from "../io.js";
import { StatusLines } from "../status-line.js";

/** Without a terminal a step's line comes once in so many milliseconds. */
const PLAIN_EVERY_MS = 10_000;
/** Weight of the newest step in the speed that the time left is told by. */
const NEWEST = 0.1;

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
  async begin(run: TrainingRun): Promise<void> {
    const { trainer } = run;
    this.totalTokens = trainer.totalTokens;
    this.totalSteps = trainer.totalSteps;
    const { architecture } = this.config.model;
    const sizes = `${formatCount(trainer.weights.parameters)} parameters, ${architecture}`;
    const steps = `${formatCount(this.totalSteps)} steps, ${formatCount(this.totalTokens)} tokens`;
    await this.say(`${this.config.name}: ${sizes}; ${steps}; in ${run.folder.location}`);
    if (trainer.state.step > 0) await this.say(`going on after step ${formatCount(trainer.state.step)}`);
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

  evaluation(line: EvaluationLine): void {
    this.output(line);
    const results = Object.entries(line.results).map(([name, { loss, accuracy }]) =>
      accuracy === null
        ? `${name} ${formatSignificant(loss)} nats (perplexity ${formatPerplexity(Math.exp(loss))})`
        : `${name} ${(100 * accuracy).toFixed(1)}% right`,
    );
    if (results.length > 0) void this.say(`after step ${formatCount(line.step)}: ${results.join("; ")}`);
  }

  /** The run was cancelled. */
  async stopped({ trainer, folder }: TrainingRun): Promise<void> {
    const { step } = trainer.state;
    const kept = step === 0 ? "no step was finished" : `step ${formatCount(step)} is in a checkpoint`;
    await this.say(`stopped: ${kept}. Go on with: sluice train --resume ${folder.location}`);
  }

  /** A line that stays, on standard error. */
  say(text: string): Promise<void> {
    if (this.quiet) return Promise.resolve();
    this.pending = this.pending.then(async () => {
      await this.status.clear();
      await this.io.stderr.write(`${text}\n`);
    });
    return this.pending;
  }

  async end(): Promise<void> {
    await this.pending;
    await this.status.clear();
  }

  private output(line: LogLine): void {
    if (!this.json) return;
    this.pending = this.pending.then(() => this.io.stdout.write(`${JSON.stringify(line)}\n`));
  }

  private stepText({ step, stage, tokens, loss, rate }: StepLine): string {
    const speed = this.speed ?? 0;
    const left = speed > 0 ? formatDuration(((this.totalTokens - tokens) / speed) * 1000) : "-";
    return (
      `${stage}: step ${formatCount(step)} of ${formatCount(this.totalSteps)}, loss ${loss.toFixed(4)}, ` +
      `rate ${rate.toPrecision(3)}, ${formatCount(speed)} tok/s, ${left} left`
    );
  }
}
