/** Adds up work and time: tokens per second of prefill and of decoding, apart. */
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

  clear(): void {
    this.tokens = 0;
    this.elapsedMs = 0;
  }
}
