/**
 * 256-bit vectors for WebAssembly. V8 can join neighbouring 128-bit operations ("revectorisation", x64 with AVX2), behind
 * a flag that is not meant for all code yet. So the flag is on only while one small module is compiled, once in a process,
 * and only in versions of V8 where that has been tried; a major version of Node keeps its V8.
 *
 * Flags are the process's: what other threads compile in these milliseconds is compiled so too. V8 13.6 (Node 24) takes all
 * code that we have given it; V8 14.6 (Node 26) aborts the process on some, so there it happens only when asked for.
 *
 * Only the main thread does it: two threads could set and reset the flags across each other, and a thread that was started
 * with options of its own does not see which flags the user gave the process.
 */
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { getEnvironmentData, isMainThread, setEnvironmentData } from "node:worker_threads";

interface Trial {
  /** Whether it happens without being asked for. */
  readonly unasked: boolean;
  /** Whether inlining must be off meanwhile: see FLAGS. */
  readonly inlining: boolean;
}

/** Versions of V8 that have been tried. */
const TRIED: Readonly<Record<string, Trial>> = {
  "13.6": { unasked: true, inlining: true },
  "14.6": { unasked: false, inlining: false },
};

/** Runtimes with Node's API whose V8 may not let its flags be changed. */
const ELSEWHERE = ["deno", "bun", "electron"];

/** In this order on, in the reverse order off. The optimising compiler must run at once, while the last one is on. */
const FLAGS = [
  ["--no-wasm-lazy-compilation", "--wasm-lazy-compilation"],
  ["--no-liftoff", "--liftoff"],
  ["--experimental-wasm-revectorize", "--no-experimental-wasm-revectorize"],
] as const;

/**
 * The optimising compiler inlines by what the baseline compiler has counted. V8 14.6 aborts when nothing was counted, so there
 * inlining is off. In V8 13.6 that very flag crashes the process (14 of 40) when other threads compile: never set it there.
 */
const NO_INLINING = ["--no-wasm-inlining", "--wasm-inlining"] as const;

/** An option, not a path or a script that is an option's value; V8 takes `_` for `-`, NODE_OPTIONS has quotes. */
const OF_WASM = /^"?--[\w-]*(?:wasm|liftoff)/;

/** Under this name threads that are started later find what became of it: the module, or false. */
const SHARED = "sluice.wide";

/** See Platform.compileWide. SLUICE_WIDE=0 in the environment forbids it, SLUICE_WIDE=1 asks for it. */
export function compileWide(
  bytes: () => Uint8Array<ArrayBuffer>,
  isRight: (module: WebAssembly.Module) => boolean,
  asked: boolean,
): WebAssembly.Module | undefined {
  const trial = allowed(asked);
  if (!trial) return undefined;
  const known: unknown = getEnvironmentData(SHARED);
  if (known !== undefined || !isMainThread) return known instanceof WebAssembly.Module ? known : undefined;
  const made = attempt(trial, bytes, isRight);
  setEnvironmentData(SHARED, made ?? false);
  return made;
}

function allowed(asked: boolean): Trial | undefined {
  const { arch, env, execArgv, versions } = process;
  if (env.SLUICE_WIDE === "0" || arch !== "x64" || ELSEWHERE.some((name) => versions[name])) return undefined;
  // Whoever sets flags of this kind keeps them.
  if ([...execArgv, ...(env.NODE_OPTIONS ?? "").split(/\s+/)].some((option) => OF_WASM.test(option))) return undefined;
  const trial = TRIED[versions.v8.split(".", 2).join(".")];
  return trial && (trial.unasked || asked || env.SLUICE_WIDE === "1") ? trial : undefined;
}

/** Nothing that goes wrong here may stop a model from loading. */
function attempt(
  trial: Trial,
  bytes: () => Uint8Array<ArrayBuffer>,
  isRight: (module: WebAssembly.Module) => boolean,
): WebAssembly.Module | undefined {
  try {
    const code = bytes();
    const module = withFlags(trial.inlining ? FLAGS : [NO_INLINING, ...FLAGS], () => new WebAssembly.Module(code));
    return isRight(module) ? module : undefined;
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
