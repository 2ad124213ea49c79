/**
 * Beginnings of texts that were read before, so that a session that begins in the same way takes their pages over instead of
 * reading again. Keys are rotated once, at their place in the text, and a token's keys depend on the tokens before it and on
 * what was visible of them: so a beginning is shared between sessions of the same options, as far as all of its pages are
 * still held, which means that nothing of it had been let go when it was read.
 *
 * A beginning ends at a multiple of StepRunner.pieceRows: what follows is then read as it would have been, as a piece of the same
 * chunk, so the numbers are those of a text that was read whole.
 */
import type { SequenceMemory } from "../../context/sequence-memory.js";
import { PAGE_TOKENS } from "../../tensor/kv.js";

/** Shorter beginnings are read again: taking them over costs a page of each group. */
const LEAST_TOKENS = 64;

interface Kept {
  readonly options: string;
  readonly ids: Int32Array;
  /** Nobody writes in it. */
  readonly memory: SequenceMemory;
}

/** A text that goes on from a beginning. */
export interface Taken {
  readonly memory: SequenceMemory;
  readonly tokens: number;
}

export interface PrefixOptions {
  /** Most bytes of caches and states that are kept for texts to come; pages that sessions share with them count here too. */
  readonly mostBytes: number;
  /** Where a beginning may end. */
  readonly pieceRows: number;
}

export class Prefixes {
  /** What was used last comes last. */
  private kept: Kept[] = [];
  /** How often a beginning was taken over, and tokens that were not read for that. */
  hits = 0;
  hitTokens = 0;

  constructor(private readonly options: PrefixOptions) {}

  get bytes(): number {
    return this.kept.reduce((sum, { memory }) => sum + memory.usedBytes, 0);
  }

  /** Where a beginning of at most so many tokens ends: at the end of a page and of a piece, in chunks of so many tokens. */
  cut(tokens: number, chunk: number): number {
    let end = tokens;
    do end -= (end % chunk) % this.options.pieceRows;
    while (end % PAGE_TOKENS > 0 && --end > 0);
    return end;
  }

  /** The longest known beginning of a text, if it is worth it, between two steps. @throws MemoryError */
  take(options: string, ids: Int32Array, chunk: number): Taken | undefined {
    let best: Kept | undefined;
    let most = LEAST_TOKENS - 1;
    for (const kept of this.kept) {
      if (kept.options !== options) continue;
      // Tokens are read for the logits of the last; see Want.many for why there are two.
      const common = this.cut(Math.min(commonLength(kept.ids, ids), ids.length - 2), chunk);
      const tokens = kept.memory.beginning(common);
      if (tokens <= most || tokens !== this.cut(tokens, chunk)) continue;
      best = kept;
      most = tokens;
    }
    if (!best) return undefined;
    this.use(best);
    const memory = best.memory.fork();
    if (most < memory.seen) memory.takeBack(most);
    this.hits++;
    this.hitTokens += most;
    return { memory, tokens: most };
  }

  /** Keeps a text that was read, between two steps; one that it continues is not kept any more. */
  keep(options: string, ids: Int32Array, memory: SequenceMemory): void {
    if (memory.beginning(ids.length) < LEAST_TOKENS || memory.usedBytes > this.options.mostBytes) return;
    const same = this.kept.find((kept) => kept.options === options && isBeginning(ids, kept.ids));
    if (same && same.memory.beginning(ids.length) === ids.length) {
      this.use(same);
      return;
    }
    const fork = memory.fork();
    if (!memory.isWhole(ids.length)) this.remove((kept) => kept.options === options && isBeginning(kept.ids, ids));
    this.kept.push({ options, ids, memory: fork });
    while (this.bytes > this.options.mostBytes) this.drop();
  }

  /** Gives up what was not used for longest; false: there is nothing. */
  drop(): boolean {
    const oldest = this.kept.shift();
    oldest?.memory.dispose();
    return oldest !== undefined;
  }

  clear(): void {
    this.remove(() => true);
  }

  private use(kept: Kept): void {
    this.kept = [...this.kept.filter((other) => other !== kept), kept];
  }

  private remove(which: (kept: Kept) => boolean): void {
    const gone = this.kept.filter(which);
    this.kept = this.kept.filter((kept) => !gone.includes(kept));
    for (const { memory } of gone) memory.dispose();
  }
}

function commonLength(some: Int32Array, others: Int32Array): number {
  const most = Math.min(some.length, others.length);
  let length = 0;
  while (length < most && some[length] === others[length]) length++;
  return length;
}

function isBeginning(ids: Int32Array, of: Int32Array): boolean {
  return ids.length <= of.length && commonLength(ids, of) === ids.length;
}
