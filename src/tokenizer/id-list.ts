/** A growing list of token ids: texts of millions of tokens without boxed numbers or spread arguments. */
export class IdList {
  private ids = new Int32Array(256);
  private length = 0;

  get size(): number {
    return this.length;
  }

  push(id: number): void {
    if (this.length === this.ids.length) this.grow(this.length + 1);
    this.ids[this.length++] = id;
  }

  pushAll(ids: readonly number[]): void {
    if (this.length + ids.length > this.ids.length) this.grow(this.length + ids.length);
    this.ids.set(ids, this.length);
    this.length += ids.length;
  }

  /** Drops everything after the first `size` ids. */
  truncate(size: number): void {
    this.length = size;
  }

  last(): number | undefined {
    return this.length > 0 ? this.ids[this.length - 1] : undefined;
  }

  /** A copy of the ids from `start` on. */
  from(start: number): number[] {
    return Array.from(this.ids.subarray(start, this.length));
  }

  toArray(): Int32Array {
    return this.ids.slice(0, this.length);
  }

  private grow(least: number): void {
    const larger = new Int32Array(Math.max(least, this.ids.length * 2));
    larger.set(this.ids.subarray(0, this.length));
    this.ids = larger;
  }
}
