/**
 * The Backend interface: the operations that models are made of. A backend dispatches synchronously and in order; only
 * `read` is asynchronous, so model code has no `await`. These are the required operations; fused, optional ones will have
 * defaults made of them.
 *
 * Memory of a step: `beginStep` drops all tensors and inputs of the step before. Tensors made outside any scope live
 * until the next `beginStep`. `scope` runs one layer on one of two alternating arenas: its result lives until the scope
 * after the next begins, so activations take the space of two layers, and nothing is allocated in a steady state.
 *
 * A backend may have several memories, each of a limited size. A layer's weights and cache lie in one of them, its *place*;
 * activations and inputs are copied to where an operation needs them.
 */
import type { DType } from "./dtype.js";
import type { BoundsPlace, KvBounds, KvLayout, KvSlice, KvStore } from "./kv.js";
import type { Misfits } from "./misfits.js";
import type { Angles, AttentionBias, ElementFunction, ExpertWeighting, Gating, Routing } from "./operands.js";
import type { ExpertWeights, KeptTensor, StepInput, Tensor, Weight, WeightSlot } from "./tensor.js";
import type { TrainingOps } from "./training.js";

export type * from "./operands.js";

export type BackendName = "reference" | "wasm";

/** What some rows of a call (those of one sequence) see through a set of heads. */
export interface AttentionPart {
  readonly slice: KvSlice;
  /** Rows [first, first + rows) of the call's tensors. */
  readonly first: number;
  readonly rows: number;
  /** R: ranges of each of these rows, at most as many as the call has queries. */
  readonly ranges: number;
  /** Where the part's spans begin in those of the call, counted in pairs: [rows, R, 2] from there. */
  readonly spans: number;
  /**
   * Of a part of one row: the pages that are read, for each KV head its own list. Spans then count slots within the lists (entry of
   * the list * 16 + place), and are the same for all heads; places of a bias still count those of the table.
   */
  readonly selection?: SelectedPages | undefined;
}

/**
 * A layer's attention in a step: any number of sequences and sets of heads, ragged, without padding. A part's numbers do not
 * depend on what else is in the call.
 */
export interface AttentionCall {
  /** Receives [T, H*Dv] in the rows of the parts and the columns of their heads (G*Dv each); others are left alone. */
  readonly out: Tensor;
  /**
   * Rotated queries [T, H*D], one tensor per range; may be the same tensor several times. A part with fewer ranges than
   * there are tensors takes the last ones: the newest range is always the last.
   */
  readonly queries: readonly Tensor[];
  /**
   * i32, pairs: first slot and slot after the last that a row sees in a range. Empty ranges have both equal, at any place.
   * Ranges of a row do not overlap.
   */
  readonly spans: StepInput;
  /** Their rows and heads do not overlap. Stores lie in one place and have the same widths; their types may differ. */
  readonly parts: readonly AttentionPart[];
  /** G: query heads of one KV head. */
  readonly group: number;
  /** Multiplies q.k before the softmax. */
  readonly scale: number;
  /** Then scores are c tanh(score / c). */
  readonly softcap?: number | undefined;
  /** Then this is added to them. */
  readonly bias?: AttentionBias | undefined;
  /** [1, H]: one logit for each head that joins the softmax's denominator and has no value. */
  readonly sinks?: Weight | undefined;
}

/** A row that is to read a part of its pages. */
export interface SelectPart {
  /** The cache that it will attend to, and the bounds of its pages. */
  readonly slice: KvSlice;
  readonly bounds: KvBounds;
  /** The row of the call's tensors. */
  readonly first: number;
  /** R: its ranges. The newest has at least one candidate. */
  readonly ranges: number;
  /** Where its spans begin in those of the call, counted in pairs: [R, 2] from there, in slots of the table. */
  readonly spans: number;
  /** Bounds place of the first candidate. */
  readonly at: number;
  /** K: candidates to be chosen, at least one, at most all. */
  readonly pages: number;
  /** How many of the first and of the last candidates are chosen whatever they weigh: together at most K. */
  readonly oldest: number;
  readonly newest: number;
}

