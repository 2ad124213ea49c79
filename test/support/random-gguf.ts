/**
 * Small random GGUF files of every architecture. A family is data: its metadata, and which of the tensors that a checkpoint
 * may lack it has. The rest, with all shapes, follows from the spec that the architecture makes of the metadata.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Checkpoint, TensorEntry } from "../../src/formats/checkpoint.js";
import { architectureOf } from "../../src/models/index.js";
import { ModelMetadata } from "../../src/models/metadata.js";
import type { ModelSpec } from "../../src/nn/spec.js";
import { weightUses } from "../../src/nn/weights.js";
import { DTYPES, type DType } from "../../src/tensor/dtype.js";
import { Random } from "../../src/util/random.js";
import type { Family } from "./families.js";
import { type GgufTensorSpec, writeGguf } from "./write-gguf.js";

const LETTERS = Array.from({ length: 26 }, (_, i) => String.fromCharCode(97 + i));
/** Enough for ids; texts may have small letters and spaces. */
export const FAMILY_TOKENS = ["<unk>", "<s>", "</s>", "▁", ...LETTERS, ...LETTERS.slice(0, 11).map((a) => `▁${a}`)];

export interface RandomGguf {
  readonly path: string;
  /** By the name of the tensor. */
  readonly values: ReadonlyMap<string, Float32Array>;
}

/** Writes a file of the family to a temporary folder; matrices whose columns fill blocks of `dtype` have that type. */
export function randomGguf(family: Family, seed = 1, dtype: DType = "f32"): RandomGguf {
  const random = new Random(seed);
  const tensors = new Map<string, GgufTensorSpec>();
  for (const [name, numbers] of Object.entries(family.auxiliary ?? {})) {
    tensors.set(name, { name, dtype: "f32", rows: 1, cols: numbers.length, values: Float32Array.from(numbers) });
  }
  for (const { ref } of weightUses(familySpec(family))) {
    const { tensor: name } = ref;
    const { rows, cols } = ref.part ?? ref;
    if (tensors.has(name)) continue;
    const stored = ref.exact || rows === 1 || cols % DTYPES[dtype].blockSize > 0 ? "f32" : dtype;
    tensors.set(name, { name, dtype: stored, rows, cols, values: draw(random, family, name, rows, cols) });
  }
  const path = join(mkdtempSync(join(tmpdir(), "sluice-")), `${family.name}.gguf`);
  writeFileSync(path, writeGguf({ metadata: metadataOf(family), tensors: [...tensors.values()] }));
  const values = [...tensors].map(([name, { values }]) => [name, Float32Array.from(values)] as const);
  return { path, values: new Map(values) };
}

/** Numbers with which every part of a model matters, and none drowns the others. */
function draw(random: Random, { small }: Family, name: string, rows: number, cols: number): Float32Array {
  const isNorm = /norm[^.]*(\.weight)?$/.test(name) && !name.endsWith(".bias");
  const centre = isNorm ? 1 : name.endsWith("ssm_a") ? -2 : 0;
  const spread = rows === 1 || name.endsWith(".bias") || isNorm ? 0.4 : 2.4 / Math.sqrt(cols);
  const factor = small?.tensors.test(name) ? small.factor : 1;
  const width = factor * (/attn_rel_b|ssm_a$|ssm_conv1d\.weight/.test(name) ? 1.2 : spread);
  return Float32Array.from({ length: rows * cols }, () => centre + (random.double() * 2 - 1) * width);
}

/** What the architecture makes of the family's metadata. */
export function familySpec(family: Family): ModelSpec {
  const { architecture, auxiliary = {} } = family;
  const numbers = new Map(Object.entries(auxiliary).map(([name, list]) => [name, Float32Array.from(list)]));
  const checkpoint: Checkpoint = {
    format: "gguf",
    location: family.name,
    architecture,
    metadata: new Map(Object.entries(metadataOf(family))),
    tensors: new TensorsToCome(family),
    tokenizer: undefined,
    ropeLayout: undefined,
    close: async () => {},
  };
  return architectureOf(architecture).build(new ModelMetadata(checkpoint), FAMILY_TOKENS.length, numbers);
}

/** Says of optional tensors whether the file will have them, and that there are enough for any number of layers. */
class TensorsToCome extends Map<string, TensorEntry> {
  constructor(private readonly family: Family) {
    super();
  }
  override get size(): number {
    return 1000;
  }
  override has(name: string): boolean {
    return this.family.has.test(name);
  }
}

function metadataOf({ name, architecture, keys }: Family) {
  const own = Object.entries(keys).map(([key, value]) => [`${architecture}.${key}`, value]);
  return {
    "general.architecture": architecture,
    "general.name": name,
    ...Object.fromEntries(own),
    ...familyTokenizer(),
  };
}

/** Keys of a tokenizer with FAMILY_TOKENS. */
export function familyTokenizer() {
  return {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": FAMILY_TOKENS,
    "tokenizer.ggml.scores": Float32Array.from(FAMILY_TOKENS, (_, id) => -id),
    "tokenizer.ggml.token_type": Int32Array.from(FAMILY_TOKENS, (_, id) => (id === 0 ? 2 : id < 3 ? 3 : 1)),
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
  };
}
