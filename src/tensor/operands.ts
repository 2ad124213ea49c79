/** What operations of inference and of training share beside tensors: rotations, biases, functions, routes to experts. */
import type { StepInput, Weight } from "./tensor.js";

/** How pairs are taken for RoPE: (2i, 2i+1) as in GGUF llama, or (i, i + dims/2) as in HF and NeoX. */
export type RopeLayout = "interleaved" | "halves";

/** Non-linearities of feed-forward layers. `gelu` is the tanh form, `geluErf` the exact one (with the error function). */
export type Activation = "silu" | "gelu" | "geluErf" | "relu";

/** How a gate and its values meet: activation(gate) * up; `clampedSwiglu` is gpt-oss's (see Backend.gated). */
export type Gating = Activation | "clampedSwiglu";

/**
 * Functions of single elements. With a parameter p: `scale` p x; `clamp` min(max(x, -p), p); `softcap` p tanh(x / p).
 * The activations take none.
 */
export type ElementFunction = Activation | "scale" | "clamp" | "softcap";

/**
 * Rotations of the rows of a step. `values` is [rows, dims/2, 2]: cosine then sine of each pair's angle, times the
 * scaling's magnitude. Head elements from `dims` on are left as they are (partial rotary).
 */
export interface Angles {
  readonly layout: RopeLayout;
  readonly dims: number;
  readonly values: StepInput;
}

/**
 * What is added to the score of a query and a key by their distance: `places` (i32, one for each pair of the spans) says in
 * which slot the distance would be 0, so distance = place - slot; negative when the key comes after the query.
 */
export type AttentionBias =
  /** ALiBi (2108.12409): -slope * distance; f32 [H]. */
  | { readonly kind: "linear"; readonly slopes: StepInput; readonly places: StepInput }
  /**
   * T5: the table's [buckets, H] entry of the distance's bucket; `buckets` is i32 [2 n + 1], that of a distance d at
   * n + min(max(d, -n), n).
   */
  | { readonly kind: "table"; readonly table: Weight; readonly buckets: StepInput; readonly places: StepInput };

/** For each of T rows which k experts it goes to, and with which weights. Lives as a tensor. */
export interface Routing {
  readonly rows: number;
  /** k */
  readonly used: number;
}

/** Softmax over the logits of the chosen experts (so the weights sum to 1), or over those of all. */
export type ExpertWeighting = "chosen" | "all";
