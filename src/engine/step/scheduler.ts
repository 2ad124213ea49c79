/**
 * Which texts of a model read in the next step. All that write take part with their one row; then pieces of prompts, so many
 * that those who write wait about as long as a step should take (piece-budget.ts), the shortest prompts first. A text's
 * numbers are those that it has alone: prompts are cut at multiples of StepRunner.pieceRows.
 *
 * Texts hand in what they want as they go: who has just got its logits needs a moment for its next wish, so a step that would
 * begin without a text that was in the last one waits for it a little.
 */
import type { SequenceMemory } from "../../context/sequence-memory.js";
import { FEW_ROWS } from "../../tensor/backend.js";
import { CancelledError } from "../../util/errors.js";
import { platform } from "../../util/platform.js";
import { PieceBudget } from "./piece-budget.js";
import type { Outcome, StepRunner } from "./step-runner.js";
import type { Want } from "./want.js";

/** How long a step should take where texts are being written, in milliseconds: about what a reader takes for a pause. */
const TARGET_MS = 100;
/** Of the time of the last step, what the next one waits at most for texts that were in it; and at most so many milliseconds. */
const WAITED_SHARE = 0.05;
const MOST_WAITED_MS = 5;
/** Of the event loop, meanwhile. */
const MOST_TURNS = 1000;
/** A prompt that so many steps have left out comes before shorter ones. */
const PATIENCE = 8;

/** What a text wants to read. */
export interface Reading<R> extends Omit<Want<R>, "use" | "many"> {
  /** Sees the logits of the last of the first `count` ids, or of all; valid during the call only. */
  readonly use: (logits: Float32Array, count: number) => R;
  /** They are what is left of a chunk of a prompt, of which the step may read the beginning; absent: it reads all of them. */
  readonly prompt?: PromptPiece | undefined;
  /** Most rows of a step. */
  readonly most: number;
}

export interface PromptPiece {
  /** Tokens of the chunk; at multiples of StepRunner.pieceRows from its first one it may be cut. */
  readonly chunk: number;
  /** Tokens of the whole prompt that are still to be read. */
  readonly left: number;
}

/** What all texts of a model have read so far. */
export interface StepCounts {
  /** Steps, their milliseconds in all, and those of the newest. */
  readonly steps: number;
  readonly stepMs: number;
  readonly lastStepMs: number;
  /** Texts in the newest step, and wishes that wait for one. */
  readonly texts: number;
  readonly waiting: number;
  /** Tokens of prompts and scores, and tokens that the model had written, that steps have read. */
  readonly givenTokens: number;
  readonly writtenTokens: number;
}

interface Waiting {
  readonly reading: Reading<unknown>;
  readonly settle: (outcome: Outcome<unknown>) => void;
  /** Steps that have left it out. */
  left: number;
}

/** A reading in a step, with the ids that it reads there. */
interface Chosen {
  readonly waiting: Waiting;
  readonly count: number;
}

export class Scheduler {
  private waiting: Waiting[] = [];
  private isRunning = false;
  /** Who took part in the last step, and how long it took. */
  private last: readonly SequenceMemory[] = [];
  private lastMs = 0;
  private readonly budget = new PieceBudget(TARGET_MS);
  private readonly sums = { steps: 0, stepMs: 0, givenTokens: 0, writtenTokens: 0 };

  constructor(readonly runner: StepRunner) {}

  /**
   * Reads ids, of a prompt's chunk the first ones; what `use` gave. When it fails, the state is as before.
   * @throws CancelledError, NumericError for logits that are not finite, and for keys and values that do not fit into the cache
   */
  read<R>(reading: Reading<R>): Promise<R> {
    return new Promise((resolve, reject) => {
      const settle = (outcome: Outcome<unknown>) => {
        if (outcome.status === "rejected") reject(outcome.reason);
        else resolve(outcome.value as R);
      };
      this.waiting.push({ reading, settle, left: 0 });
      if (!this.isRunning) void this.run();
    });
  }

  get counts(): StepCounts {
    return { ...this.sums, lastStepMs: this.lastMs, texts: this.last.length, waiting: this.waiting.length };
  }

  /** A text wants nothing for now: no step waits for it. */
  rests(state: SequenceMemory): void {
    if (this.last.includes(state)) this.last = this.last.filter((other) => other !== state);
  }

  /** A text goes: what it still wants fails with the reason. The step that is running is not broken off. */
  leave(state: SequenceMemory, reason: unknown): void {
    const own = this.waiting.filter(({ reading }) => reading.state === state);
    this.waiting = this.waiting.filter((one) => !own.includes(one));
    this.rests(state);
    for (const { settle } of own) settle({ status: "rejected", reason });
  }

