/** Address ranges that commands since the last meeting of threads read and wrote: what the next one must wait for. */

/**
 * Ranges remembered between meetings: enough for the page tables of 32 sequences with several sets of heads. When there are
 * more, threads simply meet.
 */
const MOST_RANGES = 192;

export class Footprint {
  private readonly starts = new Float64Array(MOST_RANGES);
  private readonly ends = new Float64Array(MOST_RANGES);
  private readonly written = new Uint8Array(MOST_RANGES);
  private count = 0;
  private overflow = false;

  clear(): void {
    this.count = 0;
    this.overflow = false;
  }

  private add(start: number, end: number, written: number): void {
    if (this.count === MOST_RANGES) {
      this.overflow = true;
      return;
    }
    this.starts[this.count] = start;
    this.ends[this.count] = end;
    this.written[this.count++] = written;
  }

  read(start: number, bytes: number): void {
    this.add(start, start + bytes, 0);
  }

  write(start: number, bytes: number): void {
    this.add(start, start + bytes, 1);
  }

  addAll(other: Footprint): void {
    this.overflow ||= other.overflow;
    for (let i = 0; i < other.count; i++) this.add(other.starts[i], other.ends[i], other.written[i]);
  }

  conflicts(other: Footprint): boolean {
    if (this.overflow || other.overflow) return this.count > 0 && other.count > 0;
    for (let i = 0; i < this.count; i++) {
      for (let j = 0; j < other.count; j++) {
        if (this.written[i] + other.written[j] === 0) continue;
        if (this.starts[i] < other.ends[j] && other.starts[j] < this.ends[i]) return true;
      }
    }
    return false;
  }
}
