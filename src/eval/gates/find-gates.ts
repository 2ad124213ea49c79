/**
 * Which heads retrieve: gates for DuoAttention from attention itself, without training. A head's score is the mean probability
 * that it gives, in texts made for it, to the places that have what comes next (probe-prompts.ts); of a KV head it is that of
 * its best query head in its better kind of text. Gates are scores divided by the largest, so the best head has 1. (The
 * authors train gates; that finds heads that matter in other ways too.)
 */
import type { GatesOrigin, HeadGates } from "../../context/gates/index.js";
import { parsePolicy } from "../../context/policy-text.js";
import { SequenceMemory } from "../../context/sequence-memory.js";
import type { LocalModel } from "../../engine/local-model.js";
import { Breath } from "../../engine/step/breath.js";
import { StepRunner } from "../../engine/step/step-runner.js";
import { ArgumentError, CancelledError, UnsupportedError } from "../../util/errors.js";
import { MarkedValues, type Marks } from "./marked-values.js";
import { LEAST_PROMPT, type ProbePrompt, probePrompts } from "./probe-prompts.js";

/** Marks at once: the width of the marked values. */
const MOST_PROBES = 32;
const CHUNK = 256;
const DEFAULT_LENGTH = 1024;

export interface FindGatesOptions {
  /** Text around passkeys, as ids, whose tokens the copies are made of. */
  readonly filler: ArrayLike<number>;
  /** Tokens of prompts; default: 1,024, or what the model was trained for. */
  readonly lengths?: readonly number[] | undefined;
  /** Prompts of each kind and length; default 8. */
  readonly prompts?: number | undefined;
  /** Same seed, same prompts; default 1. */
  readonly seed?: number | undefined;
  /** @throws CancelledError once it is aborted, between chunks */
  readonly signal?: AbortSignal | undefined;
  /** Prompts that were read, and all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface FoundGates {
  readonly gates: HeadGates;
  readonly scores: readonly LayerScores[];
}

/** Mean probability that goes to where the next token stands, by query head. */
export interface LayerScores {
  readonly layer: number;
  readonly copy: readonly number[];
  readonly passkey: readonly number[];
}

/**
 * Reads prompts, each in a memory of its own; sessions of the model wait meanwhile.
 * @param model with decoder alone, in one memory
 * @throws UnsupportedError, ArgumentError, CancelledError, MemoryError
 */
export async function findGates(model: LocalModel, options: FindGatesOptions): Promise<FoundGates> {
  const { trainedContext, positions } = model.info;
  const room = positions ?? Number.POSITIVE_INFINITY;
  const { seed = 1, prompts = 8, lengths = [Math.min(DEFAULT_LENGTH, trainedContext, room)], signal } = options;
  requireSupported(model);
  const probes = lengths.flatMap((length) => promptsOf(model, options, { seed, prompts, length }));
  const { attention: shapes } = model.runner.decoder.shapes;
  const sums = shapes.map(({ heads }) => ({ copy: new Float64Array(heads), passkey: new Float64Array(heads) }));
  const counts = { copy: 0, passkey: 0 };
  await model.runner.inTurn(async () => {
    const watched = new MarkedValues(
      model.runner.backend,
      MOST_PROBES,
      shapes.map(({ heads }) => heads),
    );
    try {
      for (const [done, probe] of probes.entries()) {
        options.onProgress?.(done, probes.length);
        const read = await readProbe(model, watched, probe, signal);
        counts[probe.kind] += probe.targets.length;
        read.forEach((masses, layer) => {
          addMasses(sums[layer][probe.kind], masses, probe.targets.length);
        });
      }
      options.onProgress?.(probes.length, probes.length);
    } finally {
      watched.dispose();
    }
  });
  const scores = sums.map(({ copy, passkey }, index) => ({
    layer: shapes[index].layer,
    copy: Array.from(copy, (sum) => sum / counts.copy),
    passkey: Array.from(passkey, (sum) => sum / counts.passkey),
  }));
  const { architecture, name, fingerprint } = model.info;
  const largest = Number(largestOf(scores).toPrecision(6));
  const found: GatesOrigin = { method: "retrieval", prompts, lengths, seed, largest };
  const layers = normalised(scores, (layer) => shapes[layer].heads / shapes[layer].kvHeads);
  return { gates: { model: { architecture, name, fingerprint }, layers, threshold: null, found }, scores };
}

function requireSupported({ info, runner }: LocalModel): void {
  const { attention } = runner.decoder.shapes;
  const why = info.encoderDecoder
    ? "has an encoder, and gates are found in decoders alone"
    : attention.length === 0
      ? "has no attention"
      : attention.some(({ rope }) => rope?.scaling.kind === "dynamic")
        ? "rotates keys by dynamic NTK, whose attention cannot be watched"
        : attention.some(({ layer }) => runner.backend.placeOf(layer) !== 0)
          ? "lies in several memories; a smaller quantisation lies in one"
          : undefined;
  if (why !== undefined) throw new UnsupportedError(`No gates can be found: this ${info.architecture} model ${why}.`);
}

function promptsOf(
  { tokenizer, info }: LocalModel,
  { filler }: FindGatesOptions,
  { seed, prompts, length }: { readonly seed: number; readonly prompts: number; readonly length: number },
): ProbePrompt[] {
  if (!(Number.isInteger(prompts) && prompts > 0))
    throw new ArgumentError(`prompts must be a whole number of at least 1; found ${prompts}.`, { option: "prompts" });
  const most = info.positions ?? Number.POSITIVE_INFINITY;
  if (!(Number.isInteger(length) && length >= LEAST_PROMPT && length <= most)) {
    throw new ArgumentError(
      `lengths must be whole numbers from ${LEAST_PROMPT}${Number.isFinite(most) ? ` to ${most}` : ""}; found ${length}.`,
      { option: "lengths" },
    );
  }
  const [firstToken] = tokenizer.encode("", { addSpecial: true, parseSpecial: false });
  // An answer's tokens follow the prompt.
  const fitting = Math.min(length, most - MOST_PROBES);
  return probePrompts({ tokenizer, seed, length: fitting, prompts, filler, firstToken, most: MOST_PROBES });
}

/** By layer, [probes, heads, MOST_PROBES]. */
async function readProbe(
  { runner }: LocalModel,
  watched: MarkedValues,
  { ids, targets }: ProbePrompt,
  signal: AbortSignal | undefined,
): Promise<Float32Array[]> {
  const { backend } = watched;
  const { decoder } = runner;
  const own = new StepRunner(backend, decoder);
  const settings = { policy: parsePolicy("full"), keyType: "f32", valueType: "f32", limit: ids.length } as const;
  const memory = new SequenceMemory(backend, decoder.shapes, settings);
  const breath = new Breath();
  try {
    for (const { start, rows } of steps(ids.length, targets)) {
      await breath.take();
      if (signal?.aborted) throw new CancelledError("Finding gates was cancelled.");
      watched.expect({ start, rows, marks: targets, observed: start + rows === ids.length });
      await own.run(memory, ids.subarray(start, start + rows), "last", () => {});
    }
    return await watched.read();
  } finally {
    watched.forget(memory);
    memory.dispose();
  }
}

/** Chunks, and the probes in a step of their own. */
function* steps(
  length: number,
  { length: probes }: Marks,
): Generator<{ readonly start: number; readonly rows: number }> {
  const before = length - probes;
  for (let start = 0; start < before; start += CHUNK) yield { start, rows: Math.min(CHUNK, before - start) };
  yield { start: before, rows: probes };
}

/** Probe k's own mark is column k. */
function addMasses(sums: Float64Array, masses: Float32Array, probes: number): void {
  for (let probe = 0; probe < probes; probe++) {
    for (let head = 0; head < sums.length; head++) {
      sums[head] += masses[(probe * sums.length + head) * MOST_PROBES + probe];
    }
  }
}

/** Of all query heads, in either kind of text. */
function largestOf(scores: readonly LayerScores[]): number {
  return scores.flatMap(({ copy, passkey }) => [...copy, ...passkey]).reduce((most, score) => Math.max(most, score), 0);
}

/** Gates by layer and KV head, to six digits: where all scores are zero, so are they. */
function normalised(scores: readonly LayerScores[], groupOf: (layer: number) => number): number[][] {
  const layers = scores.map(({ copy, passkey }, layer) => {
    const group = groupOf(layer);
    const best = copy.map((score, head) => Math.max(score, passkey[head]));
    return Array.from({ length: best.length / group }, (_, kv) =>
      Math.max(...best.slice(kv * group, (kv + 1) * group)),
    );
  });
  const most = largestOf(scores);
  return layers.map((row) => row.map((score) => (most === 0 ? 0 : Math.round((1e6 * score) / most) / 1e6)));
}
