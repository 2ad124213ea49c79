// What can be wrong with a file of GGUF: values, types, counts and names of keys; shapes, types and places of tensors.
import { TYPES } from "../gguf-file.mjs";
import { hostileScalar, NUMBERS, TEXTS, WORDS } from "../hostile-values.mjs";

const SCALARS = Object.keys(TYPES).filter((type) => type !== "array");
const HUGE = [0, 1, 2 ** 16, 2 ** 20, 2 ** 31, 2 ** 32, 2 ** 53, 2n ** 62n, -1n];
const DTYPES = [0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 20, 24, 30, 39, 40, 255, 2 ** 31];
/** Behind the architecture's name: what any of them reads. */
const OWN_KEYS = `
  rope.scaling.type rope.scaling.factor rope.scaling.original_context_length rope.scaling.attn_factor
  rope.freq_base rope.scaling.finetuned rope.scale_linear rope.dimension_count rope.scaling.yarn_log_multiplier
  attention.key_length attention.value_length attention.sliding_window attention.sliding_window_pattern
  attention.causal attention.scale attention.layer_norm_epsilon attention.max_alibi_bias attention.clamp_kqv
  attn_logit_softcapping final_logit_softcapping expert_count expert_used_count expert_weights_scale
  expert_gating_func logit_scale embedding_scale residual_scale vocab_size use_parallel_residual hidden_act
  tensor_data_layout pooling_type ssm.dt_b_c_rms decoder_start_token_id decoder_block_count position.scheme
  leading_dense_block_count
`
  .trim()
  .split(/\s+/);
const OTHER_KEYS = `
  general.alignment general.type general.file_type split.count split.no tokenizer.ggml.pre
  tokenizer.ggml.add_bos_token tokenizer.ggml.add_eos_token tokenizer.ggml.add_space_prefix
  tokenizer.ggml.remove_extra_whitespaces tokenizer.ggml.eot_token_id tokenizer.ggml.unknown_token_id
  tokenizer.ggml.padding_token_id tokenizer.ggml.precompiled_charsmap tokenizer.ggml.merges tokenizer.ggml.model
  tokenizer.ggml.scores tokenizer.ggml.token_type tokenizer.chat_template tokenizer.chat_templates
`
  .trim()
  .split(/\s+/);

/** Most often one that says how the model is built. */
function someKey(random, { keys }) {
  const own = keys.filter(({ type }) => type !== "array");
  return random.pick(random.chance(0.7) ? own : keys) ?? keys[0];
}

function valueFor(random, type, old) {
  if (typeof old === "number" && random.chance(0.5))
    return random.pick([old - 1, old + 1, old * 2, old / 2, old * 3, -old, old * 100, 8, 16, 1, 0]);
  if (type === "string")
    return random.chance(0.1) ? Uint8Array.of(0xff, 0xfe, 0x80) : random.pick(random.chance(0.5) ? TEXTS : WORDS);
  if (type === "bool") return random.pick([0, 1, 2, 255]);
  return random.chance(0.5) ? random.pick(NUMBERS) : random.between(-2, 80);
}

export const KEY_CHANGES = [
  function value(random, file) {
    const key = someKey(random, file);
    if (key.type !== "array") key.value = valueFor(random, key.type, key.value);
    else changeArray(random, key);
  },
  function anotherValue(random, file) {
    KEY_CHANGES[0](random, file);
  },
  function addOne(random, file) {
    addKey(random, file, random.pick(["u32", "f32", "string", "bool"]));
  },
  function type(random, file) {
    const key = someKey(random, file);
    key.type = random.pick(SCALARS);
    if (random.chance(0.5) || key.value === undefined || typeof key.value === "object")
      key.value = valueFor(random, key.type);
  },
  function toArray(random, file) {
    const key = someKey(random, file);
    if (key.type === "array") {
      key.value = key.value.slice(0, random.below(4));
      return;
    }
    key.item = random.pick([key.type, "u32", "i32", "f32", "string", "bool"]);
    key.value = random.times(random.pick([0, 1, 2, 3, 40]), () =>
      random.chance(0.7) ? key.value : valueFor(random, key.item),
    );
    key.type = "array";
  },
  function array(random, file) {
    const arrays = file.keys.filter((key) => key.type === "array");
    if (arrays.length > 0) changeArray(random, random.pick(arrays));
  },
  function lie(random, file) {
    const key = random.pick(file.keys.filter(({ type }) => type === "array" || type === "string"));
    key.count = random.pick(HUGE);
  },
  function remove(random, file) {
    file.keys.splice(random.below(file.keys.length), 1);
  },
  function double(random, file) {
    const key = someKey(random, file);
    file.keys.push({
      ...key,
      ...(random.chance(0.5) && key.type !== "array" && { value: valueFor(random, key.type) }),
    });
  },
  function rename(random, file) {
    const key = someKey(random, file);
    key.name = random.pick([
      ...TEXTS,
      key.name.toUpperCase(),
      `${key.name}.x`,
      key.name.slice(1),
      random.pick(file.keys).name,
    ]);
  },
  function add(random, file) {
    addKey(random, file, random.pick(["u32", "f32", "string", "bool", "array", "array", "i32", "u64"]));
  },
  function architecture(random, file) {
    const key = file.keys.find(({ name }) => name === "general.architecture");
    if (!key) return;
    const other = random.pick([
      "llama",
      "qwen2",
      "gemma3",
      "gpt2",
      "mamba",
      "t5",
      "falcon",
      "jamba",
      "bert",
      "phi3",
      "gpt-oss",
      ...TEXTS,
    ]);
    if (random.chance(0.7)) for (const each of file.keys) each.name = each.name.replace(`${key.value}.`, `${other}.`);
    key.value = other;
  },
];