/**
 * Which pages single rows read, by what their bounds promise (Quest, 2406.10774). *Candidates* are the pages of a row's newest range,
 * but for a first one that the range has in part. The bound of a candidate is the largest score that a query head could have with a
 * key within its bounds: the sum over elements of max(q * largest, q * smallest), scaled and capped as in attention, plus the
 * largest bias of the page's 16 distances. A candidate's weight is the sum over the group's query heads of the softmax of their
 * bounds over the candidates; a sink joins the denominator. Beside those at both ends the heaviest are chosen, of equal ones
 * the earlier; a weight that is no number counts as 0.
 */
export interface SelectCall {
  /** As in AttentionCall. Of the queries only the last ones, those of the newest range, are looked at. */
  readonly queries: readonly Tensor[];
  readonly spans: StepInput;
  /** Stores of slices lie in one place, those of bounds too, and all have the same width. */
  readonly parts: readonly SelectPart[];
  readonly group: number;
  readonly scale: number;
  readonly softcap?: number | undefined;
  readonly bias?: AttentionBias | undefined;
  readonly sinks?: Weight | undefined;
}

/** The pages that a part of a SelectCall reads, for each KV head of its slice. Lives as a tensor. */
export interface SelectedPages {
  readonly heads: number;
  /**
   * Entries of each head's list: first all pages that the earlier ranges touch, range by range, then those chosen of the newest
   * range, in text order.
   */
  readonly pages: number;
  /** The lists as entries of the page table, [heads, pages], once all dispatched work is done. For tests and studies. */
  read(): Promise<Int32Array>;
}

/** Slots of a slice whose pages are to be bounded: a page from its first place to the last that is among them. */
export interface BoundPart {
  readonly slice: KvSlice;
  /** Those of the pages that have the slots [slot, slot + rows), in their order. */
  readonly bounds: BoundsPlace;
  readonly slot: number;
  readonly rows: number;
}

/** A causal depthwise convolution over the rows of one sequence, of width K, whose result goes through SiLU. */
export interface ConvolutionCall {
  /** [T, channels] */
  readonly x: Tensor;
  /** [channels, K]; the last column multiplies the newest input. */
  readonly kernel: Weight;
  /** [1, channels] */
  readonly bias?: Weight | undefined;
  /** [K-1, channels]: the inputs before the first row, oldest first. */
  readonly before: KeptTensor;
  /** Receives the last K-1 inputs; another tensor than `before`. */
  readonly after: KeptTensor;
}

/**
 * The selective scan (Mamba 2312.00752, Mamba-2 2405.21060) over the rows of one sequence. H heads of P channels with
 * states of N numbers each, B and C shared by the heads of each of G groups. For each row and head h, with
 * d = softplus(dt[h]):
 *   state[h, p, n] = exp(d a[h, n]) state[h, p, n] + d b[g, n] x[h, p]
 *   y[h, p] = sum_n c[g, n] state[h, p, n] + skip[h] x[h, p]
 * Mamba has P = 1, G = 1; Mamba-2 has one `a` for a head.
 */
export interface ScanCall {
  /** [T, H*P] */
  readonly x: Tensor;
  /** [T, H], bias included, before softplus. */
  readonly dt: Tensor;
  /** [H, N] or [H, 1]: negative. */
  readonly a: Weight;
  /** [T, G*N] each. */
  readonly b: Tensor;
  readonly c: Tensor;
  /** H numbers. */
  readonly skip: Weight;
  /** [H*P, N] */
  readonly before: KeptTensor;
  /** Receives the state after the last row; another tensor than `before`. */
  readonly after: KeptTensor;
}

/** Where the keys and values of some rows, those of one sequence, go. */
export interface AppendPart {
  readonly slice: KvSlice;
  /** Rows [first, first + rows) of the call's tensors. */
  readonly first: number;
  readonly rows: number;
  /** The first row goes to this slot, the next to the following ones. */
  readonly slot: number;
  /**
   * Where the bounds of the pages go to which the rows are written. They are made anew of what the page has stored from its first
   * place to the last that is written; whatever was there before is forgotten.
   */
  readonly bounds?: BoundsPlace | undefined;
}

export interface AppendCall {
  /** Unrotated keys [T, Hkv*D] and values [T, Hkv*Dv] of all heads of the layer; the slices' heads are taken. */
  readonly keys: Tensor;
  readonly values: Tensor;
  /** Stores lie in one place and have the same widths; their types may differ. */
  readonly parts: readonly AppendPart[];
  /** Rotates the keys as they are written; absent: they are stored as they are. */
  readonly angles?: Angles | undefined;
}

