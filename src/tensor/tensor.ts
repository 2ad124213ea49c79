/**
 * Handles to numbers that live in a backend. Model code sees only these; what lies behind a handle is the backend's
 * affair. Letters: T tokens in a step, H query heads, Hkv key/value heads, D head width, C model width, V vocabulary.
 */
import type { DType } from "./dtype.js";

/** Activations of one step, f32, row-major [rows, cols]. Lives as the arena that made it (see Backend.scope). */
export interface Tensor {
  readonly rows: number;
  readonly cols: number;
}

/** What a state-space layer remembers between steps: numbers that outlive steps. */
export interface KeptTensor extends Tensor {
  /** The numbers, [rows * cols], once all dispatched work is done. */
  read(): Promise<Float32Array>;
  /** Replaces the numbers. No step may be running. */
  write(values: Float32Array): void;
  dispose(): void;
}

/**
 * A matrix of the model [rows = outputs, cols = inputs], in its file's format: given row-major, though the backend may lay it
 * out anew. Vectors have one row.
 */
export interface Weight {
  readonly name: string;
  readonly dtype: DType;
  readonly rows: number;
  readonly cols: number;
}

/** Host numbers copied into the backend for one step: token ids, spans, angles. Valid until the next beginStep. */
export interface StepInput {
  readonly length: number;
}

/** A weight whose bytes the loader has yet to write: `bytes` is the backend's own memory, so nothing is copied. */
export interface WeightSlot {
  readonly weight: Weight;
  readonly bytes: Uint8Array;
}
