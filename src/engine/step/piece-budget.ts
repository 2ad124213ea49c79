/**
 * How much of prompts a step reads beside texts that are being written, so that it takes about as long as it should: learned
 * from what such steps took. A step reads one piece at least, however long that takes.
 */
export class PieceBudget {
  /** Pieces of a prompt in the next step. */
  pieces = 1;

  /** @param targetMs how long a step should take */
  constructor(private readonly targetMs: number) {}

  /** A step that read so many pieces beside others took so long. */
  learn(pieces: number, ms: number): void {
    const fitting = Math.floor((pieces * this.targetMs) / ms);
    if (ms > this.targetMs) this.pieces = Math.max(1, Math.min(this.pieces, pieces - 1, fitting));
    // Part of the time is the same for every step, so more would have fitted than in proportion: it grows from step to step.
    else if (pieces >= this.pieces) this.pieces = Math.min(2 * pieces, Math.max(pieces, fitting));
  }
}
