/** How far each policy and length is: lines redrawn in place at a terminal, a plain line now and then elsewhere. */
import type { Session } from "../../engine/api.js";
import { counted, formatCount, formatDuration } from "../figures.js";
import type { Io } from "../io.js";
import { writeNotes } from "../notes.js";
import { StatusLines } from "../status-line.js";
import { type PasskeyResult, percent } from "./passkey-report.js";

const PLAIN_LINE_MS = 10_000;

export class PasskeyProgress {
  private readonly status: StatusLines;
  private readonly nameWidth: number;
  private lastPlain: number;

  constructor(
    private readonly io: Io,
    private readonly results: readonly PasskeyResult[],
    private readonly quiet: boolean,
  ) {
    this.status = new StatusLines(io, quiet);
    this.nameWidth = results.reduce((width, result) => Math.max(width, nameOf(result).length), 0);
    this.lastPlain = io.now();
  }

  /** After each trial. */
  async update(current: PasskeyResult): Promise<void> {
    if (this.quiet) return;
    if (this.status.visible) {
      await this.status.update(() => this.lines());
    } else if (!current.complete && this.io.now() - this.lastPlain >= PLAIN_LINE_MS) {
      this.lastPlain = this.io.now();
      await this.io.stderr.write(`${this.line(current)}\n`);
    }
  }

  /** After a policy and length: its state is told in any case. */
  async ended(current: PasskeyResult): Promise<void> {
    if (this.quiet) return;
    if (this.status.visible) await this.status.draw(this.lines());
    else await this.io.stderr.write(`${this.line(current)}\n`);
  }

  /** What a policy's session has to say of this model, above the lines. */
  async note(session: Pick<Session, "notes">): Promise<void> {
    if (session.notes.length === 0) return;
    await this.clear();
    await writeNotes(this.io, session, this.quiet);
  }

  async clear(): Promise<void> {
    await this.status.clear();
  }

  private lines(): string[] {
    return this.results.map((result) => this.line(result));
  }

  private line(result: PasskeyResult): string {
    return `${nameOf(result).padEnd(this.nameWidth)}  ${describe(result)}`;
  }
}

function nameOf({ context, length }: PasskeyResult): string {
  return `${context} at ${formatCount(length)}`;
}

function describe({ outcomes, trials, accuracy, elapsedMs, error }: PasskeyResult): string {
  if (error !== null) return "failed";
  if (outcomes.length === 0) return "waiting";
  const left = trials - outcomes.length;
  const time =
    left > 0 ? `${formatDuration((elapsedMs / outcomes.length) * left)} left` : `took ${formatDuration(elapsedMs)}`;
  return `${formatCount(outcomes.length)}/${counted(trials, "trial")}  ${percent(accuracy)} right  ${time}`;
}
