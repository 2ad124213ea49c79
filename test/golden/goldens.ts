/** The collection of tiny models with llama.cpp's probabilities, and how Sluice's own are read. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Model, SessionOptions } from "../../src/engine/api.js";

export interface GoldenRun {
  readonly tokens: readonly number[];
  /** What llama.cpp was given: LongRoPE chooses its factors by it. */
  readonly context_size: number;
  /** Of an encoder-decoder model. */
  readonly encoder_tokens?: readonly number[];
  readonly positions: readonly { readonly position: number; readonly top: readonly (readonly [number, number])[] }[];
  readonly next_logprobs: readonly number[];
  readonly greedy: {
    readonly tokens: readonly number[];
    readonly logprobs: readonly number[];
    readonly min_margin: number;
  };
}

export interface Golden {
  readonly name: string;
  readonly architecture: string;
  readonly about: string;
  readonly tolerance: {
    readonly logprob: number;
    readonly mean_logprob?: number;
    readonly dequantised_logprob?: number;
  };
  readonly runs: readonly GoldenRun[];
  readonly runs_dequantised?: readonly GoldenRun[];
}

const here = fileURLToPath(new URL(".", import.meta.url));
const shared = fileURLToPath(new URL("../../../shared/golden/", import.meta.url));
export const folder = existsSync(shared) ? shared : here;
export const goldens: Golden[] = readdirSync(folder)
  .filter((file) => file.endsWith(".json"))
  .map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")));

export function options({ context_size, encoder_tokens }: GoldenRun, kv = "f32"): SessionOptions {
  const source = encoder_tokens === undefined ? {} : { source: encoder_tokens };
  return { context: "full", kv, contextLength: context_size, ...source };
}

/** Log-probability of every next token of the input. */
export async function nextLogprobs(model: Model, run: GoldenRun, batch: number): Promise<number[]> {
  const session = model.session(options(run));
  const all: number[] = [];
  for await (const part of session.score(run.tokens, { batch })) all.push(...part.logprobs);
  await session.dispose();
  return all;
}

export function worst(a: readonly number[], b: readonly number[]): number {
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
}

export function mean(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, x, i) => sum + Math.abs(x - b[i]), 0) / a.length;
}
