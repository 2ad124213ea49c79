import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { availableMemoryBytes } from "../../src/platform/memory-node.js";
import { nodePlatform } from "../../src/platform/node.js";
import { FormatError, NotFoundError } from "../../src/util/errors.js";
import type { Thread } from "../../src/util/platform.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-node-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("files", () => {
  it("reads into a part of shared memory, several reads at once", async () => {
    const bytes = Uint8Array.from({ length: 10_000 }, (_, i) => i & 255);
    await writeFile(join(folder, "data"), bytes);
    const source = await nodePlatform.open(join(folder, "data"));
    expect(source.size).toBe(10_000);
    const memory = new Uint8Array(new SharedArrayBuffer(10_002));
    const half = memory.subarray(1, 5001);
    await Promise.all([source.read(0, half), source.read(5000, memory.subarray(5001, 10_001))]);
    await source.close();
    expect(Buffer.from(memory.subarray(1, 10_001)).equals(bytes)).toBe(true);
    expect([memory[0], memory[10_001]]).toEqual([0, 0]);
  });

  it("refuses to read beyond the end, with figures", async () => {
    await writeFile(join(folder, "short"), "12345");
    const source = await nodePlatform.open(join(folder, "short"));
    await source.read(5, new Uint8Array(0));
    for (const [offset, length] of [
      [3, 3],
      [6, 0],
      [-1, 1],
      [Number.NaN, 1],
      [2 ** 60, 1],
    ]) {
      await expect(source.read(offset, new Uint8Array(length))).rejects.toThrow(FormatError);
    }
    await expect(source.read(3, new Uint8Array(3))).rejects.toMatchObject({
      details: { offset: 3, expectedBytes: 3, fileBytes: 5 },
    });
    await source.close();
  });

  it("notices that a file was cut while it was open", async () => {
    const path = join(folder, "cut");
    await writeFile(path, "1234567890");
    const source = await nodePlatform.open(path);
    await truncate(path, 4);
    await expect(source.read(0, new Uint8Array(10))).rejects.toThrow(FormatError);
    await source.close();
  });

  it("tells what is not there or is no file", async () => {
    await expect(nodePlatform.open(join(folder, "none"))).rejects.toThrow(NotFoundError);
    await expect(nodePlatform.open(join(folder, "none", "deeper"))).rejects.toThrow(NotFoundError);
    await expect(nodePlatform.open(folder)).rejects.toThrow(/found a folder/);
    if (process.platform !== "win32") await expect(nodePlatform.open("/dev/zero")).rejects.toThrow(/device or pipe/);
  });

  it.skipIf(process.platform === "win32")("does not wait for the writer of a pipe", async () => {
    execFileSync("mkfifo", [join(folder, "pipe")]);
    await expect(nodePlatform.open(join(folder, "pipe"))).rejects.toThrow(FormatError);
  });

  it("lists", async () => {
    await mkdir(join(folder, "sub"));
    await writeFile(join(folder, "sub", "b"), "");
    await writeFile(join(folder, "sub", "a"), "");
    expect(await nodePlatform.list(join(folder, "sub"))).toEqual(["a", "b"]);
    expect(await nodePlatform.list(join(folder, "sub", "a"))).toBe("file");
    expect(await nodePlatform.list(join(folder, "sub", "c"))).toBeUndefined();
    expect(await nodePlatform.list(join(folder, "sub", "a", "x"))).toBeUndefined();
  });
});