/** A sequence that has fewer rows than this in a step reads few: from here on, activations of 8 bits are faster. */
export const FEW_ROWS = 8;

/** Smaller parts than this cost more than they give. */
export const LEAST_PART_ROWS = 16;
/** Rows of all query heads of a KV head that attention works on at once. */
const TILE_ROWS = 64;

/**
 * Rows of a prompt that make one part of a call of attention, with so many query heads for each KV head: the fewest that fill
 * whole tiles. A part's numbers follow from the part alone, so a prompt that is cut at multiples of this has the same
 * numbers however large the pieces are.
 */
export function partRows(group: number): number {
  let rows = TILE_ROWS;
  while (rows > LEAST_PART_ROWS && ((rows / 2) * group) % TILE_ROWS === 0) rows /= 2;
  return rows;
}

/**
 * Of a step's tensors with so many rows the first `few` belong to sequences that read few rows in it, the others to sequences
 * that read many. A backend may compute few rows in another way than many, but the result of a row must not depend on what
 * other sequences read beside it.
 */
export interface RowSplit {
  readonly rows: number;
  readonly few: number;
}

/** One layer as `scope` runs it. */
export interface ScopeBody<I> {
  /** Its number, from which the backend knows where its weights lie; absent: it runs where x is. */
  readonly layer?: number | undefined;
  forward(ops: Backend, x: Tensor, input: I): Tensor;
}

export interface WeightRequest {
  readonly name: string;
  readonly dtype: DType;
  /** [rows = outputs, cols = inputs]; cols is a multiple of the type's block size. */
  readonly rows: number;
  readonly cols: number;
  /** E, where the rows are those of the matrices of so many experts, one behind the other (see ExpertWeights). */
  readonly experts?: number | undefined;
  /** The layer that uses it, so that a layer's weights lie together; absent for embedding and head. */
  readonly layer?: number | undefined;
}

/** All that a model will take, told before any of it is taken. */
export interface WeightPlan {
  /** All weights, in the order of use. */
  readonly weights: readonly WeightRequest[];
  /** Bytes wished for the cache of each layer, by layer. A wish: less is provided for when memory is short. */
  readonly cacheBytes: readonly number[];
  /** Bytes of the activations of one step. */
  readonly activationBytes: number;
}

export interface Backend {
  readonly name: BackendName;
  readonly threads: number;
  /** Bytes taken now: weights, activations, caches. */
  readonly memoryBytes: number;
  /** Bytes that a model and its caches may take at most on this backend, in all places together. */
  readonly memoryLimitBytes: number;

  // Weights and caches
  /**
   * Decides where each layer will lie. Call it once, before the first `allocWeight`, with no step running; without it
   * everything lies in one place. @throws MemoryError when the weights cannot fit
   */
  planWeights(plan: WeightPlan): Promise<void>;
  /** The place of a layer, from 0. */
  placeOf(layer: number): number;
  /** Bytes that can still be taken in a place. */
  placeBytesLeft(place: number): number;
  /** Takes memory for a weight, whose bytes the loader then writes into the slot. @throws MemoryError */
  allocWeight(request: WeightRequest): WeightSlot;
  /** Called once after all weights are written. */
  weightsLoaded(): void;
  /** Pages for layers of one place; `layer` is one of them. Absent: for the first place. */
  kvStore(layout: KvLayout, layer?: number): KvStore;
  /** Bytes of one page group of this layout, without making a store. */
  kvPageBytes(layout: KvLayout): number;
  /** A tensor of zeros that lives until it is disposed of, in the place of `layer` (absent: the first). @throws MemoryError */
  kept(rows: number, cols: number, layer?: number): KeptTensor;

  // A step
  /** @param splits of the step's tensors by their number of rows; without: a tensor's rows are those of one sequence */
  beginStep(splits?: readonly RowSplit[]): void;
  input(values: Int32Array | Float32Array): StepInput;
  scope<I>(body: ScopeBody<I>, x: Tensor, input: I): Tensor;
  /** Finishes all dispatched work; resolves to the numbers, [rows*cols], valid until the next beginStep. */
  read(x: Tensor): Promise<Float32Array>;
  /** After `read`: how keys or values that the step wrote do not fit into their caches; undefined: all do. */
  misfits(): Misfits | undefined;

