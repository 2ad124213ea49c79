// Small random models of every architecture as files of GGUF in parts (see gguf-file.mjs), and folders as transformers has them.
import { keyOf } from "./gguf-file.mjs";
import { Random } from "./random.mjs";
import { ggufVocabulary, HF_VOCABULARIES, TOKENIZER_CONFIG } from "./vocabularies.mjs";

const SIZES = {
  block_count: 2,
  context_length: 64,
  embedding_length: 24,
  feed_forward_length: 28,
  "attention.head_count": 3,
};
const RMS = { ...SIZES, "attention.layer_norm_rms_epsilon": 1e-5 };
const LAYER = { ...SIZES, "attention.layer_norm_epsilon": 1e-5 };
const SSM = { "ssm.conv_kernel": 4, "ssm.inner_size": 36, "ssm.state_size": 5, "ssm.time_step_rank": 3 };
const EXPERTS = { expert_count: 4, expert_used_count: 2 };
const WINDOW = { "attention.sliding_window": 9 };
const YARN = { "rope.scaling.type": "yarn", "rope.scaling.factor": 4, "rope.scaling.original_context_length": 16 };
const GATED = /ffn_gate\.weight/;

/** Name, architecture, metadata, names of optional tensors, vocabulary, small tensors of given numbers. */
const FAMILIES = [
  ["llama", "llama", { ...RMS, "attention.head_count_kv": 1 }, /^output\.weight|ffn_gate\.w/],
  ["llama-bytes", "llama", { ...RMS, "rope.freq_base": 500 }, GATED, "bytes"],
  ["llama-factors", "llama", RMS, GATED, "plain", { "rope_freqs.weight": [1, 1.5, 2, 4] }],
  ["llama-yarn", "llama", { ...RMS, ...YARN }, GATED],
  ["mixtral", "llama", { ...RMS, ...EXPERTS }, /^$/],
  ["mistral", "mistral", { ...RMS, ...WINDOW }, GATED, "unigram"],
  ["qwen2", "qwen2", RMS, /ffn_gate\.w|attn_[qkv]\.bias/, "bytes"],
  [
    "qwen3",
    "qwen3",
    { ...RMS, "attention.head_count_kv": 1, "attention.key_length": 8, "attention.value_length": 8 },
    GATED,
    "bytes",
  ],
  ["phi3", "phi3", { ...RMS, "rope.dimension_count": 8 }, /attn_qkv\.weight|^output\.weight/],
  [
    "phi3-long",
    "phi3",
    { ...RMS, "rope.dimension_count": 8, "rope.scaling.original_context_length": 32, "rope.scaling.attn_factor": 1.2 },
    /attn_qkv\.weight/,
    "plain",
    { "rope_factors_short.weight": [1, 1.1, 1.3, 2], "rope_factors_long.weight": [1, 2, 5, 9] },
  ],
  ["gemma2", "gemma2", { ...RMS, ...WINDOW, attn_logit_softcapping: 3, final_logit_softcapping: 5 }, GATED],
  ["gemma3", "gemma3", { ...RMS, ...WINDOW, "attention.head_count_kv": 1 }, GATED],
  [
    "gpt-oss",
    "gpt-oss",
    { ...RMS, ...EXPERTS, ...WINDOW, ...YARN, expert_feed_forward_length: 20 },
    /\.bias$|^output\./,
  ],
  ["gpt2", "gpt2", LAYER, /blk.*\.bias$|output_norm\.bias|attn_qkv/, "bytes"],
  ["starcoder", "starcoder", { ...LAYER, "attention.head_count_kv": 1 }, /\.bias$|attn_qkv|^output\.weight/, "bytes"],
  [
    "gptneox",
    "gptneox",
    { ...LAYER, "rope.dimension_count": 4 },
    /blk.*\.bias$|output_norm\.bias|attn_qkv|^output\.weight/,
  ],
  ["falcon", "falcon", { ...LAYER, "attention.head_count_kv": 1 }, /norm\.bias$|attn_qkv/],
  ["bloom", "bloom", LAYER, /\.bias$|attn_qkv/],
  ["mpt", "mpt", { ...LAYER, "attention.max_alibi_bias": 8, "attention.clamp_kqv": 0.7 }, /attn_qkv/],
  ["mamba", "mamba", { ...RMS, ...SSM }, /ssm_dt\.bias/],
  ["mamba2", "mamba2", { ...RMS, ...SSM, "ssm.time_step_rank": 6, "ssm.group_count": 2 }, /^output\.weight/],
  [
    "jamba",
    "jamba",
    { ...RMS, ...SSM, ...EXPERTS, "attention.head_count_kv": Int32Array.of(0, 1) },
    /blk\.0\.ssm_in|ssm_dt\.bias|blk\.1\.ffn_gate_inp|ffn_gate\.weight/,
  ],
  ["sluice", "sluice", { ...RMS, ...WINDOW, "attention.head_count_kv": 1 }, /ffn_gate\.weight|attn_sinks/],
  ["sluice-alibi", "sluice", { ...RMS, "position.scheme": "alibi" }, /ffn_gate\.weight/],
  ["sluice-learned", "sluice", { ...RMS, "position.scheme": "learned" }, GATED],
  ["t5", "t5", { ...RMS, "attention.relative_buckets_count": 8 }, /^$/, "unigram"],
];

