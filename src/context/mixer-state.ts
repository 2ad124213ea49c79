/**
 * The seam between a model's layers and what they remember. An attention layer hands its unrotated queries, keys and values
 * to an AttentionState and gets the mixed values back; it never knows what is kept, where, or how it is read. A state-space
 * layer reads and writes the few tensors of its RecurrentState.
 */
import type { AlibiSpec } from "../position/alibi.js";
import type { RelativeSpec } from "../position/relative.js";
import type { RopeSpec } from "../position/rope.js";
import type { Backend } from "../tensor/backend.js";
import type { KeptTensor, Tensor, Weight } from "../tensor/tensor.js";

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
  readonly alibi?: AlibiSpec | undefined;
  readonly relative?: RelativeSpec | undefined;
  readonly softcap?: number | undefined;
  /** The model's own sliding window: position t sees t - window + 1 .. t. */
  readonly window?: number | undefined;
}

/** What a layer hands over: rows of the step, and its learned parts of the scores. */
export interface AttendCall {
  /** [T, H*D] and [T, Hkv*D], unrotated, and [T, Hkv*Dv]. */
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  /** Receives [T, H*Dv]. */
  readonly out: Tensor;
  /** [1, H]: as AttentionCall.sinks. */
  readonly sinks?: Weight | undefined;
  /** [buckets, H] of a layer with relative positions. */
  readonly table?: Weight | undefined;
}

export interface AttentionState {
  /** The rows are those announced to `begin`. */
  attend(ops: Backend, call: AttendCall): void;
}

/** What a state must know of a state-space layer: the tensors that it carries from token to token. */
export interface RecurrentShape {
  readonly layer: number;
  readonly tensors: readonly { readonly rows: number; readonly cols: number }[];
}

/** A step reads `before` and writes `after`; it counts when the step has ended well. */
export interface RecurrentTensor {
  readonly before: KeptTensor;
  readonly after: KeptTensor;
}

/** Attention over something that was read as a whole before: all rows see all of it. */
export interface WholeAttentionState {
  /** k [n, Hkv*D], v [n, Hkv*Dv]: all of it, once. */
  fill(ops: Backend, k: Tensor, v: Tensor): void;
  attend(ops: Backend, call: Pick<AttendCall, "q" | "out" | "table">): void;
}

/** The layers of a model as what remembers for them sees them. */
export interface MixerShapes {
  readonly attention: readonly AttentionShape[];
  readonly recurrent: readonly RecurrentShape[];
  /** Attention over the encoder's output, and the encoder's own; empty in models without one. */
  readonly cross: readonly AttentionShape[];
  readonly encoder: readonly AttentionShape[];
}

/** What layers that carry a state from token to token ask of one sequence. */
export interface CarriedStates {
  /** Tokens read so far: the position of the next. */
  readonly seen: number;
  recurrent(layer: number): readonly RecurrentTensor[];
}

/** The states of a sequence whose layers are asked one sequence after the other, by the number of the layer. */
export interface LayerStates extends CarriedStates {
  attention(layer: number): AttentionState;
  cross(layer: number): WholeAttentionState;
}

/** Rows [start, start + count) of a step belong to one sequence. */
export interface Segment {
  readonly start: number;
  readonly count: number;
  readonly state: CarriedStates;
}

/** What the sequences of a step remember, as its layers see it: a layer asks once for the rows of all of them. */
export interface StepStates {
  attention(layer: number): AttentionState;
  /** Attention to what each sequence's encoder read. */
  cross(layer: number): Pick<WholeAttentionState, "attend">;
}

/** Where the tokens of a step come from: a text that was given, whose rows read all that they see, or the model itself. */
export type Origin = "given" | "written";

/** All that one sequence remembers, advanced together. */
export interface SequenceState extends CarriedStates {
  /** Most of `wanted` next tokens that one step may take. */
  stepLimit(wanted: number): number;
  /**
   * Announces a step of `count` tokens: frees what they cannot see, makes room, works out what they see.
   * @param origin default: they were given
   * @throws ContextFullError, MemoryError; then nothing has changed
   */
  begin(count: number, origin?: Origin): void;
  /** The step's results were collected and are good: its tokens count as read. Else the next `begin` undoes the step. */
  collected(): void;
}