function addKey(random, file, type) {
  const name = random.chance(0.6) ? `${file.architecture}.${random.pick(OWN_KEYS)}` : random.pick(OTHER_KEYS);
  const item = random.pick(["u32", "i32", "f32", "string", "bool", "array"]);
  const scalar =
    random.chance(0.5) && type !== "string" && item !== "string"
      ? random.pick([0, 1, 2, 8, 16, 0.5])
      : valueFor(random, type === "array" ? item : type);
  const value = type === "array" ? random.times(random.pick([0, 1, 2, 60]), () => scalar) : scalar;
  file.keys = [...file.keys.filter((key) => key.name !== name), { name, type, item, value }];
}

function changeArray(random, key) {
  key.value = [...key.value];
  const at = random.below(key.value.length + 1);
  switch (random.below(6)) {
    case 0:
      key.value = key.value.slice(0, random.pick([0, 1, 2, key.value.length - 1]));
      return;
    case 1:
      key.value = [...key.value, ...key.value.slice(0, random.pick([1, 5, 1000]))];
      return;
    case 2:
      key.item = random.pick([...SCALARS, "array"]);
      if (random.chance(0.5)) key.value = key.value.map(() => valueFor(random, key.item));
      return;
    case 3:
      key.value[at] = key.value[random.below(key.value.length + 1)];
      return;
    default:
      for (let i = random.pick([1, 1, 3, 20]); i > 0; i--)
        key.value[random.below(key.value.length + 1)] = valueFor(random, key.item);
      key.value = key.value.map((item) => item ?? 0);
  }
}

export const TENSOR_CHANGES = [
  function dims(random, { tensors }) {
    const tensor = random.pick(tensors);
    tensor.dims = [...tensor.dims];
    switch (random.below(5)) {
      case 0:
        return void tensor.dims.reverse();
      case 1:
        return void tensor.dims.push(random.pick([1, 1, 2, 0]));
      case 2:
        return void tensor.dims.splice(random.below(tensor.dims.length), 1);
      case 3:
        tensor.dims[random.below(tensor.dims.length)] += random.pick([-1, 1, 8]);
        return;
      default:
        tensor.dims[random.below(tensor.dims.length)] = random.pick([...HUGE, 1, 2, 23, 25, 32, 256]);
    }
  },
  function type(random, { tensors }) {
    random.pick(tensors).type = random.pick(DTYPES);
  },
  function offset(random, { tensors }) {
    random.pick(tensors).offset = random.pick([...HUGE, 1, 31, 32, 64, 4096]);
  },
  function name(random, { tensors }) {
    const tensor = random.pick(tensors);
    tensor.name = random.pick([
      ...TEXTS,
      tensor.name.replace("0", "1"),
      `${tensor.name}.x`,
      random.pick(tensors).name,
      "output.weight",
      "blk.99999999.attn_q.weight",
    ]);
  },
  function remove(random, { tensors }) {
    tensors.splice(random.below(tensors.length), 1);
  },
  function add(random, { tensors }) {
    const other = random.pick(tensors);
    tensors.push({
      ...other,
      name: random.pick([
        other.name,
        "blk.0.attn_q_norm.weight",
        "blk.0.ffn_up_shexp.weight",
        "output.weight",
        "rope_freqs.weight",
        "x",
      ]),
    });
  },
  function numbers(random, { tensors }) {
    const tensor = random.pick(tensors);
    const values = new Float32Array(tensor.data.slice().buffer);
    const value = random.pick([
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      3e38,
      -3e38,
      1e-42,
      0,
      70000,
      1e20,
    ]);
    if (random.chance(0.5)) values.fill(value);
    else for (let i = random.pick([1, 3, 50]); i > 0; i--) values[random.below(values.length)] = value;
    tensor.data = new Uint8Array(values.buffer);
  },
  function quantised(random, { tensors }) {
    const matrices = tensors.filter(({ dims }) => dims.length > 1);
    if (matrices.length === 0) return;
    const tensor = random.pick(matrices);
    tensor.type = random.pick([1, 30]);
    tensor.data = Uint8Array.from({ length: tensor.data.length / 2 }, () => random.below(256));
  },
];

export const FILE_CHANGES = [
  (random, file) => {
    file.version = random.pick([0, 1, 2, 4, 3 << 24, 2 ** 32 - 1]);
  },
  (random, file) => {
    file.magic = random.pick([0, 0x47475546, 0x46554748]);
  },
  (random, file) => {
    file.keyCount = random.pick([...HUGE, file.keys.length - 1, file.keys.length + 1]);
  },
  (random, file) => {
    file.tensorCount = random.pick([...HUGE, file.tensors.length - 1, file.tensors.length + 1]);
  },
  (random, file) => {
    file.alignment = random.pick([1, 8, 64, 4096]);
    file.keys.push({
      name: "general.alignment",
      type: random.pick(["u32", "u32", "i32", "string"]),
      value: random.pick([file.alignment, 0, 3, 2 ** 31, hostileScalar(random)]),
    });
  },
];
