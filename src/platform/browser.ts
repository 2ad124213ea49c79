/**
 * Sluice's surroundings in a browser. Kernel threads share memory, which browsers allow on cross-origin isolated pages
 * only; on others the kernels run on one thread.
 * @module sluice/platform/browser
 */
import type { Platform } from "../util/platform.js";
import { deleteStored, listStored, shelfFor } from "./block-store-browser.js";
import { absoluteUrl, listUrl, openUrl } from "./file-url.js";
import { HttpHub } from "./hub-http.js";
import { ISOLATING, sharesMemory, spawnScriptThread, WebWorkerThread } from "./thread-browser.js";

const waiting: (() => void)[] = [];
let channel: MessageChannel | undefined;

export const browserPlatform: Platform = {
  kind: "browser",
  cores: sharesMemory() ? navigator.hardwareConcurrency : 1,
  get oneThread() {
    return oneThread();
  },
  availableMemoryBytes: () => undefined,
  residentMemoryBytes: () => undefined,
  open: async (url, options = {}) => {
    const canStore = options.store !== false && /^https?:/i.test(url);
    return openUrl(url, options, canStore ? await shelfFor(url) : undefined);
  },
  absolute: absoluteUrl,
  list: (url) => listUrl(url),
  spawnScript: spawnScriptThread,
  // Bundlers know this form and bundle the worker.
  spawnEngine: () =>
    new WebWorkerThread(
      new Worker(new URL("../engine-thread-browser.js", import.meta.url), { type: "module", name: "sluice-engine" }),
      "The bundler must emit engine-thread-browser.js as a worker, served from the page's origin with the page's headers",
    ),
  yieldToEvents,
  enableWasmFeatures: () => {},
  hub: new HttpHub("https://huggingface.co"),
  store: { list: listStored, delete: deleteStored },
};

function oneThread(): string | undefined {
  if (sharesMemory() || globalThis.navigator?.hardwareConcurrency === 1) return undefined;
  return `this page is not cross-origin isolated, so threads cannot share memory. ${ISOLATING}`;
}

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
