/** The newest ids of an endless text, for penalties: a bounded list with the newest last. */
export class RecentIds {
  private ids: number[] = [];

  constructor(private readonly capacity: number) {}

  push(id: number): void {
    this.ids.push(id);
    // Cut rarely, so that a push costs nothing on average.
    if (this.ids.length >= 2 * this.capacity) this.ids = this.ids.slice(-this.capacity);
  }

  /** At least the newest `capacity` ids that were pushed, as far as there are so many. */
  get values(): ArrayLike<number> {
    return this.ids;
  }

  clear(): void {
    this.ids = [];
  }
}
