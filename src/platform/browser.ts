/**
 * Sluice's surroundings in a browser. The Wasm pool needs SharedArrayBuffer, so a cross-origin isolated page.
 */
import type { Platform } from "../util/platform.js";
import { listUrl, openUrl } from "./file-browser.js";
import { spawnScriptThread, WebWorkerThread } from "./thread-browser.js";

const waiting: (() => void)[] = [];
let channel: MessageChannel | undefined;

export const browserPlatform: Platform = {
  kind: "browser",
  cores: globalThis.navigator?.hardwareConcurrency ?? 1,
  availableMemoryBytes: () => undefined,
  residentMemoryBytes: () => undefined,
  open: openUrl,
  list: listUrl,
  spawnScript: spawnScriptThread,
  // Bundlers know this form and bundle the worker.
  spawnEngine: () =>
    new WebWorkerThread(
      new Worker(new URL("../engine-thread-browser.js", import.meta.url), { type: "module", name: "sluice-engine" }),
    ),
  yieldToEvents,
  enableWasmFeatures: () => {},
};

/** Over a message channel: timers of a page wait 4 ms or more. */
function yieldToEvents(): Promise<void> {
  if (!channel) {
    channel = new MessageChannel();
    channel.port1.onmessage = () => waiting.shift()?.();
  }
  const { port2 } = channel;
  return new Promise((resolve) => {
    waiting.push(resolve);
    port2.postMessage(null);
  });
}
