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
    platform: "linux",
    cpuinfo: "",
  },
  flags: [] as string[],
  shared: new Map<string, unknown>(),
}));
vi.mock("node:process", () => ({ default: node }));
vi.mock("node:fs", () => ({
  readFileSync: (path: string) => {
    expect(path).toBe("/proc/cpuinfo");
    return node.cpuinfo;
  },
}));
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
const { compileWide, whyNotWide, withoutWide } = await import("../../src/platform/wide-node.js");

/** The shortest module. */
const MODULE = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
const RIGHT = () => true;
/** Around the compilation, and around the first trial. */
const DUE = ["--wasm-tiering-budget=1", "--wasm-tiering-budget=13000000"];
const ON = ["--wasm-sync-tier-up", "--experimental-wasm-revectorize"];
const OFF = ["--no-experimental-wasm-revectorize", "--no-wasm-sync-tier-up"];
const NODE_26 = { v8: "14.6.202.34-node.34" };
const CPUINFO = "processor\t: 0\nflags\t\t: fpu sse2 avx avx2 bmi1\nbugs\t\t: sysret\n";

beforeEach(() => {
  const versions = { v8: "13.6.233.17-node.53" };
  Object.assign(node, { arch: "x64", env: {}, execArgv: [], versions, isMainThread: true });
  Object.assign(node, { platform: "linux", cpuinfo: CPUINFO });
  flags.length = 0;
  shared.clear();
});

describe("compileWide", () => {
  test("the compilation makes functions due, the first trial has them joined, the second sees what came out", () => {
    const during: string[][] = [];
    const bytes = () => {
      expect(flags).toEqual([]);
      return MODULE;
    };
    const isRight = () => {
      during.push([...flags]);
      return true;
    };
    const made = compileWide(bytes, isRight, false);
    expect(made).toBeInstanceOf(WebAssembly.Module);
    expect(during).toEqual([
      [...DUE, ...ON],
      [...DUE, ...ON, ...OFF],
    ]);
    expect(compileWide(() => expect.unreachable(), RIGHT, false)).toBe(made);
    expect(flags).toEqual([...DUE, ...ON, ...OFF]);
    expect([...shared.values()]).toEqual([made]);
    expect(whyNotWide()).toBeUndefined();
  });

  test.each([
    ["bytes that do not compile", () => MODULE.subarray(0, 5), RIGHT, DUE],
    ["a module that multiplies wrongly", () => MODULE, () => false, [...DUE, ...ON, ...OFF]],
    // While it is tried for the first time it still computes as the baseline compiler made it.
    ["optimised code that multiplies wrongly", () => MODULE, () => !flags.includes(OFF[0]), [...DUE, ...ON, ...OFF]],
    [
      "a trial that throws",
      () => MODULE,
      () => {
        throw new Error("trap");
      },
      [...DUE, ...ON, ...OFF],
    ],
  ])("%s: no module, flags as before, no second attempt", (_name, bytes, isRight, touched) => {
    expect(compileWide(bytes, isRight, false)).toBeUndefined();
    expect(flags).toEqual(touched);
    expect(compileWide(() => expect.unreachable(), RIGHT, false)).toBeUndefined();
    expect(flags).toEqual(touched);
    expect(whyNotWide()?.reason).toBe("wrong");
  });

  test.each([
    ["Node 20", { versions: { v8: "11.3.244.8-node.38" } }, "version"],
    ["Node 22", { versions: { v8: "12.4.254.21-node.57" } }, "version"],
    ["a later V8", { versions: { v8: "14.8.1" } }, "version"],
    ["another processor", { arch: "arm64" }, "processor"],
    ["a processor without AVX2", { cpuinfo: CPUINFO.replace("avx2", "avx") }, "processor"],
    ["another runtime", { versions: { v8: "13.6.1", deno: "2.4.0" } }, "runtime"],
    ["Electron", { versions: { v8: "13.6.1", electron: "36.0.0" } }, "runtime"],
    ["SLUICE_WIDE=0", { env: { SLUICE_WIDE: "0" } }, "forbidden"],
    ["flags of the user's own", { execArgv: ["--no-liftoff"] }, "flags"],
    ["flags of the user's own, as V8 also takes them", { execArgv: ["--expose-gc", "--no_wasm_tier_up"] }, "flags"],
    ["flags of the user's own in the environment", { env: { NODE_OPTIONS: "--expose-gc --no-wasm-tier-up" } }, "flags"],
    ["such a flag in quotes", { env: { NODE_OPTIONS: '"--experimental-wasm-modules"' } }, "flags"],
    ["a thread, whose options are not the process's", { isMainThread: false }, "thread"],
  ] as const)("leaves the flags alone, also when asked, and says why: %s", (_name, changes, reason) => {
    Object.assign(node, changes);
    for (const asked of [false, true]) expect(compileWide(() => MODULE, RIGHT, asked)).toBeUndefined();
    expect(flags).toEqual([]);
    expect(shared.size).toBe(0);
    expect(whyNotWide()).toEqual({ reason, message: expect.stringMatching(/\.$/) });
  });

  test.each([
    ["a system that does not say", { platform: "win32", cpuinfo: "" }],
    ["a list without flags", { cpuinfo: "processor\t: 0\n" }],
  ])("AVX2 is left to V8: %s", (_name, changes) => {
    Object.assign(node, changes);
    expect(compileWide(() => MODULE, RIGHT, false)).toBeInstanceOf(WebAssembly.Module);
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
    expect(flags).toEqual([...DUE, ...ON, ...OFF]);
  });

  test("Node 26 when asked for, by the option or by SLUICE_WIDE=1; later ones need not ask", () => {
    node.versions = NODE_26;
    const made = compileWide(() => MODULE, RIGHT, true);
    expect(made).toBeInstanceOf(WebAssembly.Module);
    expect(flags).toEqual([...DUE, ...ON, ...OFF]);
    expect(compileWide(() => expect.unreachable(), RIGHT, false)).toBe(made);
    node.isMainThread = false;
    expect(compileWide(() => expect.unreachable(), RIGHT, false)).toBe(made);
    node.isMainThread = true;
    shared.clear();
    node.env = { SLUICE_WIDE: "1" };
    expect(compileWide(() => MODULE, RIGHT, false)).toBeInstanceOf(WebAssembly.Module);
  });

  test.each([
    ["a load that did not ask", () => void compileWide(() => expect.unreachable(), RIGHT, false)],
    ["a load that forbade it", withoutWide],
  ])("Node 26: too late after %s, since kernels run by then", (_name, before) => {
    node.versions = NODE_26;
    before();
    expect(compileWide(() => expect.unreachable(), RIGHT, true)).toBeUndefined();
    expect(flags).toEqual([]);
    expect(whyNotWide()?.reason).toBe("late");
  });

  test("Node 24: never too late; a thread of Node 26 makes nobody late", () => {
    withoutWide();
    expect(compileWide(() => MODULE, RIGHT, false)).toBeInstanceOf(WebAssembly.Module);
    shared.clear();
    Object.assign(node, { versions: NODE_26, isMainThread: false });
    withoutWide();
    expect(shared.size).toBe(0);
  });

  test("what was made before stays when kernels are compiled without it", () => {
    node.versions = NODE_26;
    const made = compileWide(() => MODULE, RIGHT, true);
    withoutWide();
    expect(compileWide(() => expect.unreachable(), RIGHT, false)).toBe(made);
  });
});
