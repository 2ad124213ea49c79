/** Host numbers of one step, uploaded by the first layer that asks for them. */
import type { Backend } from "../tensor/backend.js";
import type { StepInput } from "../tensor/tensor.js";

export class Uploads {
  private readonly made = new Map<object | string, StepInput>();

  constructor(private readonly backend: Pick<Backend, "input">) {}

  /** A step begins: those of the one before are gone. */
  clear(): void {
    this.made.clear();
  }

  once(key: object | string, numbers: () => Int32Array | Float32Array): StepInput {
    const known = this.made.get(key);
    if (known) return known;
    const made = this.backend.input(numbers());
    this.made.set(key, made);
    return made;
  }
}
