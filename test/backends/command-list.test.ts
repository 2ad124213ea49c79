/** Which commands threads meet before, asserted as the flags of a list: a missing meeting shows in results by chance only. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as abi from "../../kernels/abi.js";
import { CommandList } from "../../src/backends/wasm/command-list.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import { Space } from "../../src/backends/wasm/space.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { appended, attended, headsFrom } from "./cache-calls.js";
import { tensorOf } from "./devices.js";
import { decoding, drawRows, listSpans, selectCall, writeAll } from "./select-cases.js";

/** Commands of this cost, and of more, are shared by all threads. */
const SHARED = 100;
const ALONE = SHARED - 1;

interface Range {
  readonly start: number;
  readonly bytes: number;
  readonly written: boolean;
}
interface Command {
  readonly cost: number;
  readonly ranges: readonly Range[];
}

const reads = (start: number, bytes = 4): Range => ({ start, bytes, written: false });
const writes = (start: number, bytes = 4): Range => ({ start, bytes, written: true });

/** Flags of the commands as a list of `threads` threads has them when it runs. */
function flagsOf(threads: number, commands: readonly Command[]): number[] {
  const space = new Space(2 ** 20);
  space.open(0);
  const list = new CommandList({ threads, run: () => undefined }, space, SHARED);
  const flags: number[] = [];
  list.watcher = (_, given) => flags.push(given);
  for (const { cost, ranges } of commands) {
    list.begin(abi.ADD, cost);
    for (const { start, bytes, written } of ranges) list.touches(start, bytes, written);
    list.end();
  }
  list.flush();
  return flags;
}

const meets = (flags: readonly number[]) => flags.map((given) => (given & abi.MEET_BEFORE) !== 0);

function conflict(a: Command, b: Command): boolean {
  return a.ranges.some((x) =>
    b.ranges.some((y) => (x.written || y.written) && x.start < y.start + y.bytes && y.start < x.start + x.bytes),
  );
}

/** By definition: threads meet before a command that conflicts with one since the last meeting, unless one thread ran both. */
function expectedMeetings(commands: readonly Command[]): boolean[] {
  let last = 0;
  return commands.map((command, index) => {
    const waits = commands
      .slice(last, index)
      .some((before) => conflict(before, command) && (before.cost >= SHARED || command.cost >= SHARED));
    if (waits) last = index;
    return waits;
  });
}

describe("a list of two threads", () => {
  test.each<readonly [string, number, number, Range, Range, boolean]>([
    ["a shared command reads what one thread wrote", ALONE, SHARED, writes(0), reads(0), true],
    ["a shared command writes what one thread read", ALONE, SHARED, reads(0), writes(0), true],
    ["a shared command writes what one thread wrote", ALONE, SHARED, writes(0), writes(0), true],
    ["one thread reads what all wrote", SHARED, ALONE, writes(0), reads(0), true],
    ["one thread writes what all read", SHARED, ALONE, reads(0), writes(0), true],
    ["a shared command reads what all wrote", SHARED, SHARED, writes(0), reads(0), true],
    ["one thread reads what it wrote itself", ALONE, ALONE, writes(0), reads(0), false],
    ["both read", SHARED, SHARED, reads(0), reads(0), false],
    ["they touch neighbours", SHARED, SHARED, writes(0), writes(4), false],
  ])("%s", (_, firstCost, secondCost, first, second, expected) => {
    const flags = flagsOf(2, [
      { cost: firstCost, ranges: [first] },
      { cost: secondCost, ranges: [second] },
    ]);
    expect(meets(flags)).toEqual([false, expected]);
    expect(flags.map((given) => (given & abi.PARALLEL) !== 0)).toEqual([firstCost >= SHARED, secondCost >= SHARED]);
  });

  test("any list meets exactly where a command depends on another thread's", () => {
    const range = fc.record({
      start: fc.integer({ min: 0, max: 12 }),
      bytes: fc.integer({ min: 1, max: 3 }),
      written: fc.boolean(),
    });
    const command = fc.record({ cost: fc.constantFrom(ALONE, SHARED), ranges: fc.array(range, { maxLength: 4 }) });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 20 }), (commands) => {
        expect(meets(flagsOf(2, commands))).toEqual(expectedMeetings(commands));
      }),
      { numRuns: 300 },
    );
  });
});