  private async run(): Promise<void> {
    this.isRunning = true;
    try {
      while (this.waiting.length > 0) {
        if (this.isMissing()) await this.gather();
        this.tellCancelled();
        const chosen = this.choose();
        if (chosen.length > 0) await this.step(chosen);
      }
    } finally {
      this.isRunning = false;
    }
  }

  /** What was cancelled while it waited need not wait for its turn to hear so. */
  private tellCancelled(): void {
    const gone = this.waiting.filter(({ reading }) => reading.cancel?.aborted);
    if (gone.length === 0) return;
    this.waiting = this.waiting.filter((one) => !gone.includes(one));
    for (const { settle } of gone) settle({ status: "rejected", reason: new CancelledError() });
  }

  /** Whether a text that was in the last step wants nothing yet. */
  private isMissing(): boolean {
    return this.last.some((state) => !this.waiting.some(({ reading }) => reading.state === state));
  }

  private async gather(): Promise<void> {
    const until = performance.now() + Math.min(this.lastMs * WAITED_SHARE, MOST_WAITED_MS);
    for (let turn = 0; turn < MOST_TURNS; turn++) {
      await platform().yieldToEvents();
      if (!this.isMissing() || performance.now() >= until) return;
    }
  }

  /** Takes those that read in the next step from the queue. */
  private choose(): readonly Chosen[] {
    const most = this.waiting.reduce((rows, { reading }) => Math.max(rows, reading.most), 1);
    const chosen: Chosen[] = [];
    let rows = 0;
    for (const waiting of this.waiting) {
      const { ids, prompt } = waiting.reading;
      if (prompt || (rows > 0 && rows + ids.length > most)) continue;
      chosen.push({ waiting, count: ids.length });
      rows += ids.length;
    }
    const { pieceRows } = this.runner;
    let room = rows === 0 ? most : Math.max(pieceRows, Math.min(most - rows, this.budget.pieces * pieceRows));
    for (const waiting of this.prompts()) {
      const { length } = waiting.reading.ids;
      // One row alone is not left (see Want.many).
      const count = length <= room + 1 ? length : room - (room % pieceRows);
      if (count === 0) break;
      chosen.push({ waiting, count });
      room -= count;
    }
    const taken = new Set(chosen.map(({ waiting }) => waiting));
    this.waiting = this.waiting.filter((one) => !taken.has(one));
    for (const one of this.waiting) one.left++;
    return chosen;
  }

  /** In the order in which they are read: those left out for long, then the shortest. */
  private prompts(): readonly Waiting[] {
    const impatient = ({ left }: Waiting) => (left >= PATIENCE ? left : 0);
    const length = ({ reading }: Waiting) => reading.prompt?.left ?? 0;
    const all = this.waiting.filter(({ reading }) => reading.prompt);
    return all.length < 2 ? all : all.sort((a, b) => impatient(b) - impatient(a) || length(a) - length(b));
  }

  private async step(chosen: readonly Chosen[]): Promise<void> {
    const started = performance.now();
    const outcomes = await this.outcomes(chosen);
    this.lastMs = performance.now() - started;
    this.last = chosen.map(({ waiting }) => waiting.reading.state);
    this.count(chosen);
    const pieces = chosen.reduce(
      (sum, { waiting, count }) => sum + (waiting.reading.prompt ? Math.ceil(count / this.runner.pieceRows) : 0),
      0,
    );
    const areAlone = chosen.every(({ waiting }) => waiting.reading.prompt);
    if (pieces > 0 && !areAlone) this.budget.learn(pieces, this.lastMs);
    for (const [i, { waiting }] of chosen.entries()) waiting.settle(outcomes[i]);
  }

  private count(chosen: readonly Chosen[]): void {
    const { sums } = this;
    sums.steps++;
    sums.stepMs += this.lastMs;
    for (const { waiting, count } of chosen) {
      if (waiting.reading.origin === "written") sums.writtenTokens += count;
      else sums.givenTokens += count;
    }
  }

  private async outcomes(chosen: readonly Chosen[]): Promise<readonly Outcome<unknown>[]> {
    try {
      return await this.runner.step(chosen.map(wantOf));
    } catch (reason) {
      return chosen.map(() => ({ status: "rejected", reason }));
    }
  }
}

function wantOf({ waiting: { reading }, count }: Chosen): Want<unknown> {
  const { use, ids, prompt, ...others } = reading;
  return {
    ...others,
    ids: count === ids.length ? ids : ids.subarray(0, count),
    use: (logits) => use(logits, count),
    many: prompt && prompt.chunk >= FEW_ROWS,
  };
}