  // Required operations. T rows; results are new tensors of the current arena unless said otherwise.
  /** Uninitialised [rows, cols]. */
  empty(rows: number, cols: number): Tensor;
  /** The numbers of an f32 input as [rows, cols]. */
  tensor(values: StepInput, rows: number, cols: number): Tensor;
  /** Rows [start, start + count) of x, sharing its memory. */
  rows(x: Tensor, start: number, count: number): Tensor;
  /** The rows of all parts, one after the other; all have the same columns. */
  concat(parts: readonly Tensor[]): Tensor;
  /** Copies of the rows of x that `indices` (i32) names. */
  gather(x: Tensor, indices: StepInput): Tensor;
  /** Rows of the table, dequantised: [ids.length, C]. Ids must be in range (the caller checks). */
  embed(table: Weight, ids: StepInput): Tensor;
  /** x [T, in] times W^T [in, out] (+ bias [out]): [T, out]. Weights are dequantised inside. */
  linear(x: Tensor, weight: Weight, bias?: Weight): Tensor;
  /**
   * x / sqrt(mean(x^2) + epsilon) * gain over groups of gain.cols columns (one group: a row; more: per head). A gain of
   * several rows has one for each group of a row, in turn.
   */
  rmsNorm(x: Tensor, gain: Weight, epsilon: number): Tensor;
  /** (x - mean) / sqrt(variance + epsilon) * gain + bias, over rows. */
  layerNorm(x: Tensor, gain: Weight, bias: Weight | undefined, epsilon: number): Tensor;
  /** a + b, same shape. */
  add(a: Tensor, b: Tensor): Tensor;
  /** Every element through the function; `parameter` is its p. Of infinities no finite number is made (NaN instead). */
  map(x: Tensor, f: ElementFunction, parameter?: number): Tensor;
  /**
   * activation(gate) * up, same shape; of infinities no finite number is made. `clampedSwiglu`, with g = min(gate, 7): g sigmoid(1.702 g) (clamp(up, -7, 7) + 1).
   */
  gated(gate: Tensor, up: Tensor, gating: Gating): Tensor;
  /** Every head (headWidth columns) of x rotated by its row's angles. */
  rotate(x: Tensor, headWidth: number, angles: Angles): Tensor;
  /**
   * Writes keys and values into pages. The table must already cover the slots. What is beyond the range of the cache's type
   * (in f16 it is cut to 65504), or not finite, is told by `misfits`; so are keys of BOUNDED_RANGE and more that are bounded.
   */
  append(call: AppendCall): void;
  /**
   * Exact attention with online softmax over the spans: softmax over the union of a row's ranges. A row that sees
   * nothing yields zeros; one with a query or a score that is not finite yields NaN.
   */
  attention(call: AttentionCall): void;
  /** The bounds of pages that are there already, as `append` makes them. */
  bound(parts: readonly BoundPart[]): void;
  /** For each part the pages that its row reads, to be given to `attention`. Nothing is read back. */
  select(call: SelectCall): readonly SelectedPages[];
  /**
   * Copies the keys of the slots [0, count) of `from` into `to` (same slots, same layout), rotated by `angles`
   * ([count, dims/2, 2], a row per slot), and the values as they are. For scalings whose base changes with length.
   */
  rotatePages(from: KvSlice, to: KvSlice, count: number, angles: Angles): void;
  /** [T, channels]. `after` is written when the rows have been read. */
  convolution(call: ConvolutionCall): Tensor;
  /** [T, H*P] */
  scan(call: ScanCall): Tensor;
  /**
   * The `used` experts with the largest of a row's logits [T, E] (of equal ones the first), largest first. Of a row with a
   * logit that is not finite all weights are NaN.
   */
  route(logits: Tensor, used: number, weighting: ExpertWeighting): Routing;
  /**
   * Row t*k + j of the result is W x (+ bias) with the matrix [out, in] of the j-th expert of row t, for x's row t (x has T
   * rows) or t*k + j (x has T*k rows). Only the chosen rows are computed, those of an expert together.
   */
  expertLinear(x: Tensor, experts: ExpertWeights, routing: Routing): Tensor;
  /** Row t of the result is the sum of y's rows t*k + j, times their weights. */
  mixExperts(y: Tensor, routing: Routing): Tensor;

  /** What training needs; absent where the backend only runs models. */
  readonly training?: TrainingOps | undefined;

  /** Gives everything back. Later calls throw. */
  dispose(): Promise<void>;
}
