/** With real threads: they find the wide module that the main thread made, and never make one themselves. */
import { once } from "node:events";
import process from "node:process";
import { isMainThread, Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { compileWide } from "../../src/platform/wide-node.js";

const { arch, env, versions } = process;
/** Where the module is made unasked. It is also a Node that runs TypeScript, so that a thread can import the source. */
const isNode24 = arch === "x64" && versions.v8.startsWith("13.6.") && env.SLUICE_WIDE !== "0";

/** The shortest module. */
const MODULE = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
const SOURCE = new URL("../../src/platform/wide-node.ts", import.meta.url).href;
const SCRIPT = `
  const { parentPort } = require("node:worker_threads");
  import("${SOURCE}").then(({ compileWide }) => {
    let tried = false;
    const bytes = () => {
      tried = true;
      return Uint8Array.of(${MODULE});
    };
    const module = compileWide(bytes, () => true, true);
    parentPort.postMessage({ module, tried });
  });
`;

/** What a thread finds that is started as the engine's is. */
async function inThread(): Promise<unknown> {
  const worker = new Worker(SCRIPT, { eval: true, execArgv: [] });
  try {
    const [found] = await once(worker, "message");
    return found;
  } finally {
    await worker.terminate();
  }
}

describe.skipIf(!isNode24)("a thread of Node 24 on x64", () => {
  test("makes no module when the main thread has made none", async () => {
    expect(isMainThread).toBe(true);
    expect(await inThread()).toEqual({ module: undefined, tried: false });
  });

  test("finds the main thread's module", async () => {
    expect(
      compileWide(
        () => MODULE,
        () => true,
        false,
      ),
    ).toBeInstanceOf(WebAssembly.Module);
    expect(await inThread()).toEqual({ module: expect.any(WebAssembly.Module), tried: false });
  });
});
