/** A growing list of token ids: texts of millions of tokens without boxed numbers or spread arguments. */
export class IdList {
  #ids = new Int32Array(256);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(id: number): void {
    if (this.#size === this.#ids.length) this.#grow(this.#size + 1);
    this.#ids[this.#size++] = id;
  }

  pushAll(ids: readonly number[]): void {
    if (this.#size + ids.length > this.#ids.length) this.#grow(this.#size + ids.length);
    this.#ids.set(ids, this.#size);
    this.#size += ids.length;
  }

  /** Drops everything after the first `size` ids. */
  truncate(size: number): void {
    this.#size = size;
  }

  last(): number | undefined {
    return this.#size > 0 ? this.#ids[this.#size - 1] : undefined;
  }

  /** A copy of the ids from `start` on. */
  from(start: number): number[] {
    return Array.from(this.#ids.subarray(start, this.#size));
  }

  toArray(): Int32Array {
    return this.#ids.slice(0, this.#size);
  }

  #grow(least: number): void {
    const larger = new Int32Array(Math.max(least, this.#ids.length * 2));
    larger.set(this.#ids.subarray(0, this.#size));
    this.#ids = larger;
  }
}
