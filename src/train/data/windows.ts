/**
 * Windows of a long row of tokens as samples. Training goes through all of it once an epoch, in random order; the windows
 * of an epoch don't overlap (but for the one token that is the last target and the next one's first input), and each epoch
 * has another offset, so that borders move. Sample n follows from the seed and n alone: there is no state to save.
 */
import { ArgumentError } from "../../util/errors.js";
import { permutation } from "./permutation.js";
import { randomFor, type Sample, type SampleSource } from "./sample.js";
import type { TokenSequence } from "./token-sequence.js";

export interface WindowsOptions {
  readonly seed: number;
  readonly name?: string;
}

/** The place of a sample: window `index` in the order of its epoch. */
export interface WindowPlace {
  readonly epoch: number;
  readonly index: number;
  /** First token. */
  readonly start: number;
}

/** Training windows, shuffled. */
export class ShuffledWindows implements SampleSource {
  readonly name: string;
  private readonly tokens: TokenSequence;
  private readonly seed: number;
  /** That of the epoch and length last asked for. */
  private order = { epoch: -1, length: 0, offset: 0, windowAt: (place: number) => place };

  constructor(tokens: TokenSequence, { seed, name = "text" }: WindowsOptions) {
    this.name = name;
    this.tokens = tokens;
    this.seed = seed;
  }

  /** Windows of an epoch. Where there are several, one is left out, which gives the offset its play. */
  windows(length: number): number {
    return Math.max(1, wholeWindows(this.tokens, length) - 1);
  }

  /** @throws ArgumentError for lengths beyond the tokens */
  place(n: number, length: number): WindowPlace {
    const windows = this.windows(length);
    const epoch = Math.floor(n / windows);
    const index = n % windows;
    if (this.order.epoch !== epoch || this.order.length !== length) this.order = this.orderOf(epoch, length);
    const { offset, windowAt } = this.order;
    return { epoch, index, start: offset + windowAt(index) * length };
  }

  async sample(n: number, length: number): Promise<Sample> {
    return windowAt(this.tokens, this.place(n, length).start, length);
  }

  private orderOf(epoch: number, length: number) {
    const windows = this.windows(length);
    const random = randomFor(this.seed, epoch, length);
    const play = this.tokens.count - 1 - windows * length;
    const offset = random.below(play + 1);
    return { epoch, length, offset, windowAt: permutation(windows, random) };
  }
}

/** Windows for evaluation: from the first token on, in order, each token predicted once. What fills no window is left out. */
export class WindowsInOrder implements SampleSource {
  readonly name: string;
  private readonly tokens: TokenSequence;

  constructor(tokens: TokenSequence, name = "held out") {
    this.name = name;
    this.tokens = tokens;
  }

  windows(length: number): number {
    return wholeWindows(this.tokens, length);
  }

  /** @throws ArgumentError for n beyond the windows */
  async sample(n: number, length: number): Promise<Sample> {
    const windows = this.windows(length);
    if (n >= windows) throw new ArgumentError(`There are ${windows} windows of ${length} tokens; found number ${n}.`);
    return windowAt(this.tokens, n * length, length);
  }
}

function wholeWindows({ count }: TokenSequence, length: number): number {
  const windows = Math.floor((count - 1) / length);
  if (Number.isInteger(length) && length >= 1 && windows >= 1) return windows;
  throw new ArgumentError(
    `A window of ${length} tokens and its last target doesn't fit into ${count} tokens. Give more text or a shorter length.`,
    { length, tokens: count },
  );
}

async function windowAt(tokens: TokenSequence, start: number, length: number): Promise<Sample> {
  return { ids: await tokens.read(start, length + 1), weights: new Float32Array(length).fill(1) };
}
