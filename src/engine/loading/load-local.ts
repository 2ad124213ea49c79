/** Loads a model into this thread: find it, read its header, plan memory, read the weights. */
import { createBackend } from "../../backends/create.js";
import { fitAllGates, type HeadGates, requireSameModel } from "../../context/gates/index.js";
import type { Checkpoint } from "../../formats/checkpoint.js";
import { openCheckpoint } from "../../formats/open.js";
import { resolveReference } from "../../formats/reference.js";
import { requireTensor } from "../../formats/require-tensor.js";
import { type BuiltModel, buildModel } from "../../models/build-model.js";
import { architectureOf } from "../../models/index.js";
import { Decoder } from "../../nn/decoder.js";
import { mixerShapes } from "../../nn/mixer.js";
import type { ModelSpec } from "../../nn/spec.js";
import { weightUses } from "../../nn/weights.js";
import type { Backend } from "../../tensor/backend.js";
import type { DType } from "../../tensor/dtype.js";
import { createTokenizer } from "../../tokenizer/create-tokenizer.js";
import type { Tokenizer } from "../../tokenizer/tokenizer.js";
import { CancelledError, FormatError } from "../../util/errors.js";
import { counted } from "../../util/figures.js";
import { type Platform, platform } from "../../util/platform.js";
import { xxhash32 } from "../../util/xxhash32.js";
import type { LoadOptions, LoadProgress, ModelInfo } from "../api.js";
import { loadOptions } from "../calls/call-options.js";
import { LocalModel } from "../local-model.js";
import { fitTraits, sessionSettings, withContext } from "../session/index.js";
import { memoryPlan, type PlannedModel, requireMemory, StepRunner, weightPlan } from "../step/index.js";
import { ownGates, readGates } from "./given-gates.js";
import { checkMemoryOfThreads, ownReference } from "./load-options.js";
import {
  loadWeights,
  matchWeights,
  readVector,
  type WeightEntry,
  weightBytes,
  weightRequests,
} from "./load-weights.js";

/** More threads than this are a choice for the caller to make. */
const MOST_DEFAULT_THREADS = 64;

/**
 * Loads a model from a file, a folder, or `hf:user/repo[:quant]`.
 * @throws ArgumentError, NotFoundError, FormatError, UnsupportedError, MemoryError, CancelledError; nothing stays behind
 */
export async function loadLocal(model: string | URL, given?: LoadOptions): Promise<LocalModel> {
  const reference = ownReference(model);
  const options = loadOptions(given);
  checkMemoryOfThreads(options, threadsOf(options));
  const gates = await readGates(ownGates(options.gates), options);
  const report = (progress: LoadProgress) => options.onProgress?.(progress);
  report({ phase: "resolve", doneBytes: 0, totalBytes: 0 });
  const location = await resolveReference(reference, platform(), {
    signal: options.signal,
    onProgress: (doneBytes, totalBytes) => report({ phase: "download", doneBytes, totalBytes }),
  });
  report({ phase: "header", doneBytes: 0, totalBytes: 0 });
  const notes: string[] = [];
  const checkpoint = await openCheckpoint(location, filesFor(options, notes));
  try {
    return await loadCheckpoint(checkpoint, options, { report, notes, gates });
  } finally {
    await checkpoint.close();
  }
}

/** The platform's files, opened as `options` say; what is to be known of them is added to `notes`. */
function filesFor({ signal, store }: LoadOptions, notes: string[]): Pick<Platform, "open" | "list"> {
  const files = platform();
  const onNote = (note: string) => notes.push(note);
  return {
    open: (location) => files.open(location, { signal, store, onNote }),
    list: (location) => files.list(location),
  };
}

/** What a caller is told: progress while loading, notes with the model. */
interface Told {
  readonly report: (progress: LoadProgress) => void;
  readonly notes: readonly string[];
}

interface Given extends Told {
  readonly gates: Readonly<Record<string, HeadGates>>;
}

function threadsOf({ threads }: LoadOptions): number {
  return threads ?? Math.min(platform().cores, MOST_DEFAULT_THREADS);
}

/** That fewer threads are used than there could be, where nobody asked for so few. */
function threadNotes({ threads }: LoadOptions, { name }: Backend): string[] {
  const { oneThread } = platform();
  if (threads !== undefined || name !== "wasm" || oneThread === undefined) return [];
  return [`The model runs on one thread: ${oneThread} to use all cores.`];
}

async function loadCheckpoint(
  checkpoint: Checkpoint,
  options: LoadOptions,
  { report, notes, gates }: Given,
): Promise<LocalModel> {
  const built = await builtModel(checkpoint);
  const { spec } = built;
  const entries = matchWeights(checkpoint, weightUses(spec));
  const tokenizer = tokenizerOf(checkpoint, spec);
  const shapes = mixerShapes(spec);
  const fitted = fitAllGates(gates, { architecture: spec.architecture, attention: shapes.attention });
  if (options.signal?.aborted) throw new CancelledError("Loading was cancelled.");
  const backend = await createBackend(options.backend ?? "wasm", {
    threads: threadsOf(options),
    memoryBytes: options.wasmMemoryBytes,
    precise: options.precise,
    wide: options.wide,
  });
  try {
    const bytes = weightBytes(entries);
    const model = { backend, spec, shapes, machineBytes: backend.memoryBytes };
    const { limitBytes, plan, settings } = planMemory(checkpoint, model, bytes, options);
    await backend.planWeights(weightPlan(model, { weights: weightRequests(entries), settings, plan }));
    const { weights, checksum } = await loadWeights(backend, entries, {
      onProgress: (doneBytes, totalBytes) => report({ phase: "weights", doneBytes, totalBytes, plan }),
      signal: options.signal,
    });
    const decoder = new Decoder(spec, weights);
    report({ phase: "ready", doneBytes: bytes, totalBytes: bytes, plan });
    const info = {
      ...infoOf(
        checkpoint,
        { spec, notes: [...built.notes, ...notes, ...tokenizer.notes, ...threadNotes(options, backend)] },
        entries,
        tokenizer,
        backend,
      ),
      fingerprint: fingerprintOf(spec, checksum),
    };
    for (const [gatesName, own] of fitted) requireSameModel(own, gatesName, info);
    const endIds = endIdsOf(checkpoint, tokenizer);
    return new LocalModel({
      endIds,
      decoder,
      runner: new StepRunner(backend, decoder),
      tokenizer,
      info,
      gates: fitted,
      prefixBytes: options.prefixBytes,
      memoryLimitBytes: Math.min(limitBytes, backend.memoryLimitBytes),
      machineBytes: model.machineBytes,
    });
  } catch (error) {
    await backend.dispose();
    throw error;
  }
}

