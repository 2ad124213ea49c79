/** Which texts read in which step, told by a runner that computes nothing and takes as long as it is told. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SequenceMemory } from "../../../src/context/sequence-memory.js";
import { PieceBudget } from "../../../src/engine/step/piece-budget.js";
import { type Reading, Scheduler } from "../../../src/engine/step/scheduler.js";
import type { StepRunner } from "../../../src/engine/step/step-runner.js";
import type { Want } from "../../../src/engine/step/want.js";
import { CancelledError } from "../../../src/util/errors.js";

const PIECE = 16;
const CHUNK = 256;

/** Texts that read in steps: by name, the rows of each. */
class Stage {
  readonly steps: Record<string, number>[] = [];
  /** Milliseconds of a step of so many rows. */
  cost = (rows: number) => 10 * rows;
  now = 0;
  readonly scheduler: Scheduler;
  private readonly names = new Map<SequenceMemory, string>();

  constructor() {
    vi.spyOn(performance, "now").mockImplementation(() => this.now);
    const step = async (wants: readonly Want<unknown>[]) => {
      this.steps.push(Object.fromEntries(wants.map(({ state, ids }) => [this.names.get(state), ids.length])));
      this.now += this.cost(wants.reduce((rows, { ids }) => rows + ids.length, 0));
      await new Promise(setImmediate);
      return wants.map(({ use, cancel }) =>
        cancel?.aborted
          ? { status: "rejected", reason: new CancelledError() }
          : { status: "fulfilled", value: use(new Float32Array(0)) },
      );
    };
    // Of a runner it is the steps that count, of a memory which it is.
    this.scheduler = new Scheduler({ step, pieceRows: PIECE } as unknown as StepRunner);
  }

  text(name: string): SequenceMemory {
    const memory = {} as SequenceMemory;
    this.names.set(memory, name);
    return memory;
  }

  /** Writes so many tokens. */
  async write(name: string, tokens: number): Promise<void> {
    const state = this.text(name);
    for (let i = 0; i < tokens; i++) await this.scheduler.read({ ...wish(state, 1), origin: "written" });
    this.scheduler.rests(state);
  }

  /** Reads a prompt, in chunks; the steps that had been when it was read. */
  async prompt(name: string, tokens: number, cancel?: { aborted: boolean }): Promise<number> {
    const state = this.text(name);
    for (let done = 0; done < tokens; ) {
      const chunk = Math.min(CHUNK, tokens - done);
      for (const end = done + chunk; done < end; ) {
        const prompt = { chunk, left: tokens - done };
        done += await this.scheduler.read({ ...wish(state, end - done), prompt, cancel });
      }
    }
    this.scheduler.rests(state);
    return this.steps.length;
  }
}

function wish(state: SequenceMemory, rows: number): Reading<number> {
  return { state, ids: new Int32Array(rows), wanted: "last", use: (_, count) => count, most: CHUNK };
}

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => vi.restoreAllMocks());

