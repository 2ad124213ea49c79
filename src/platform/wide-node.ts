/**
 * 256-bit vectors for WebAssembly. V8 can join neighbouring 128-bit operations ("revectorisation", x64 with AVX2) when its
 * optimising compiler takes a function up, behind a flag that is not meant for all code yet: V8 14.6 aborts the process on
 * some. So one small module is compiled as any other, with a budget that makes its functions due at their first call, and
 * then tried out while the flag is on: what is tried is optimised on the spot. Once in a process, and only in versions of
 * V8 where that has been tried; a major version of Node keeps its V8.
 *
 * Flags are the process's: what V8 optimises for other threads in these milliseconds is optimised so too. Modules that they
 * compile then are not touched, since the baseline compiler does not know the flag. V8 13.6 (Node 24) takes all code that we
 * have given it; in 14.6 (Node 26) it happens only when asked for, and before Sluice's other kernels run.
 *
 * Only the main thread does it: two threads could set and reset the flags across each other, and a thread that was started
 * with options of its own does not see which flags the user gave the process.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { getEnvironmentData, isMainThread, setEnvironmentData } from "node:worker_threads";
import type { WideRefusal } from "../util/platform.js";

interface Trial {
  /** Whether it happens without being asked for. */
  readonly unasked: boolean;
}

/** Versions of V8 that have been tried. */
const TRIED: Readonly<Record<string, Trial>> = {
  "13.6": { unasked: true },
  "14.6": { unasked: false },
};

/** Runtimes with Node's API whose V8 may not let its flags be changed. */
const ELSEWHERE = ["deno", "bun", "electron"];

/** On and off. Modules compiled meanwhile have functions that are optimised after their first call; V8's own number is off. */
const DUE_AT_ONCE = [["--wasm-tiering-budget=1", "--wasm-tiering-budget=13000000"]] as const;

/** A function that is due is optimised by the thread that calls it, before the call goes on, and to 256-bit vectors. */
const REVECTORISE = [
  ["--wasm-sync-tier-up", "--no-wasm-sync-tier-up"],
  ["--experimental-wasm-revectorize", "--no-experimental-wasm-revectorize"],
] as const;

/** An option, not a path or a script that is an option's value; V8 takes `_` for `-`, NODE_OPTIONS has quotes. */
const OF_WASM = /^"?--[\w-]*(?:wasm|liftoff)/;

/** Under this name threads that are started later find what became of it: the module, or why there is none. */
const SHARED = "sluice.wide";

/** See Platform.compileWide. SLUICE_WIDE=0 in the environment forbids it, SLUICE_WIDE=1 asks for it. */
export function compileWide(
  bytes: () => Uint8Array<ArrayBuffer>,
  isRight: (module: WebAssembly.Module) => boolean,
  asked: boolean,
): WebAssembly.Module | undefined {
  if (process.env.SLUICE_WIDE === "0") return undefined;
  const known: unknown = getEnvironmentData(SHARED);
  if (known !== undefined) return ofModule(known);
  if (whyNotHere()) return undefined;
  if (mustBeAsked() && !asked && process.env.SLUICE_WIDE !== "1") {
    withoutWide();
    return undefined;
  }
  const made = attempt(bytes, isRight);
  setEnvironmentData(SHARED, made ?? WRONG);
  return made;
}

/** See Platform.withoutWide. */
export function withoutWide(): void {
  if (isMainThread && mustBeAsked() && getEnvironmentData(SHARED) === undefined) setEnvironmentData(SHARED, LATE);
}

/** See Platform.whyNotWide. */
export function whyNotWide(): WideRefusal | undefined {
  if (process.env.SLUICE_WIDE === "0") return FORBIDDEN;
  const known: unknown = getEnvironmentData(SHARED);
  if (ofModule(known)) return undefined;
  return isRefusal(known) ? known : whyNotHere();
}

const FORBIDDEN: WideRefusal = { reason: "forbidden", message: "SLUICE_WIDE=0 in the environment forbids them." };
const WRONG: WideRefusal = { reason: "wrong", message: "What V8 made of the module does not compute right here." };
const LATE: WideRefusal = {
  reason: "late",
  message:
    "Sluice's kernels were compiled without them in this process, and this version of V8 may not make them beside " +
    "running kernels: call enableWideVectors() before anything else of Sluice.",
};

/** By its fields: threads get copies. */
function isRefusal(value: unknown): value is WideRefusal {
  return typeof value === "object" && value !== null && "reason" in value && "message" in value;
}

function ofModule(value: unknown): WebAssembly.Module | undefined {
  return typeof WebAssembly !== "undefined" && value instanceof WebAssembly.Module ? value : undefined;
}

function trial(): Trial | undefined {
  return TRIED[process.versions.v8.split(".", 2).join(".")];
}

function mustBeAsked(): boolean {
  return trial()?.unasked === false;
}

/** Why this thread makes none, whoever asks. */
function whyNotHere(): WideRefusal | undefined {
  const { arch, env, execArgv, versions } = process;
  if (typeof WebAssembly === "undefined") {
    return { reason: "runtime", message: "There is no WebAssembly here; was Node started with --jitless?" };
  }
  const elsewhere = ELSEWHERE.find((name) => versions[name]);
  if (elsewhere) return { reason: "runtime", message: `They are for Node; this is ${elsewhere}.` };
  if (arch !== "x64") return { reason: "processor", message: `They are for x64 with AVX2; this is ${arch}.` };
  if (!hasAvx2()) return { reason: "processor", message: "They are for processors with AVX2; this one has none." };
  if (!trial()) {
    const tried = Object.keys(TRIED).join(" and ");
    return { reason: "version", message: `They were tried in V8 ${tried} (Node 24 and 26); this is ${versions.v8}.` };
  }
  // Whoever sets flags of this kind keeps them.
  const own = [...execArgv, ...(env.NODE_OPTIONS ?? "").split(/\s+/)].find((option) => OF_WASM.test(option));
  if (own !== undefined) return { reason: "flags", message: `Flags of V8 are set by the user: ${own}.` };
  if (isMainThread) return undefined;
  return { reason: "thread", message: "The main thread makes them, before it starts others; it had not." };
}

/** Where the system does not say, V8 knows: it joins nothing without. */
function hasAvx2(): boolean {
  if (process.platform !== "linux") return true;
  try {
    const flags = /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "latin1"))?.[1];
    return flags === undefined || /\bavx2\b/.test(flags);
  } catch {
    return true;
  }
}

/** Nothing that goes wrong here may stop a model from loading. */
function attempt(
  bytes: () => Uint8Array<ArrayBuffer>,
  isRight: (module: WebAssembly.Module) => boolean,
): WebAssembly.Module | undefined {
  try {
    const code = bytes();
    const module = withFlags(DUE_AT_ONCE, () => new WebAssembly.Module(code));
    // The first trial calls every function, which then is what the second one sees.
    return withFlags(REVECTORISE, () => isRight(module)) && isRight(module) ? module : undefined;
  } catch {
    return undefined;
  }
}

function withFlags<R>(flags: readonly (readonly [on: string, off: string])[], body: () => R): R {
  try {
    for (const [on] of flags) setFlagsFromString(on);
    return body();
  } finally {
    for (const [, off] of flags.toReversed()) setFlagsFromString(off);
  }
}
