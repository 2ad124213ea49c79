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
  /** Replaces the numbers by those of another of the same shape and place. No step may be running. */
  copy(other: KeptTensor): void;
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

/** The same matrix of all experts of a layer: one weight, the experts one behind the other. */
export interface ExpertWeights {
  /** E */
  readonly count: number;
  /** [E * outputs, inputs] */
  readonly matrix: Weight;
  /** [E, outputs] */
  readonly bias?: Weight | undefined;
}

/** Host numbers copied into the backend for one step: token ids, spans, angles. Valid until the next beginStep. */
export interface StepInput {
  readonly length: number;
}

/** A weight whose bytes the loader has yet to give, before `weightsLoaded`, in any order. */
export interface WeightSlot {
  readonly weight: Weight;
  /** Stores a piece of the weight, from its byte `offset` on. The backend keeps no reference to `bytes`. */
  write(offset: number, bytes: Uint8Array): void;
  /** All bytes, where they lie in memory that the host reaches: a reader may fill them there, so that nothing is copied. */
  readonly memory?: Uint8Array | undefined;
}
