/** The demonstration while it runs: a table redrawn in place at a terminal, a plain line now and then elsewhere. */
import type { Session } from "../../engine/api.js";
import { counted, formatBytes, formatCount, formatDuration, formatPerplexity, formatSignificant } from "../figures.js";
import type { Io } from "../io.js";
import { writeNotes } from "../notes.js";
import { StatusLines } from "../status-line.js";
import type { PolicyRun } from "./policy-run.js";
import { runTable } from "./run-table.js";

const PLAIN_LINE_MS = 5_000;

export class LiveTable {
  private readonly status: StatusLines;
  private readonly began: number;
  private lastPlain: number;

  /** @param window tokens of the newer perplexity */
  constructor(
    private readonly io: Io,
    private readonly runs: readonly PolicyRun[],
    private readonly window: number,
    private readonly quiet: boolean,
  ) {
    this.status = new StatusLines(io, quiet);
    this.began = io.now();
    this.lastPlain = this.began;
  }

  /** After each part. */
  async update(run: PolicyRun): Promise<void> {
    if (this.quiet) return;
    if (this.status.visible) {
      await this.status.update(() => this.lines(run));
    } else if (this.io.now() - this.lastPlain >= PLAIN_LINE_MS) {
      this.lastPlain = this.io.now();
      await this.io.stderr.write(this.plainLine(run));
    }
  }

  /** After a policy: its state is told in any case. */
  async policyEnded(run: PolicyRun): Promise<void> {
    if (this.quiet) return;
    if (this.status.visible) await this.status.draw(this.lines(run));
    else await this.io.stderr.write(this.plainLine(run));
  }

  /** What a policy's session has to say of this model, above the table. */
  async note(session: Pick<Session, "notes">): Promise<void> {
    if (session.notes.length === 0) return;
    await this.clear();
    await writeNotes(this.io, session, this.quiet);
  }

  async clear(): Promise<void> {
    await this.status.clear();
  }

  private lines(current: PolicyRun): string[] {
    return [...runTable(this.runs, this.window), "", this.footer(current)];
  }

  private footer(run: PolicyRun): string {
    const parts = [`process memory ${formatBytes(this.io.runtime.residentMemoryBytes())}`];
    parts.push(`${formatDuration(this.io.now() - this.began)} so far`);
    const { measurement } = run;
    if (measurement && run.ending === undefined) {
      const percent = Math.floor((100 * measurement.tokens) / Math.max(1, measurement.total));
      parts.unshift(`${run.name}: ${percent}% of ${counted(measurement.total, "token")}`);
    }
    return parts.join("  ");
  }

  private plainLine(run: PolicyRun): string {
    const { measurement } = run;
    if (run.error !== null) return `${run.name}  ${run.error}\n`;
    if (!measurement) return `${run.name}  nothing read\n`;
    const parts = [
      `${formatCount(measurement.tokens)}/${counted(measurement.total, "token")}`,
      `perplexity ${formatPerplexity(measurement.perplexity)}`,
    ];
    if (!run.plan.sampled) {
      parts.push(`last ${formatCount(this.window)}: ${formatPerplexity(measurement.perplexityOfLast(this.window))}`);
    }
    const rate = measurement.recentRate;
    parts.push(`${formatSignificant(rate ? 1000 / rate : Number.NaN)} ms/token`);
    const { usage } = measurement;
    if (usage) parts.push(`cache ${counted(usage.kept, "token")}, ${formatBytes(usage.cacheBytes)}`);
    parts.push(`memory ${formatBytes(this.io.runtime.residentMemoryBytes())}`);
    return `${run.name}  ${parts.join("  ")}\n`;
  }
}