/** Every small model by name: { keys, tensors }, and what exporters take. */
export function smallModels(library, wanted = /^/) {
  return FAMILIES.filter(([name]) => wanted.test(name)).map((family) => smallModel(library, family));
}

function smallModel(library, [name, architecture, own, has, vocabulary = "plain", auxiliary = {}]) {
  const random = new Random("model", name);
  const tokenizer = ggufVocabulary(vocabulary);
  const size = tokenizer["tokenizer.ggml.tokens"].length;
  const metadata = {
    "general.architecture": architecture,
    "general.name": name,
    ...Object.fromEntries(Object.entries(own).map(([key, value]) => [`${architecture}.${key}`, value])),
    ...tokenizer,
  };
  const tables = new Map(Object.entries(auxiliary).map(([tensor, numbers]) => [tensor, Float32Array.from(numbers)]));
  const list = new Map(
    [...tables].map(([tensor, values]) => [tensor, { name: tensor, rows: 1, cols: values.length, values }]),
  );
  for (const { ref } of library.weightUses(specOf(library, name, architecture, metadata, has, size, tables))) {
    const { rows, cols } = ref.part ?? ref;
    const tensor = ref.tensor;
    if (!list.has(tensor)) list.set(tensor, { name: tensor, rows, cols, values: draw(random, tensor, rows, cols) });
  }
  const weights = [...list.values()];
  return {
    name,
    architecture,
    metadata,
    weights,
    version: 3,
    alignment: 32,
    keys: Object.entries(metadata).map(([key, value]) => keyOf(key, value)),
    tensors: weights.map(({ name: tensor, rows, cols, values }) => ({
      name: tensor,
      type: 0,
      dims: rows === 1 ? [cols] : [cols, rows],
      data: new Uint8Array(values.buffer),
    })),
  };
}

function specOf(library, name, architecture, metadata, has, vocabulary, tables) {
  class ToCome extends Map {
    get size() {
      return 1000;
    }
    has(tensor) {
      return has.test(tensor) || tables.has(tensor);
    }
  }
  const checkpoint = {
    format: "gguf",
    location: name,
    architecture,
    metadata: new Map(Object.entries(metadata)),
    tensors: new ToCome(),
    tokenizer: undefined,
    ropeLayout: undefined,
    close: async () => {},
  };
  return library.architectureOf(architecture).build(new library.ModelMetadata(checkpoint), vocabulary, tables);
}

function draw(random, name, rows, cols) {
  const norm = /norm[^.]*(\.weight)?$/.test(name) && !name.endsWith(".bias");
  const centre = norm ? 1 : name.endsWith("ssm_a") ? -2 : 0;
  const width = rows === 1 || norm ? 0.4 : 2.4 / Math.sqrt(cols);
  return Float32Array.from({ length: rows * cols }, () => centre + (random.double() * 2 - 1) * width);
}

/** Folders of Hugging Face: names to bytes, config.json and tokenizer.json apart as objects. */
export async function smallFolders(library) {
  const models = smallModels(library, /^(llama|llama-yarn|gpt2|gptneox|mamba)$/);
  return Promise.all(models.map((model) => smallFolder(library, model)));
}

async function smallFolder(library, { name, architecture, metadata, weights }) {
  const tensors = weights.map(({ name: tensor, rows, cols, values }) => ({
    name: tensor,
    rows,
    cols,
    exact: rows === 1,
    read: () => values,
  }));
  const model = { architecture, metadata: new Map(Object.entries(metadata)), tensors, tokenizer: undefined };
  const { files } = await library.exportHuggingFace({ model, dtype: "f32" });
  const folder = { name };
  for (const file of files) {
    const parts = [];
    for await (const chunk of file.chunks()) parts.push(chunk.slice());
    folder[file.name] = Uint8Array.from(Buffer.concat(parts));
  }
  const kind = metadata["tokenizer.ggml.model"] === "gpt2" ? "bytes" : "unigram";
  return {
    name,
    config: JSON.parse(new TextDecoder().decode(folder["config.json"])),
    weights: folder["model.safetensors"],
    tokenizer: HF_VOCABULARIES[kind](),
    tokenizerConfig: TOKENIZER_CONFIG,
  };
}
