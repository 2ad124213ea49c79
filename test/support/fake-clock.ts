/** A clock that stands still until the test moves it, in place of `performance.now`: what depends on time is exact then. */
import { vi } from "vitest";
import type { Backend } from "../../src/tensor/backend.js";

export class FakeClock {
  nowMs = 1000;
  private readonly spy = vi.spyOn(performance, "now").mockImplementation(() => this.nowMs);
  private readonly slowed: Backend[] = [];

  /** From here on every read of the backend, so every step, takes time: the first `stepMs(1)`. */
  slow(backend: Backend, stepMs: (step: number) => number): void {
    const read = backend.read.bind(backend);
    let step = 0;
    backend.read = (x) => {
      this.nowMs += stepMs(++step);
      return read(x);
    };
    this.slowed.push(backend);
  }

  restore(): void {
    this.spy.mockRestore();
    for (const backend of this.slowed.splice(0)) Reflect.deleteProperty(backend, "read");
  }
}
