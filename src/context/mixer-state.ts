/**
 * The seam between a model's layers and what they remember. A layer hands its unrotated queries, keys and values to an
 * AttentionState and gets the mixed values back; it never knows what is kept, where, or how it is read. (A state-space
 * layer will hand its input to a state of its own kind.)
 */

import type { RopeSpec } from "../position/rope.js";
import type { Backend } from "../tensor/backend.js";
import type { Tensor } from "../tensor/tensor.js";

/** What a state must know of the attention layer that it serves. */
export interface AttentionShape {
  readonly layer: number;
  /** H, a multiple of kvHeads. */
  readonly heads: number;
  readonly kvHeads: number;
  readonly keyWidth: number;
  readonly valueWidth: number;
  /** Multiplies q.k. */
  readonly scale: number;
  readonly rope?: RopeSpec | undefined;
  /** The model's own sliding window: position t sees t - window + 1 .. t. */
  readonly window?: number | undefined;
}

export interface AttentionState {
  /** q [T, H*D], k [T, Hkv*D], v [T, Hkv*Dv], unrotated, of the rows announced to `begin`; fills out [T, H*Dv]. */
  attend(ops: Backend, q: Tensor, k: Tensor, v: Tensor, out: Tensor): void;
}

/** All that one sequence remembers: one state per layer, advanced together. */
export interface SequenceState {
  /** Tokens read so far. */
  readonly seen: number;
  /** States by layer. */
  readonly layers: readonly AttentionState[];
  /** Most of `wanted` next tokens that one step may take. */
  stepLimit(wanted: number): number;
  /**
   * Announces a step of `count` tokens: frees what they cannot see, makes room, uploads ranges and angles.
   * @throws ContextFullError, MemoryError; then nothing has changed
   */
  begin(count: number): void;
  /** The step is dispatched: its tokens count as read. */
  end(): void;
}
