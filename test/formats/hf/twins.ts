/** All twins, by the name of the golden file where there is one, and tiny models of them. */
import { type Keys, type Matrix, randomTensors, type Twin } from "./twin.js";
import { GPT_TWINS } from "./twins-gpt.js";
import { LLAMA_TWINS } from "./twins-llama.js";
import { STATE_TWINS } from "./twins-state.js";

export const TWINS: [string, Twin][] = Object.entries({ ...GPT_TWINS, ...LLAMA_TWINS, ...STATE_TWINS });

/** Fields of the long RoPE, whose factors are numbers of config.json and tensors of GGUF. */
export function longRope(short: readonly number[], long: readonly number[], factor?: number) {
  return {
    original_max_position_embeddings: 20,
    rope_scaling: {
      type: "longrope",
      short_factor: short,
      long_factor: long,
      ...(factor && { attention_factor: factor }),
    },
  };
}

export interface TinyModel {
  /** What the file of the folder holds. */
  readonly tensors: ReadonlyMap<string, Matrix>;
  /** With what config.json holds. */
  readonly all: ReadonlyMap<string, Matrix>;
  /** What config.json has beside the twin's fields. */
  readonly more: Readonly<Record<string, unknown>>;
}

const SHORT = [1, 1.1, 1.2];
const LONG = [2, 3.5, 4.25];

export function tinyModel(name: string, twin: Twin, keys: Keys): TinyModel {
  const tensors = randomTensors({ ...twin, keys }, 7);
  if (name !== "phi3-longrope") return { tensors, all: tensors, more: {} };
  const vector = (values: readonly number[]) => ({ rows: 1, cols: values.length, values: Float32Array.from(values) });
  const factors: [string, Matrix][] = [
    ["rope_factors_long.weight", vector(LONG)],
    ["rope_factors_short.weight", vector(SHORT)],
  ];
  return { tensors, all: new Map([...tensors, ...factors]), more: longRope(SHORT, LONG) };
}
