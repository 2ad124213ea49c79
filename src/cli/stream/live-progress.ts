/** How far each policy is: lines redrawn in place at a terminal, a plain line now and then elsewhere. */
import type { Session } from "../../engine/api.js";
import { counted, formatCount, formatDuration, formatPerplexity, formatRate } from "../figures.js";
import type { Io } from "../io.js";
import { writeNotes } from "../notes.js";
import { StatusLines } from "../status-line.js";
import type { Measurement } from "./measurement.js";

const PLAIN_LINE_MS = 10_000;

export class LiveProgress {
  private readonly status: StatusLines;
  private readonly nameWidth: number;
  private lastPlain: number;

  /** @param runs one for each policy; an entry is filled when its policy begins */
  constructor(
    private readonly io: Io,
    private readonly names: readonly string[],
    private readonly runs: readonly (Measurement | undefined)[],
    private readonly quiet: boolean,
  ) {
    this.status = new StatusLines(io, quiet);
    this.nameWidth = names.reduce((width, name) => Math.max(width, name.length), 0);
    this.lastPlain = io.now();
  }

  /** After each part. */
  async update(current: Measurement): Promise<void> {
    if (this.quiet) return;
    if (this.status.visible) {
      await this.status.update(() => this.lines());
    } else if (this.io.now() - this.lastPlain >= PLAIN_LINE_MS) {
      this.lastPlain = this.io.now();
      await this.io.stderr.write(`${current.context}  ${describe(current)}\n`);
    }
  }

  /** After a policy: its state is told in any case. */
  async policyEnded(current: Measurement): Promise<void> {
    if (this.quiet) return;
    if (this.status.visible) await this.status.draw(this.lines());
    else await this.io.stderr.write(`${current.context}  ${describe(current)}\n`);
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
    return this.names.map((name, index) => {
      const run = this.runs[index];
      return `${name.padEnd(this.nameWidth)}  ${run ? describe(run) : "waiting"}`;
    });
  }
}

function describe(run: Measurement): string {
  const percent = run.total > 0 ? Math.floor((100 * run.tokens) / run.total) : 100;
  const parts = [
    `${formatCount(run.tokens)}/${counted(run.total, "token")} (${percent}%)`,
    formatRate(run.recentRate),
    `perplexity ${formatPerplexity(run.perplexity)}`,
  ];
  const left = run.total - run.tokens;
  if (left > 0 && run.recentRate) parts.push(`${formatDuration((1000 * left) / run.recentRate)} left`);
  if (left <= 0) parts.push(`took ${formatDuration(run.elapsedMs)}`);
  return parts.join("  ");
}