test("the list of one thread has no flags", () => {
  expect(
    flagsOf(1, [
      { cost: SHARED, ranges: [writes(0)] },
      { cost: SHARED, ranges: [reads(0)] },
    ]),
  ).toEqual([0, 0]);
});

describe("commands of a cache", () => {
  const [width, pages] = [8, 2];
  /** The opcodes of the calls that `body` makes on two threads, with whether threads meet before them. */
  async function watched(parallelNs: number, body: (calls: Awaited<ReturnType<typeof setUp>>) => void) {
    const calls = await setUp(parallelNs);
    const seen: [opcode: number, meets: boolean, parallel: boolean][] = [];
    calls.ops.watchCommands((opcode, flags) =>
      seen.push([opcode, (flags & abi.MEET_BEFORE) !== 0, (flags & abi.PARALLEL) !== 0]),
    );
    body(calls);
    await calls.ops.read(calls.outs[0]);
    await calls.ops.dispose();
    return seen;
  }

  async function setUp(parallelNs: number) {
    const ops = await createWasmBackend({ threads: 2, parallelNs });
    const store = ops.kvStore({ members: 1, keyWidth: width, valueWidth: width, keyType: "f32", valueType: "f32" });
    const slices = [0, 1].map(() => {
      const table = store.table();
      for (let page = 0; page < pages; page++) table.push(store.alloc());
      return { store, table, member: 0, heads: headsFrom(0, 1) };
    });
    ops.beginStep();
    const [keys, ...outs] = Array.from({ length: 3 }, () => tensorOf(ops, 1, width, new Float32Array(width)));
    const spans = ops.input(Int32Array.of(0, pages * 16));
    await ops.read(outs[0]);
    return {
      ops,
      outs,
      append: (index: number) => ops.append(appended({ keys, values: keys, slice: slices[index], slot: 0 })),
      attend: (index: number, out: Tensor) =>
        ops.attention(attended({ out, queries: [keys], spans, slice: slices[index], group: 1, scale: 1 })),
    };
  }

  test("attention over a table waits for what one thread appended to it", async () => {
    // An append of one token costs 16, attention over 32 slots a little more.
    const seen = await watched(20, ({ append, attend, outs }) => {
      append(0);
      attend(0, outs[0]);
    });
    expect(seen).toEqual([
      [abi.APPEND, false, false],
      [abi.ATTENTION, true, true],
    ]);
  });

  test("an append waits for attention over its table", async () => {
    const seen = await watched(0, ({ append, attend, outs }) => {
      attend(0, outs[0]);
      append(0);
    });
    expect(seen.map(([, meets]) => meets)).toEqual([false, true]);
  });

  test("sequences do not wait for each other, though their pages are of one store", async () => {
    const seen = await watched(0, ({ append, attend, outs }) => {
      append(0);
      append(1);
      attend(0, outs[0]);
      attend(1, outs[1]);
      append(0);
    });
    // The last append is the first that touches what was touched since the threads met.
    expect(seen.map(([, meets]) => meets)).toEqual([false, false, true, false, true]);
  });

  test("attention over chosen pages waits for their lists, and these for the bounds of scores", async () => {
    const ops = await createWasmBackend({ threads: 2, parallelNs: 0 });
    const drawn = drawRows({ kvHeads: 2, group: 1, keyWidth: width, valueWidth: width }, [decoding], 1);
    ops.beginStep();
    const caches = writeAll(ops, drawn);
    const call = selectCall(ops, drawn, caches);
    const out = tensorOf(ops, 1, 2 * width, new Float32Array(2 * width));
    const spans = ops.input(Int32Array.from(listSpans(decoding)));
    await ops.read(out);
    const seen: [opcode: number, meets: boolean][] = [];
    ops.watchCommands((opcode, flags) => seen.push([opcode, (flags & abi.MEET_BEFORE) !== 0]));
    const [selection] = ops.select(call);
    const parts = [{ slice: caches[0].slice, first: 0, rows: 1, ranges: 1, spans: 0, selection }];
    ops.attention({ ...call, out, spans, parts });
    await ops.read(out);
    await ops.dispose();
    expect(seen).toEqual([
      [abi.SELECT_SCORES, false],
      [abi.SELECT_PAGES, true],
      [abi.ATTENTION, true],
    ]);
  });
});
