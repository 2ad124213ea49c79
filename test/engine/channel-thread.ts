/** A "thread" in this thread: the engine behind real structured clones over a MessageChannel. */
import { MessageChannel } from "node:worker_threads";
import type { LoadOptions, Model } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import { type LoadLocal, serveEngine } from "../../src/engine/thread/host.js";
import { loadRemote } from "../../src/engine/thread/remote-model.js";
import type { Thread } from "../../src/util/platform.js";

export class ChannelThread implements Thread {
  terminated = 0;
  /** While it is deaf it takes no messages, as a thread that is busy. */
  deaf = false;
  readonly #channel = new MessageChannel();

  constructor(load: LoadLocal = loadLocal) {
    const { port2 } = this.#channel;
    serveEngine(
      {
        post: (message, transfer) => port2.postMessage(message, transfer ?? []),
        onMessage: (listener) => {
          port2.on("message", (message) => {
            if (!this.deaf) listener(message);
          });
        },
      },
      load,
    );
  }

  post(message: unknown, transfer?: readonly ArrayBuffer[]): void {
    this.#channel.port1.postMessage(message, transfer ?? []);
  }
  onMessage(listener: (message: unknown) => void): void {
    this.#channel.port1.on("message", listener);
  }
  onFailure(): void {}
  keepAlive(): void {}
  async terminate(): Promise<void> {
    this.terminated++;
    this.#channel.port1.close();
  }
}

/** The two ways in which a model runs. */
export const MODES = ["in place", "in a thread"] as const;
export type Mode = (typeof MODES)[number];

export function loadAs(mode: Mode, file: string, options: LoadOptions = { threads: 1 }): Promise<Model> {
  return mode === "in place" ? loadLocal(file, options) : loadRemote(new ChannelThread(), file, options);
}
