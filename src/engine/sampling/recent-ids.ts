/** The newest ids of an endless text, for penalties: a bounded list with the newest last. */

/** Ids that may be taken back at once. */
const SPARE = 1024;

export class RecentIds {
  private ids: number[] = [];
  private pushes = 0;

  constructor(private readonly capacity: number) {}

  push(id: number): void {
    this.pushes++;
    this.ids.push(id);
    // Cut rarely, so that a push costs nothing on average.
    const most = this.capacity + SPARE;
    if (this.ids.length >= 2 * most) this.ids = this.ids.slice(-most);
  }

  /** At least the newest `capacity` ids that were pushed, as far as there are so many. */
  get values(): ArrayLike<number> {
    return this.ids;
  }

  /** How many were pushed since it was empty. */
  get pushed(): number {
    return this.pushes;
  }

  /** Takes the newest back, of which there are at most 1,024, so that `pushed` are left. */
  takeBack(pushed: number): void {
    this.ids.length -= this.pushes - pushed;
    this.pushes = pushed;
  }

  clear(): void {
    this.ids = [];
    this.pushes = 0;
  }
}
