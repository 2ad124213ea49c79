/**
 * The same model twice: under GGUF's names and layouts, and as the Hugging Face folder that means it. A table says for every
 * tensor of GGUF which tensors of `transformers` hold it, and how, written from the modules' own documentation; the code
 * that translates back is not used here. The numbers are random, or those of a golden file.
 */
import { Random } from "../../../src/util/random.js";
import { type GgufValue, writeGguf } from "../../support/write-gguf.js";
import { type SafetensorsTensorSpec, writeSafetensors } from "../../support/write-safetensors.js";

/** Metadata without the architecture in front. */
export type Keys = Readonly<Record<string, number | string | boolean | Int32Array>>;

/** A tensor of GGUF. */
export interface Matrix {
  readonly rows: number;
  readonly cols: number;
  readonly values: Float32Array;
}

/** How GGUF's tensors lie in a Hugging Face file under the name `hf`. */
export type Layout = (matrices: readonly Matrix[], hf: string, keys: Keys) => SafetensorsTensorSpec[];

export interface Row {
  /** GGUF's names, with # for the layer; several when one tensor of the file holds them together. */
  readonly gguf: readonly string[];
  /** [rows, cols] of each. */
  readonly shape: readonly [number, number];
  /** Name in the file, with # for the layer and * for an expert. */
  readonly hf: string;
  readonly layout: Layout;
}

export interface Twin {
  readonly architecture: string;
  /** A tiny model of this kind. */
  readonly keys: Keys;
  /** GGUF names that the tiny model does not have. */
  readonly without?: RegExp;
  /** config.json; `has` says which of GGUF's tensors there are. */
  readonly config: (keys: Keys, has: (name: string) => boolean) => Readonly<Record<string, unknown>>;
  readonly rows: (keys: Keys) => readonly Row[];
}

/** A tensor of a module that lies in the file as in GGUF. */
export const plain: Layout = ([matrix], hf) => [
  spec(hf, matrix.rows === 1 ? [matrix.cols] : [matrix.rows, matrix.cols], matrix.values),
];

export function spec(name: string, shape: readonly number[], values: Float32Array): SafetensorsTensorSpec {
  return { name, dtype: "F32", shape, values };
}

export function row(
  gguf: string | readonly string[],
  shape: readonly [number, number],
  hf: string,
  layout = plain,
): Row {
  return { gguf: typeof gguf === "string" ? [gguf] : gguf, shape, hf, layout };
}

/** A module with weight [rows, cols] and bias [rows]. */
export function module(gguf: string, shape: readonly [number, number], hf: string, layout = plain): Row[] {
  return [
    row(`${gguf}.weight`, shape, `${hf}.weight`, layout),
    row(`${gguf}.bias`, [1, shape[0]], `${hf}.bias`, layout),
  ];
}

/** Weight and bias of a norm. */
export function norm(gguf: string, width: number, hf: string): Row[] {
  return [row(`${gguf}.weight`, [1, width], `${hf}.weight`), row(`${gguf}.bias`, [1, width], `${hf}.bias`)];
}

export function count(keys: Keys, key: string): number {
  const value = keys[key];
  if (typeof value === "number") return value;
  throw new Error(`The twin needs the number "${key}".`);
}

/** GGUF's tensors with random numbers: norms near 1, the state space's A below 0. */
export function randomTensors(twin: Twin, seed: number): Map<string, Matrix> {
  const random = new Random(seed);
  const tensors = new Map<string, Matrix>();
  for (const { gguf, shape } of expandedRows(twin, twin.keys)) {
    for (const name of gguf) {
      if (twin.without?.test(name) || tensors.has(name)) continue;
      const [rows, cols] = shape;
      const spread = (random.double() * 0.5 + 0.5) * (rows === 1 ? 0.3 : 2 / Math.sqrt(cols));
      const centre = /norm.*\.weight$/.test(name) ? 1 : /ssm_a$/.test(name) ? -3 : 0;
      const values = Float32Array.from({ length: rows * cols }, () => centre + (random.double() * 2 - 1) * spread);
      tensors.set(name, { rows, cols, values });
    }
  }
  return tensors;
}

/** The files of the folder. */
export function hfFolderOf(
  twin: Twin,
  keys: Keys,
  tensors: ReadonlyMap<string, Matrix>,
  more: Readonly<Record<string, unknown>> = {},
  dtype: SafetensorsTensorSpec["dtype"] = "F32",
): Record<string, Uint8Array | string> {
  const config = { ...twin.config(keys, (name) => tensors.has(name)), ...more };
  const stored = hfTensors(twin, keys, tensors).map((tensor) => ({ ...tensor, dtype }));
  return {
    "config.json": JSON.stringify(config),
    "model.safetensors": writeSafetensors(stored),
  };
}

/** The GGUF file. `activation` is the folder's `hidden_act`, which files of llama.cpp do not have. */
export function ggufOf(
  twin: Twin,
  keys: Keys,
  tensors: ReadonlyMap<string, Matrix>,
  activation: unknown,
  more: Readonly<Record<string, GgufValue>> = {},
): Uint8Array {
  const all = { ...keys, ...(typeof activation === "string" && { hidden_act: activation }) };
  const prefixed = Object.entries(all).map(([key, value]) => [`${twin.architecture}.${key}`, value]);
  const metadata = { "general.architecture": twin.architecture, ...Object.fromEntries(prefixed), ...more };
  return writeGguf({ metadata, tensors: [...tensors].map(([name, matrix]) => ({ name, dtype: "f32", ...matrix })) });
}

export function hfTensors(twin: Twin, keys: Keys, tensors: ReadonlyMap<string, Matrix>): SafetensorsTensorSpec[] {
  return expandedRows(twin, keys).flatMap(({ gguf, shape: [rows, cols], hf, layout }) => {
    const matrices = gguf.flatMap((name) => tensors.get(name) ?? []);
    if (matrices.length === 0) return [];
    const wrong = matrices.find((matrix) => matrix.rows !== rows || matrix.cols !== cols);
    if (wrong || matrices.length < gguf.length) throw new Error(`${gguf.join(", ")}: not [${rows}, ${cols}]`);
    return layout(matrices, hf, keys);
  });
}

/** The rows with # replaced by every layer's number. */
function expandedRows(twin: Twin, keys: Keys): Row[] {
  const layers = count(keys, "block_count");
  return twin.rows(keys).flatMap((one) => {
    if (!one.gguf[0].includes("#")) return [one];
    return Array.from({ length: layers }, (_, layer) => ({
      ...one,
      gguf: one.gguf.map((name) => name.replace("#", String(layer))),
      hf: one.hf.replace("#", String(layer)),
    }));
  });
}
