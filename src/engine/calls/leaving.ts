/** How an iteration is told to end: by the caller's signal, or because the caller left it. */
import { CancelledError } from "../../util/errors.js";
import type { Part } from "../api.js";

/** What work looks at between its pieces. */
export class Cancel {
  private left = false;

  constructor(private readonly signal: { readonly aborted: boolean } | undefined) {}

  get aborted(): boolean {
    return this.left || this.signal?.aborted === true;
  }

  /** Nobody wants what is still to come. */
  leave(): void {
    this.left = true;
  }

  /** @throws CancelledError once it was aborted */
  readonly check = (): void => {
    if (this.aborted) throw new CancelledError();
  };

  /** What `work` gives; undefined when it was cancelled before or meanwhile. */
  async unless<R>(work: () => R | Promise<R>): Promise<R | undefined> {
    if (this.aborted) return undefined;
    try {
      return await work();
    } catch (error) {
      if (error instanceof CancelledError) return undefined;
      throw error;
    }
  }
}

/** The last part of what was cancelled before it gave anything. */
export const CANCELLED: Part = { text: "", id: undefined, finish: "cancelled" };

/**
 * A generator whose `return` and `throw` take effect at once. An async generator queues them behind a pending `next`, which
 * may be a long prefill; so the work is cancelled first.
 */
export function leaving<P>(
  generator: AsyncGenerator<P, void, undefined>,
  cancel: () => void,
): AsyncGenerator<P, void, undefined> {
  const plainReturn = generator.return.bind(generator);
  const plainThrow = generator.throw.bind(generator);
  return Object.assign(generator, {
    return: (value: void | PromiseLike<void>) => {
      cancel();
      return plainReturn(value);
    },
    throw: (error: unknown) => {
      cancel();
      return plainThrow(error);
    },
  });
}
