/** Adds up work and time: tokens per second of prefill and of decoding, apart. */

export interface SpeedSums {
  readonly tokens: number;
  readonly elapsedMs: number;
}

export class Speed {
  private tokens = 0;
  private elapsedMs = 0;

  add(tokens: number, elapsedMs: number): void {
    this.tokens += tokens;
    this.elapsedMs += elapsedMs;
  }

  /** null before anything was measured. */
  get tokensPerSecond(): number | null {
    return this.elapsedMs > 0 ? (1000 * this.tokens) / this.elapsedMs : null;
  }

  /** What was added up, to go back to. */
  get sums(): SpeedSums {
    return { tokens: this.tokens, elapsedMs: this.elapsedMs };
  }

  back({ tokens, elapsedMs }: SpeedSums): void {
    this.tokens = tokens;
    this.elapsedMs = elapsedMs;
  }

  clear(): void {
    this.tokens = 0;
    this.elapsedMs = 0;
  }
}