describe("steps", () => {
  it("have all that write, from the second on", async () => {
    await Promise.all([stage.write("a", 5), stage.write("b", 5), stage.write("c", 5)]);
    expect(stage.steps[0]).toEqual({ a: 1 });
    expect(stage.steps.slice(1, 5)).toEqual(new Array(4).fill({ a: 1, b: 1, c: 1 }));
    expect(stage.steps).toHaveLength(6);
  });

  it("wait for no text that wants nothing", async () => {
    await Promise.all([stage.write("a", 3), stage.write("b", 12)]);
    expect(stage.steps.at(-1)).toEqual({ b: 1 });
    const before = stage.now;
    await stage.write("c", 2);
    expect(stage.now - before).toBe(20);
  });

  it("read prompts alone whole, chunk by chunk", async () => {
    await stage.prompt("a", 600);
    expect(stage.steps).toEqual([{ a: 256 }, { a: 256 }, { a: 88 }]);
  });

  it("read beside a text that is written so much of a prompt as takes about 100 ms, a piece at least", async () => {
    // Five rows' worth for any step, and a row a millisecond: 96 rows would take 101.
    stage.cost = (rows) => 5 + rows;
    await Promise.all([stage.write("a", 60), stage.prompt("b", 2000)]);
    const beside = stage.steps.filter((step) => step.a && step.b).map((step) => step.b);
    expect(beside[0]).toBe(PIECE);
    expect(beside[4]).toBeGreaterThanOrEqual(4 * PIECE);
    expect(Math.max(...beside)).toBeLessThanOrEqual(6 * PIECE);
    stage.cost = (rows) => 12 * rows;
    stage.steps.length = 0;
    await Promise.all([stage.write("a", 60), stage.prompt("b", 300)]);
    const slow = stage.steps.filter((step) => step.a && step.b).map((step) => step.b);
    expect(slow.slice(5).every((rows) => rows === PIECE || rows === 300 % PIECE)).toBe(true);
  });

  it("never leave one row of a prompt", async () => {
    await Promise.all([stage.write("a", 40), stage.prompt("b", 4 * PIECE + 1)]);
    const rows = stage.steps.map(({ b = 0 }) => b);
    expect(rows.reduce((sum, count) => sum + count)).toBe(4 * PIECE + 1);
    expect(rows).not.toContain(1);
  });

  it("let short prompts pass long ones, which get their turn", async () => {
    const writing = stage.write("a", 200);
    const long = stage.prompt("long", 1500);
    await new Promise(setImmediate);
    const began = stage.steps.length;
    const short = await stage.prompt("short", 64);
    expect(short - began).toBeLessThanOrEqual(6);
    stage.steps.length = 0;
    // There is always a shorter one.
    const shorts = async (stream: string) => {
      for (let i = 0; i < 20; i++) await stage.prompt(`short ${stream} ${i}`, 32);
    };
    await Promise.all([shorts("one"), shorts("two"), shorts("three")]);
    const turns = stage.steps.filter((step) => step.long).length;
    expect(turns).toBeGreaterThanOrEqual(stage.steps.length / 10 - 1);
    await Promise.all([writing, long]);
  });

  it("tell what was cancelled while it waited, at once", async () => {
    const cancel = { aborted: false };
    const writing = stage.write("a", 60);
    const long = stage.prompt("long", 3000, cancel).catch((error: unknown) => error);
    const short = stage.prompt("short", 500);
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    cancel.aborted = true;
    const steps = stage.steps.length;
    expect(await long).toBeInstanceOf(CancelledError);
    expect(stage.steps.length - steps).toBeLessThanOrEqual(2);
    await Promise.all([writing, short]);
  });

  it("go on where one goes", async () => {
    const state = stage.text("a");
    const reading = stage.scheduler.read(wish(stage.text("b"), 3));
    const gone = stage.scheduler.read(wish(state, 1));
    stage.scheduler.leave(state, new CancelledError());
    await expect(gone).rejects.toThrow(CancelledError);
    expect(await reading).toBe(3);
    expect(stage.scheduler.counts).toMatchObject({ steps: 1, waiting: 0, givenTokens: 3, writtenTokens: 0 });
  });

  it("that fail as a whole fail all that were in them, and the next goes on", async () => {
    const { runner } = stage.scheduler;
    const { step } = runner;
    runner.step = () => Promise.reject(new Error("broken"));
    await expect(stage.scheduler.read(wish(stage.text("a"), 1))).rejects.toThrow("broken");
    runner.step = step;
    expect(await stage.scheduler.read(wish(stage.text("a"), 1))).toBe(1);
  });
});

describe("a budget of pieces", () => {
  it("grows while steps are short, and shrinks at once where they are long", () => {
    const budget = new PieceBudget(100);
    expect(budget.pieces).toBe(1);
    budget.learn(1, 20);
    expect(budget.pieces).toBe(2);
    budget.learn(2, 25);
    expect(budget.pieces).toBe(4);
    // A step that had fewer says nothing of more.
    budget.learn(1, 20);
    expect(budget.pieces).toBe(4);
    budget.learn(4, 99);
    expect(budget.pieces).toBe(4);
    budget.learn(4, 400);
    expect(budget.pieces).toBe(1);
    budget.learn(1, 400);
    expect(budget.pieces).toBe(1);
  });
});
