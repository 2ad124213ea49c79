/**
 * What the state-space layers of one sequence carry: constant in size, whatever the length of the text. There are two of
 * every tensor, so that a step that fails leaves the state as it was.
 */
import type { Backend } from "../tensor/backend.js";
import type { KeptTensor } from "../tensor/tensor.js";
import { InternalError } from "../util/errors.js";
import type { RecurrentShape, RecurrentTensor } from "./mixer-state.js";

class Pair implements RecurrentTensor {
  constructor(
    public before: KeptTensor,
    public after: KeptTensor,
  ) {}

  swap(): void {
    [this.before, this.after] = [this.after, this.before];
  }
}

export class RecurrentMemory {
  private readonly layers = new Map<number, readonly Pair[]>();
  private readonly taken: KeptTensor[] = [];

  /** @throws MemoryError; then nothing is taken */
  constructor(backend: Backend, shapes: readonly RecurrentShape[]) {
    const take = (rows: number, cols: number, layer: number) => {
      const tensor = backend.kept(rows, cols, layer);
      this.taken.push(tensor);
      return tensor;
    };
    try {
      for (const { layer, tensors } of shapes) {
        const pairs = tensors.map(({ rows, cols }) => new Pair(take(rows, cols, layer), take(rows, cols, layer)));
        this.layers.set(layer, pairs);
      }
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  of(layer: number): readonly RecurrentTensor[] {
    const pairs = this.layers.get(layer);
    if (!pairs) throw new InternalError(`Layer ${layer} has no recurrent state.`);
    return pairs;
  }

  get usedBytes(): number {
    return this.taken.reduce((sum, { rows, cols }) => sum + 4 * rows * cols, 0);
  }

  /** In the order of the shapes. */
  get current(): readonly KeptTensor[] {
    return this.pairs.map(({ before }) => before);
  }

  private get pairs(): readonly Pair[] {
    return [...this.layers.values()].flat();
  }

  /** What the step wrote is the state from here on. */
  collected(): void {
    for (const pair of this.pairs) pair.swap();
  }

  /** The state of another memory of the same shapes. */
  copy(other: RecurrentMemory): void {
    const theirs = other.current;
    this.current.forEach((state, i) => {
      state.copy(theirs[i]);
    });
  }

  clear(): void {
    for (const { before } of this.pairs) before.write(new Float32Array(before.rows * before.cols));
  }

  dispose(): void {
    for (const tensor of this.taken) tensor.dispose();
    this.taken.length = 0;
    this.layers.clear();
  }
}

/** Bytes that a sequence's recurrent states take. */
export function recurrentBytes(shapes: readonly RecurrentShape[]): number {
  return shapes.reduce(
    (sum, { tensors }) => sum + tensors.reduce((part, { rows, cols }) => part + 2 * 4 * rows * cols, 0),
    0,
  );
}
