/** The thread pool and the command list: order, many short lists, failures that surface, threads that end. */
import { describe, expect, test, vi } from "vitest";
import * as abi from "../../kernels/abi.js";
import { CommandList } from "../../src/backends/wasm/command-list.js";
import { Footprint } from "../../src/backends/wasm/footprint.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import { compileKernels } from "../../src/backends/wasm/module.js";
import { Pool } from "../../src/backends/wasm/pool.js";
import { Space } from "../../src/backends/wasm/space.js";
import type { ScopeBody } from "../../src/tensor/backend.js";
import { ArgumentError, InternalError } from "../../src/util/errors.js";
import { type Platform, platform, setPlatform, type Thread } from "../../src/util/platform.js";
import { tensorOf } from "./devices.js";

async function machine(threads: number) {
  const space = new Space(2 ** 26);
  platform().enableWasmFeatures();
  const { module } = await compileKernels(undefined);
  const pool = await Pool.start(module, space, threads);
  return { space, pool, commands: new CommandList(pool, space, 0) };
}

/** Adds a command out = a + b over `count` floats. */
function add(commands: CommandList, a: number, b: number, out: number, count: number, costNs = 1): void {
  const bytes = count * 4;
  commands.begin(abi.ADD, costNs).reads(a, bytes).reads(b, bytes).writes(out, bytes).word(count).end();
}

describe.each([1, 2, 3])("%i threads", (threads) => {
  test("thousands of short lists", async () => {
    const { space, pool, commands } = await machine(threads);
    const x = space.allocate(64, "x");
    space.f32.fill(1, x >>> 2, (x >>> 2) + 16);
    const sum = space.allocate(64, "sum");
    space.f32.fill(0, sum >>> 2, (sum >>> 2) + 16);
    for (let list = 0; list < 5000; list++) {
      for (let i = 0; i <= list % 3; i++) add(commands, sum, x, sum, 16);
      commands.flush();
    }
    // 1, 2 and 3 additions in turn; 5000 = 3 * 1666 + 2.
    expect(Array.from(space.f32.subarray(sum >>> 2, (sum >>> 2) + 16))).toEqual(Array(16).fill(1666 * 6 + 3));
    await pool.dispose();
  });

  test("commands that depend on each other run in order, in lists longer than the buffer", async () => {
    const { space, pool, commands } = await machine(threads);
    const count = 1000;
    const buffers = [0, 1, 2, 3].map(() => space.allocate(count * 4, "x") >>> 2);
    const expected = buffers.map((at, i) => {
      space.f32.fill(i, at, at + count);
      return i;
    });
    for (let i = 0; i < 1500; i++) {
      // Fibonacci-like chains over four buffers; every third command is for one thread alone.
      const [a, b, out] = [i % 4, (i * 7 + 1) % 4, (i * 5 + 2) % 4];
      add(commands, buffers[a] * 4, buffers[b] * 4, buffers[out] * 4, count, i % 3 === 0 ? -1 : 1);
      expected[out] = Math.fround(expected[a] + expected[b]);
    }
    commands.flush();
    buffers.forEach((at, i) => {
      expect(new Set(space.f32.subarray(at, at + count))).toEqual(new Set([expected[i]]));
    });
    await pool.dispose();
  });
});

test("a footprint conflicts when one writes what the other touches, or when it remembers too little", () => {
  const touched = new Footprint();
  touched.read(0, 100);
  touched.write(200, 100);
  const next = (change: (footprint: Footprint) => void) => {
    const footprint = new Footprint();
    change(footprint);
    return footprint.conflicts(touched);
  };
  expect(next((f) => f.read(0, 100))).toBe(false);
  expect(next((f) => f.read(100, 100))).toBe(false);
  expect(next((f) => f.write(100, 100))).toBe(false);
  expect(next((f) => f.write(99, 1))).toBe(true);
  expect(next((f) => f.read(299, 5))).toBe(true);
  expect(next((f) => f.write(150, 51))).toBe(true);
  for (let i = 0; i < 200; i++) touched.read(1000 + i * 10, 10);
  expect(next((f) => f.read(5000, 1))).toBe(true);
  expect(next(() => {})).toBe(false);
  touched.clear();
  expect(next((f) => f.write(0, 10_000))).toBe(false);
});

test("a caller that must not sleep spins instead", async () => {
  const spy = vi.spyOn(Atomics, "wait").mockImplementation(() => {
    throw new TypeError("Atomics.wait cannot be called in this context");
  });
  const { space, pool, commands } = await machine(2).finally(() => spy.mockRestore());
  const x = space.allocate(2 ** 20, "x");
  space.f32.fill(1, x >>> 2, (x >>> 2) + 2 ** 18);
  for (let i = 0; i < 100; i++) {
    add(commands, x, x, x, 2 ** 18, i % 2 ? 1 : -1);
    if (i % 5 === 0) commands.flush();
  }
  commands.flush();
  expect(space.f32[x >>> 2]).toBe(2 ** 100);
  expect(space.f32[(x >>> 2) + 2 ** 18 - 1]).toBe(2 ** 100);
  await pool.dispose();
});

