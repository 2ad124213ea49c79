/** Lines on standard error that are redrawn in place: only at a terminal, at most some times a second. */
import { cutToWidth } from "./display-width.js";
import type { Io } from "./io.js";

const REDRAW_MS = 80;

/** A block of lines below the cursor, rewritten with each `update`. Silent where standard error is no terminal. */
export class StatusLines {
  private drawn = 0;
  private lastDraw = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly io: Io,
    private readonly quiet = false,
  ) {}

  /** Whether anything is ever shown: a terminal that calls itself dumb cannot move its cursor. */
  get visible(): boolean {
    return this.io.stderr.isTTY && this.io.env.TERM !== "dumb" && !this.quiet;
  }

  /** Draws the lines unless it was just done; they are built only when they are needed. */
  async update(lines: () => readonly string[]): Promise<void> {
    if (!this.visible || this.io.now() - this.lastDraw < REDRAW_MS) return;
    await this.draw(lines());
  }

  /** Draws the lines in any case. */
  async draw(lines: readonly string[]): Promise<void> {
    if (!this.visible) return;
    // A line that wraps would take two rows, and going up would miss the first.
    const width = Math.max(0, this.io.stderr.columns - 1);
    const shown = lines.map((line) => `\x1b[2K${cutToWidth(line, width)}\n`);
    this.lastDraw = this.io.now();
    const up = this.up();
    this.drawn = lines.length;
    await this.io.stderr.write(up + shown.join(""));
  }

  /** Takes the lines away. */
  async clear(): Promise<void> {
    if (this.drawn === 0) return;
    const up = this.up();
    this.drawn = 0;
    await this.io.stderr.write(`${up}\x1b[0J`);
  }

  private up(): string {
    return this.drawn > 0 ? `\x1b[${this.drawn}A\r` : "\r";
  }
}
