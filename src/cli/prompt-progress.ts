/** How much of a prompt has been read: one line that is redrawn at a terminal, a plain line now and then elsewhere. */
import { counted, formatCount, formatDuration } from "./figures.js";
import type { Io } from "./io.js";
import { StatusLines } from "./status-line.js";

/** Without a terminal: a prompt that is read sooner needs no line. */
const PLAIN_EVERY_MS = 5_000;

export class PromptProgress {
  private readonly status: StatusLines;
  private readonly began: number;
  private lastPlain: number;
  private pending: Promise<void> = Promise.resolve();

  constructor(
    private readonly io: Io,
    private readonly quiet = false,
  ) {
    this.status = new StatusLines(io, quiet);
    this.began = io.now();
    this.lastPlain = this.began;
  }

  /** After each part of the prompt. */
  update(done: number, total: number): void {
    if (this.quiet) return;
    if (this.status.visible) {
      void this.status.update(() => [this.line(done, total)]);
    } else if (done < total && this.io.now() - this.lastPlain >= PLAIN_EVERY_MS) {
      this.lastPlain = this.io.now();
      this.pending = this.io.stderr.write(`${this.line(done, total)}\n`);
    }
  }

  /** Takes the line away; to be called in any case. */
  async clear(): Promise<void> {
    await this.pending;
    await this.status.clear();
  }

  private line(done: number, total: number): string {
    const elapsedMs = this.io.now() - this.began;
    const left = done > 0 && done < total ? `, ${formatDuration((elapsedMs / done) * (total - done))} left` : "";
    return `reading the prompt: ${formatCount(done)} of ${counted(total, "token")}${left}`;
  }
}
