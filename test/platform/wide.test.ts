/**
 * When V8's flags for 256-bit vectors are touched, that they always go back, and that one attempt, of the main thread, serves
 * all threads. Real threads: wide-thread.test.ts.
 */
import { beforeEach, describe, expect, test, vi } from "vitest";

const { node, flags, shared } = vi.hoisted(() => ({
  node: {
    arch: "x64",
    env: {} as Record<string, string>,
    execArgv: [] as string[],
    versions: { v8: "13.6.233.17-node.53" },
    isMainThread: true,
  },
  flags: [] as string[],
  shared: new Map<string, unknown>(),
}));
vi.mock("node:process", () => ({ default: node }));
vi.mock("node:v8", () => ({ setFlagsFromString: (flag: string) => flags.push(flag) }));
vi.mock("node:worker_threads", () => ({
  get isMainThread() {
    return node.isMainThread;
  },
  getEnvironmentData: (key: string) => shared.get(key),
  setEnvironmentData: (key: string, value: unknown) => shared.set(key, value),
}));

// The setup of all tests has imported it already, with the real ones.
vi.resetModules();
const { compileWide } = await import("../../src/platform/wide-node.js");

/** The shortest module. */
const MODULE = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
const RIGHT = () => true;
const ON = ["--no-wasm-lazy-compilation", "--no-liftoff", "--experimental-wasm-revectorize"];
const OFF = ["--no-experimental-wasm-revectorize", "--liftoff", "--wasm-lazy-compilation"];

beforeEach(() => {
  const versions = { v8: "13.6.233.17-node.53" };
  Object.assign(node, { arch: "x64", env: {}, execArgv: [], versions, isMainThread: true });
  flags.length = 0;
  shared.clear();
});

describe("compileWide", () => {
  test("sets the flags around one compilation; later calls, also of other threads, get its module", () => {
    let during: string[] = [];
    const bytes = () => {
      expect(flags).toEqual([]);
      return MODULE;
    };
    const made = compileWide(
      bytes,
      () => {
        during = [...flags];
        return true;
      },
      false,
    );
    expect(made).toBeInstanceOf(WebAssembly.Module);
    expect(during).toEqual([...ON, ...OFF]);
    expect(compileWide(() => expect.unreachable(), RIGHT, false)).toBe(made);
    expect(flags).toEqual([...ON, ...OFF]);
    expect([...shared.values()]).toEqual([made]);
  });

  test.each([
    ["bytes that do not compile", () => MODULE.subarray(0, 5), RIGHT],
    ["a module that multiplies wrongly", () => MODULE, () => false],
    [
      "a trial that throws",
      () => MODULE,
      () => {
        throw new Error("trap");
      },
    ],
  ])("%s: no module, flags as before, no second attempt", (_name, bytes, isRight) => {
    expect(compileWide(bytes, isRight, false)).toBeUndefined();
    expect(flags).toEqual([...ON, ...OFF]);
    expect(compileWide(() => expect.unreachable(), RIGHT, false)).toBeUndefined();
    expect(flags.length).toBe(ON.length + OFF.length);
  });

  test.each([
    ["Node 20", { versions: { v8: "11.3.244.8-node.38" } }, false],
    ["Node 22", { versions: { v8: "12.4.254.21-node.57" } }, false],
    ["Node 26, where it is dangerous", { versions: { v8: "14.6.202.34-node.34" } }, false],
    ["a later V8", { versions: { v8: "14.8.1" } }, true],
    ["another processor", { arch: "arm64" }, true],
    ["another runtime", { versions: { v8: "13.6.1", deno: "2.4.0" } }, true],
    ["Electron", { versions: { v8: "13.6.1", electron: "36.0.0" } }, true],
    ["SLUICE_WIDE=0", { env: { SLUICE_WIDE: "0" } }, true],
    ["flags of the user's own", { execArgv: ["--no-liftoff"] }, true],
    ["flags of the user's own, as V8 also takes them", { execArgv: ["--expose-gc", "--no_wasm_tier_up"] }, true],
    ["flags of the user's own in the environment", { env: { NODE_OPTIONS: "--expose-gc --no-wasm-tier-up" } }, true],
    ["such a flag in quotes", { env: { NODE_OPTIONS: '"--experimental-wasm-modules"' } }, true],
    ["a thread, whose options are not the process's", { isMainThread: false }, true],
  ])("leaves the flags alone: %s", (_name, changes, asked) => {
    Object.assign(node, changes);
    expect(compileWide(() => MODULE, RIGHT, asked)).toBeUndefined();
    expect(flags).toEqual([]);
    expect(shared.size).toBe(0);
  });

  test.each([
    ["a script that is imported", { execArgv: ["--import", "./wasm/hooks.mjs"] }],
    ["the same in one word", { execArgv: ["--import=/opt/wasm/liftoff.mjs"] }],
    ["a text to run", { execArgv: ["--input-type=module", "--eval", "await WebAssembly.compile(wasm)"] }],
    ["a file in the environment", { env: { NODE_OPTIONS: "--require /opt/wasm/hooks.cjs --expose-gc" } }],
  ])("takes no flag of the user's own from %s", (_name, changes) => {
    Object.assign(node, changes);
    expect(compileWide(() => MODULE, RIGHT, false)).toBeInstanceOf(WebAssembly.Module);
  });

  test("a thread gets what the main thread made, and what it refused it does not make either", () => {
    const made = compileWide(() => MODULE, RIGHT, false);
    node.isMainThread = false;
    expect(compileWide(() => expect.unreachable(), RIGHT, false)).toBe(made);
    shared.clear();
    Object.assign(node, { isMainThread: true, execArgv: ["--no-liftoff"] });
    compileWide(() => MODULE, RIGHT, false);
    // As spawnModuleThread starts it.
    Object.assign(node, { isMainThread: false, execArgv: [] });
    expect(compileWide(() => expect.unreachable(), RIGHT, false)).toBeUndefined();
    expect(flags).toEqual([...ON, ...OFF]);
  });

  test("Node 26 when asked for, by the option or by SLUICE_WIDE=1", () => {
    node.versions = { v8: "14.6.202.34-node.34" };
    expect(compileWide(() => MODULE, RIGHT, true)).toBeInstanceOf(WebAssembly.Module);
    // Inlining goes off here alone: it aborts this version, and turning it off crashes the other.
    expect(flags).toEqual(["--no-wasm-inlining", ...ON, ...OFF, "--wasm-inlining"]);
    shared.clear();
    node.env = { SLUICE_WIDE: "1" };
    expect(compileWide(() => MODULE, RIGHT, false)).toBeInstanceOf(WebAssembly.Module);
  });
});