/** What weights and a full session will take. @throws MemoryError when the weights and one step cannot fit */
function planMemory(checkpoint: Checkpoint, model: PlannedModel, weightBytes: number, options: LoadOptions) {
  const { backend, spec } = model;
  const machineBytes = options.memoryLimitBytes ?? platform().availableMemoryBytes() ?? Number.POSITIVE_INFINITY;
  const limitBytes = Math.min(machineBytes, backend.memoryLimitBytes);
  const settings = withContext(sessionSettings(), { ...fitTraits(spec), trainedContext: spec.contextLength });
  const availableBytes = Number.isFinite(limitBytes) ? limitBytes : undefined;
  const plan = memoryPlan(model, { settings, weightBytes, availableBytes });
  requireMemory({
    what: `The weights of ${checkpoint.location} and one step need`,
    neededBytes: weightBytes + plan.activationBytes,
    availableBytes: limitBytes,
    advice: "Choose a smaller quantisation or free memory.",
  });
  return { limitBytes, plan, settings };
}

/** The architecture's spec, with the numbers of the small tensors that are part of it. */
export async function specOf(checkpoint: Checkpoint): Promise<ModelSpec> {
  return (await builtModel(checkpoint)).spec;
}

/** The spec and what is to be said of it. @throws FormatError, UnsupportedError that name a key or a tensor */
export async function builtModel(checkpoint: Checkpoint): Promise<BuiltModel> {
  const architecture = architectureOf(checkpoint.architecture);
  const embedding = requireTensor(checkpoint, "token_embd.weight");
  const auxiliary = new Map<string, Float32Array>();
  for (const name of architecture.auxiliary) {
    const entry = checkpoint.tensors.get(name);
    if (entry) auxiliary.set(name, await readVector(entry));
  }
  return buildModel(checkpoint, embedding.rows, auxiliary);
}

function tokenizerOf(checkpoint: Checkpoint, spec: ModelSpec): Tokenizer {
  if (!checkpoint.tokenizer) {
    throw new FormatError(
      `${checkpoint.location}: there is no tokenizer (tokenizer.json, or tokenizer.ggml.* keys in a GGUF).`,
    );
  }
  const tokenizer = createTokenizer(checkpoint.tokenizer, spec.vocabulary);
  if (tokenizer.vocabSize <= spec.vocabulary) return tokenizer;
  throw new FormatError(
    `${checkpoint.location}: the tokenizer has ${counted(tokenizer.vocabSize, "token")}, but the embedding only ${counted(spec.vocabulary, "row")}: ` +
      "they do not belong to one model. Take both from the same place.",
    { tokens: tokenizer.vocabSize, rows: spec.vocabulary },
  );
}

/** Ids that end an answer: the tokenizer's, and those that a Hugging Face configuration names. */
function endIdsOf(checkpoint: Checkpoint, tokenizer: Tokenizer): ReadonlySet<number> {
  const named = checkpoint.metadata.get("tokenizer.ggml.eos_token_ids");
  return new Set([...tokenizer.endIds, ...(named instanceof Int32Array ? named : [])]);
}

/** The spec says all of a model but the numbers of its weights. */
function fingerprintOf(spec: ModelSpec, weights: number): string {
  const shape = xxhash32(new TextEncoder().encode(JSON.stringify(spec)));
  return [shape, weights].map((hash) => hash.toString(16).padStart(8, "0")).join("");
}

function infoOf(
  checkpoint: Checkpoint,
  { spec, notes }: BuiltModel,
  entries: readonly WeightEntry[],
  tokenizer: Tokenizer,
  backend: Backend,
): Omit<ModelInfo, "fingerprint"> {
  const dtypes: Partial<Record<DType, number>> = {};
  for (const { dtype } of new Set(entries.map(({ entry }) => entry))) dtypes[dtype] = (dtypes[dtype] ?? 0) + 1;
  const name = checkpoint.metadata.get("general.name");
  const attention = spec.layers.flatMap(({ mixer: { body } }) => (body.kind === "attention" ? [body] : []));
  return {
    location: checkpoint.location,
    format: checkpoint.format,
    ...fitTraits(spec, notes),
    name: typeof name === "string" ? name : null,
    parameters: entries.reduce((sum, { use: { ref } }) => sum + ref.rows * ref.cols, 0),
    weightBytes: weightBytes(entries),
    heads: attention.at(0)?.heads ?? 0,
    kvHeads: attention.at(0)?.kvHeads ?? 0,
    headWidth: attention.at(0)?.keyWidth ?? 0,
    width: spec.width,
    vocabulary: spec.vocabulary,
    dtypes,
    backend: backend.name,
    threads: backend.threads,
    hasChatTemplate: tokenizer.chatTemplate !== undefined,
  };
}