test("a trap on a thread of the pool surfaces, and so does every later call", async () => {
  const { space, pool, commands } = await machine(2);
  // The first thread's half lies inside of the memory, the second one's beyond its end.
  const count = 2 ** 20;
  const out = space.limitBytes - count * 2;
  expect(() => {
    add(commands, 0, 0, out, count);
    space.memory.grow((space.limitBytes - space.memory.buffer.byteLength) / 65536);
    commands.flush();
  }).toThrow(InternalError);
  expect(() => {
    add(commands, 0, 0, 64, 1);
    commands.flush();
  }).toThrow(InternalError);
  await pool.dispose();
});

test("a trap on the calling thread surfaces, and the others are let go", async () => {
  const { pool, commands } = await machine(2);
  expect(() => {
    commands.begin(9999, 1).end();
    commands.flush();
  }).toThrow(InternalError);
  await pool.dispose();
});

test("a thread that dies while idle surfaces at the next list", async () => {
  const before = platform();
  const threads: Thread[] = [];
  const listeners: ((error: Error) => void)[] = [];
  const watching: Platform = {
    ...before,
    spawnScript(source, name) {
      const thread = before.spawnScript(source, name);
      threads.push(thread);
      return { ...bound(thread), onFailure: (listener) => listeners.push(listener) };
    },
  };
  setPlatform(watching);
  const { pool, commands } = await machine(2).finally(() => setPlatform(before));
  await threads[0].terminate();
  for (const tell of listeners) tell(new Error("killed"));
  expect(() => {
    add(commands, 0, 0, 64, 1);
    commands.flush();
  }).toThrow(/killed/);
  await pool.dispose();
});

function bound(thread: Thread): Thread {
  return {
    post: (message, transfer) => thread.post(message, transfer),
    onMessage: (listener) => thread.onMessage(listener),
    onFailure: (listener) => thread.onFailure(listener),
    keepAlive: (alive) => thread.keepAlive(alive),
    terminate: () => thread.terminate(),
  };
}

test("a thread that does not start is an error", async () => {
  const before = platform();
  setPlatform({ ...before, spawnScript: (_, name) => before.spawnScript("throw new Error('no room')", name) });
  await expect(machine(3).finally(() => setPlatform(before))).rejects.toThrow(/no room/);
});

test("dispose ends the threads, and calls after it throw", async () => {
  const ops = await createWasmBackend({ threads: 3, parallelNs: 0 });
  ops.beginStep();
  const x = tensorOf(ops, 1, 4, Float32Array.of(1, 2, 3, 4));
  expect(Array.from(await ops.read(ops.add(x, x)))).toEqual([2, 4, 6, 8]);
  await ops.dispose();
  await ops.dispose();
  expect(() => ops.beginStep()).toThrow(InternalError);
  await expect(ops.read(x)).rejects.toThrow(InternalError);
  expect(ops.memoryBytes).toBe(0);
});

test.each([0, -1, 1.5, 1e9, Number.NaN])("%d threads are refused", async (threads) => {
  await expect(createWasmBackend({ threads })).rejects.toThrow(ArgumentError);
});

test("what a scope made lives until the scope after the next begins", async () => {
  const ops = await createWasmBackend({ threads: 2, parallelNs: 0 });
  ops.beginStep();
  let x = tensorOf(ops, 1, 4, Float32Array.of(1, 2, 3, 4));
  const doubled: ScopeBody<undefined> = { forward: (inner, a) => inner.add(a, a) };
  for (let layer = 0; layer < 10; layer++) x = ops.scope(doubled, x, undefined);
  expect(Array.from(await ops.read(x))).toEqual([1024, 2048, 3072, 4096]);
  await ops.dispose();
});

test("inputs given inside of a scope are not overwritten by commands that still wait", async () => {
  const ops = await createWasmBackend({ threads: 1 });
  // In every other pair of layers the input comes first, at the place where a waiting command of an earlier layer writes.
  const swapAndDouble: ScopeBody<number> = {
    forward(inner, x, layer) {
      const early = layer % 4 < 2 ? inner.input(Int32Array.of(1, 0)) : undefined;
      const doubled = inner.add(x, x);
      return inner.gather(doubled, early ?? inner.input(Int32Array.of(1, 0)));
    },
  };
  ops.beginStep();
  let x = tensorOf(ops, 2, 1, Float32Array.of(1, 3));
  for (let layer = 0; layer < 7; layer++) x = ops.scope(swapAndDouble, x, layer);
  expect(Array.from(await ops.read(x))).toEqual([3 * 128, 128]);
  await ops.dispose();
});
