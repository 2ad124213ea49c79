/**
 * 256-bit vectors for WebAssembly. V8 can join neighbouring 128-bit operations ("revectorisation", x64 with AVX2), behind
 * a flag that is not meant for all code yet. So the flag is on only while one small module is compiled, once in a process,
 * and only in versions of V8 where that has been tried; a major version of Node keeps its V8.
 *
 * Flags are the process's: what other threads compile in these milliseconds is compiled so too. V8 13.6 (Node 24) takes all
 * code that we have given it; V8 14.6 (Node 26) aborts the process on some, so there it happens only when asked for.
 */
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { getEnvironmentData, setEnvironmentData } from "node:worker_threads";

/** Versions of V8 that have been tried: whether without being asked. */
const TRIED: Readonly<Record<string, boolean>> = { "13.6": true, "14.6": false };

/** Runtimes with Node's API whose V8 may not let its flags be changed. */
const ELSEWHERE = ["deno", "bun", "electron"];

/**
 * In this order on, in the reverse order off. The optimising compiler must run at once, while the last one is on. It inlines
 * by what the baseline compiler has counted, and V8 14.6 aborts when nothing was counted, so it must not inline.
 */
const FLAGS = [
  ["--no-wasm-inlining", "--wasm-inlining"],
  ["--no-wasm-lazy-compilation", "--wasm-lazy-compilation"],
  ["--no-liftoff", "--liftoff"],
  ["--experimental-wasm-revectorize", "--no-experimental-wasm-revectorize"],
] as const;

/** Under this name threads that are started later find what became of it: the module, or false. */
const SHARED = "sluice.wide";

/** See Platform.compileWide. SLUICE_WIDE=0 in the environment forbids it, SLUICE_WIDE=1 asks for it. */
export function compileWide(
  bytes: () => Uint8Array<ArrayBuffer>,
  isRight: (module: WebAssembly.Module) => boolean,
  asked: boolean,
): WebAssembly.Module | undefined {
  if (!isAllowed(asked)) return undefined;
  const known: unknown = getEnvironmentData(SHARED);
  if (known !== undefined) return known instanceof WebAssembly.Module ? known : undefined;
  const made = attempt(bytes(), isRight);
  setEnvironmentData(SHARED, made ?? false);
  return made;
}

function isAllowed(asked: boolean): boolean {
  const { arch, env, execArgv, versions } = process;
  if (env.SLUICE_WIDE === "0" || arch !== "x64" || ELSEWHERE.some((name) => versions[name])) return false;
  // Whoever sets flags of this kind keeps them.
  if (/wasm|liftoff/.test([env.NODE_OPTIONS, ...execArgv].join(" "))) return false;
  const unasked = TRIED[versions.v8.split(".", 2).join(".")];
  return unasked !== undefined && (unasked || asked || env.SLUICE_WIDE === "1");
}

/** Nothing that goes wrong here may stop a model from loading. */
function attempt(
  bytes: Uint8Array<ArrayBuffer>,
  isRight: (module: WebAssembly.Module) => boolean,
): WebAssembly.Module | undefined {
  try {
    const module = withFlags(() => new WebAssembly.Module(bytes));
    return isRight(module) ? module : undefined;
  } catch {
    return undefined;
  }
}

function withFlags<R>(body: () => R): R {
  try {
    for (const [on] of FLAGS) setFlagsFromString(on);
    return body();
  } finally {
    for (const [, off] of FLAGS.toReversed()) setFlagsFromString(off);
  }
}
