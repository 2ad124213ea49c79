/**
 * A model that is about to be trained, by the same metadata as a finished one: an architecture of `models/` and GGUF's keys.
 * What a checkpoint would say by the tensors that it has, the configuration says by their names.
 */
import type { Checkpoint, Metadata, MetadataValue, TensorEntry } from "../formats/checkpoint.js";
import { architectureOf } from "../models/index.js";
import { ModelMetadata } from "../models/metadata.js";
import type { ModelSpec } from "../nn/spec.js";
import { UnsupportedError } from "../util/errors.js";
import { type ModelConfig, type TrainingConfig, tensorPattern } from "./config.js";

/** Optional tensors that models of an architecture usually have. */
const USUAL: Readonly<Record<string, RegExp>> = {
  llama: /ffn_gate\.weight/,
  mistral: /ffn_gate\.weight/,
  sluice: /ffn_gate\.weight/,
  qwen2: /ffn_gate\.weight|attn_[qkv]\.bias/,
  qwen3: /ffn_gate\.weight/,
  phi3: /attn_qkv\.weight/,
  gemma2: /ffn_gate\.weight/,
  gemma3: /ffn_gate\.weight/,
  "gpt-oss": /\.bias$/,
  gpt2: /\.bias$|attn_qkv/,
  starcoder: /\.bias$|attn_qkv/,
  gptneox: /blk.*\.bias$|output_norm\.bias|attn_qkv/,
  falcon: /norm\.bias$|attn_qkv/,
  bloom: /\.bias$|attn_qkv/,
  mpt: /attn_qkv/,
  mamba: /ssm_dt\.bias/,
  mamba2: /^$/,
  jamba: /ssm_dt\.bias|ffn_gate\.weight/,
};

/** Says of optional tensors whether the model will have them, and that there are enough for any number of layers. */
class TensorsToCome extends Map<string, TensorEntry> {
  constructor(private readonly wanted: (name: string) => boolean) {
    super();
  }
  override get size(): number {
    return 100_000;
  }
  override has(name: string): boolean {
    return this.wanted(name);
  }
}

export interface ModelDefinition {
  readonly architecture: string;
  /** With the architecture in front, and `general.architecture`. */
  readonly metadata: Metadata;
  readonly spec: ModelSpec;
}

/** @param keys what a stage says beside the configuration's own keys. @throws FormatError, UnsupportedError, ArgumentError */
export function defineModel(
  name: string,
  config: ModelConfig,
  vocabulary: number,
  keys: ModelConfig["keys"] = {},
): ModelDefinition {
  const { architecture } = config;
  const usual = Object.hasOwn(USUAL, architecture) ? USUAL[architecture] : undefined;
  if (!usual) {
    const known = Object.keys(USUAL).join(", ");
    throw new UnsupportedError(`"${architecture}" cannot be trained yet; those that can are ${known}.`);
  }
  const own = Object.entries({ ...config.keys, ...keys }).map(
    ([key, value]) => [`${architecture}.${key}`, plain(value)] as const,
  );
  const metadata = new Map<string, MetadataValue>([
    ["general.architecture", architecture],
    ["general.name", name],
    [`${architecture}.vocab_size`, vocabulary],
    ...own,
  ]);
  const extra = tensorPattern(config);
  const wanted = (tensor: string) => {
    if (tensor === "output.weight") return !config.tied;
    if (/attn_sinks/.test(tensor)) return config.sinks !== "none";
    return usual.test(tensor) || extra?.test(tensor) === true;
  };
  const checkpoint: Checkpoint = {
    format: "gguf",
    location: name,
    architecture,
    metadata,
    tensors: new TensorsToCome(wanted),
    tokenizer: undefined,
    ropeLayout: undefined,
    close: async () => {},
  };
  const spec = architectureOf(architecture).build(new ModelMetadata(checkpoint), vocabulary, new Map());
  if (spec.encoder) throw new UnsupportedError("Models with an encoder cannot be trained yet.");
  return { architecture, metadata, spec };
}

/** The model as a stage has it: with what the stages before have changed. */
export function stageDefinition(config: TrainingConfig, vocabulary: number, stage: number): ModelDefinition {
  const index = Math.min(stage, config.stages.length - 1);
  const changes = config.stages.slice(0, index + 1).map(({ keys }) => keys);
  const { contextLength } = config.stages[index];
  const keys = Object.assign({ context_length: contextLength }, config.model.keys, ...changes);
  return defineModel(config.name, config.model, vocabulary, keys);
}

function plain(value: ModelConfig["keys"][string]): MetadataValue {
  if (!Array.isArray(value)) return value;
  return value.every(Number.isInteger) ? Int32Array.from(value) : Float32Array.from(value);
}
