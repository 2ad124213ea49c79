/** A long row of token ids that is read in stretches: a packed file, several of them, or ids in memory. */
import { ArgumentError } from "../../util/errors.js";

export interface TokenSequence {
  readonly count: number;
  /** Tokens [start, start + count). @throws ArgumentError outside of the sequence */
  read(start: number, count: number): Promise<Int32Array>;
}

/** Ids that are in memory already. */
export function tokensInMemory(ids: ArrayLike<number>): TokenSequence {
  const own = Int32Array.from(ids);
  return {
    count: own.length,
    async read(start, count) {
      checkRange(start, count, own.length);
      return own.slice(start, start + count);
    },
  };
}

/** Several sequences, one after the other. */
export function joinedTokens(parts: readonly TokenSequence[]): TokenSequence {
  const total = parts.reduce((sum, part) => sum + part.count, 0);
  return {
    count: total,
    async read(start, count) {
      checkRange(start, count, total);
      const ids = new Int32Array(count);
      let partStart = 0;
      for (const part of parts) {
        const from = Math.max(start, partStart);
        const to = Math.min(start + count, partStart + part.count);
        if (from < to) ids.set(await part.read(from - partStart, to - from), from - start);
        partStart += part.count;
      }
      return ids;
    },
  };
}

/** @throws ArgumentError */
export function checkRange(start: number, count: number, total: number): void {
  const whole = Number.isSafeInteger(start) && Number.isSafeInteger(count);
  if (whole && start >= 0 && count >= 0 && start + count <= total) return;
  throw new ArgumentError(`There are ${total} tokens; ${count} from ${start} on were asked for.`, {
    start,
    count,
    total,
  });
}
