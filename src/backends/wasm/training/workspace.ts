/**
 * Memory that calls of one operation use one after the other: it outlives steps and grows to the largest call's needs,
 * so that the layers of a training step do not each take their own.
 */
import type { Machine } from "../machine.js";
import { roundUp } from "../space.js";

export class Workspace {
  private start = 0;
  private taken = 0;

  constructor(
    private readonly machine: Machine,
    private readonly purpose: string,
  ) {}

  /** Addresses of uninitialised pieces of these sizes; those of a call before are gone. @throws MemoryError */
  pieces(...sizes: readonly number[]): { readonly address: number; readonly bytes: number; readonly parts: number[] } {
    const bytes = sizes.reduce((sum, size) => sum + roundUp(size), 0);
    if (bytes > this.taken) this.grow(bytes);
    let at = this.start;
    const parts = sizes.map((size) => {
      const part = at;
      at += roundUp(size);
      return part;
    });
    return { address: this.start, bytes, parts };
  }

  private grow(bytes: number): void {
    // Commands that wait may use what is let go of.
    this.machine.flush();
    if (this.taken > 0) this.machine.space.release(this.start, this.taken);
    this.taken = 0;
    this.start = this.machine.space.allocate(bytes, this.purpose);
    this.taken = bytes;
  }
}