describe("memory", () => {
  const system = (files: Record<string, string>) => availableMemoryBytes((path) => files[path]);
  const MEMINFO = "MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:    8000 kB\n";

  it("is what the kernel says is available", () => {
    expect(system({ "/proc/meminfo": MEMINFO })).toBe(8_192_000);
    expect(system({})).toBeUndefined();
  });

  it("is bounded by the nearest limit of a control group, version 2, without the pages of files", () => {
    const files = {
      "/proc/meminfo": MEMINFO,
      "/proc/self/cgroup": "0::/a/b\n",
      "/sys/fs/cgroup/a/b/memory.max": "max\n",
      "/sys/fs/cgroup/a/b/memory.current": "10\n",
      "/sys/fs/cgroup/a/memory.max": "5000000\n",
      "/sys/fs/cgroup/a/memory.current": "3000000\n",
      "/sys/fs/cgroup/a/memory.stat": "anon 5\ninactive_file 700000\nactive_file 300000\nfile 9\n",
    };
    expect(system(files)).toBe(3_000_000);
    expect(system({ ...files, "/sys/fs/cgroup/a/memory.current": "9000000" })).toBe(0);
  });

  it("knows version 1 and the root of a container", () => {
    const files = {
      "/proc/meminfo": MEMINFO,
      "/proc/self/cgroup": "5:cpu:/x\n4:memory,misc:/docker/1\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "4000000\n",
      "/sys/fs/cgroup/memory/memory.usage_in_bytes": "1000000\n",
      "/sys/fs/cgroup/memory/memory.stat": "cache 1\ntotal_inactive_file 500000\n",
    };
    expect(system(files)).toBe(3_500_000);
    expect(system({ ...files, "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712" })).toBe(8_192_000);
  });

  it.skipIf(process.platform !== "linux")("says something sensible of this machine", () => {
    expect(nodePlatform.availableMemoryBytes()).toBeGreaterThan(2 ** 20);
    expect(nodePlatform.residentMemoryBytes()).toBeGreaterThan(2 ** 20);
  });
});

describe("script threads", () => {
  const started: Thread[] = [];
  afterAll(async () => {
    await Promise.all(started.map((thread) => thread.terminate()));
  });

  function spawn(source: string): { thread: Thread; message: Promise<unknown>; failure: Promise<Error> } {
    const thread = nodePlatform.spawnScript(source, "test");
    started.push(thread);
    const message = new Promise<unknown>((resolve) => thread.onMessage(resolve));
    return { thread, message, failure: new Promise((resolve) => thread.onFailure(resolve)) };
  }

  it("see a browser's globals and share memory", async () => {
    const { thread, message } = spawn(
      "onmessage = ({ data }) => { new Int32Array(data.memory)[0] = 7; self.postMessage([data.text, typeof close]); };",
    );
    const memory = new SharedArrayBuffer(4);
    thread.post({ text: "hi", memory });
    expect(await message).toEqual(["hi", "function"]);
    expect(new Int32Array(memory)[0]).toBe(7);
  });

  it("take over what is transferred", async () => {
    const { thread, message } = spawn("self.onmessage = (e) => postMessage(e.data, [e.data]);");
    const buffer = new ArrayBuffer(16);
    thread.post(buffer, [buffer]);
    expect(buffer.byteLength).toBe(0);
    expect(await message).toHaveProperty("byteLength", 16);
  });

  it.each([
    ["an error", "throw new RangeError('boom')", /boom/],
    ["a rejection", "Promise.reject(new Error('unseen'))", /unseen/],
    ["a script that does not parse", "let let let", /./],
    ["an exit", "process.exit(3)", /exit code 3/],
  ])("tell of %s", async (_what, source, message) => {
    const { failure } = spawn(source);
    expect((await failure).message).toMatch(message);
  });

  it("tell nothing of an end that was asked for", async () => {
    const { thread, failure } = spawn("onmessage = () => {}");
    await thread.terminate();
    const nothing = new Promise((resolve) => setTimeout(resolve, 50, "nothing"));
    expect(await Promise.race([failure, nothing])).toBe("nothing");
  });
});

it("lets messages through between turns", async () => {
  const { port1, port2 } = new MessageChannel();
  let received = 0;
  port2.onmessage = () => received++;
  port1.postMessage(1);
  for (let turn = 0; turn < 1000 && received === 0; turn++) await nodePlatform.yieldToEvents();
  expect(received).toBe(1);
  port1.close();
});

it("turns relaxed SIMD on", () => {
  nodePlatform.enableWasmFeatures();
  // (func (result v128) i32.const 0 i8x16.splat, twice, i8x16.relaxed_swizzle)
  const body = [0, 0x41, 0, 0xfd, 0x0f, 0x41, 0, 0xfd, 0x0f, 0xfd, 0x80, 0x02, 0x0b];
  const module = Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...[1, 5, 1, 0x60, 0, 1, 0x7b],
    ...[3, 2, 1, 0],
    ...[10, body.length + 2, 1, body.length, ...body],
  ]);
  expect(WebAssembly.validate(module)).toBe(true);
});
