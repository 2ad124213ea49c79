/**
 * The architectures of the benchmark's models as data: metadata beyond what all have, tensors in the order of the file, and
 * what decoding reads of them. Deviations keep every branch near one: 1/sqrt(inputs). Embeddings are larger, by
 * sqrt(2 * layers), so that no branch drowns them (scaling the branches down instead would make their f16 scales subnormal,
 * unlike a trained model's), but not where they are the head as well.
 */

/** Bytes of an f32. */
const F32 = 4;
/** Bytes of a key's or value's element in an f16 cache. */
const F16 = 2;

/** All layers' tensors between embedding and the end. */
function blocks(layers, tensorsOf) {
  return Array.from({ length: layers }, (_, index) => tensorsOf(`blk.${index}`)).flat();
}

const llama = {
  keys: ({ heads, kvHeads, headWidth, feedForward }) => [
    ["feed_forward_length", "u32", feedForward],
    ["attention.head_count", "u32", heads],
    ["attention.head_count_kv", "u32", kvHeads],
    ["attention.layer_norm_rms_epsilon", "f32", 1e-5],
    ["rope.dimension_count", "u32", headWidth],
    ["rope.freq_base", "f32", 10_000],
  ],
  tensors: ({ layers, width, heads, kvHeads, headWidth, feedForward, vocabulary }, { matrix, linear, gains }) => [
    matrix("token_embd", vocabulary, width, Math.sqrt(2 * layers)),
    ...blocks(layers, (block) => [
      gains(`${block}.attn_norm`, width),
      linear(`${block}.attn_q`, heads * headWidth, width),
      linear(`${block}.attn_k`, kvHeads * headWidth, width),
      linear(`${block}.attn_v`, kvHeads * headWidth, width),
      linear(`${block}.attn_output`, width, heads * headWidth),
      gains(`${block}.ffn_norm`, width),
      linear(`${block}.ffn_gate`, feedForward, width),
      linear(`${block}.ffn_up`, feedForward, width),
      linear(`${block}.ffn_down`, width, feedForward),
    ]),
    gains("output_norm", width),
    linear("output", vocabulary, width, 2),
  ],
  cacheBytes: ({ layers, kvHeads, headWidth }) => layers * kvHeads * headWidth * 2 * F16,
  stateBytes: () => 0,
};

/** Pythia's: parallel residual, rotation of a part of each head, LayerNorms and biases. */
const gptneox = {
  keys: ({ heads, feedForward, rotated }) => [
    ["feed_forward_length", "u32", feedForward],
    ["attention.head_count", "u32", heads],
    ["attention.layer_norm_epsilon", "f32", 1e-5],
    ["rope.dimension_count", "u32", rotated],
    ["use_parallel_residual", "bool", true],
  ],
  tensors: ({ layers, width, feedForward, vocabulary }, { matrix, linear, gains, biases }) => {
    const norm = (name) => [gains(name, width), biases(name, width)];
    const biased = (name, rows, cols) => [linear(name, rows, cols), biases(name, rows)];
    return [
      matrix("token_embd", vocabulary, width, Math.sqrt(2 * layers)),
      ...blocks(layers, (block) => [
        ...norm(`${block}.attn_norm`),
        ...biased(`${block}.attn_qkv`, 3 * width, width),
        ...biased(`${block}.attn_output`, width, width),
        ...norm(`${block}.ffn_norm`),
        ...biased(`${block}.ffn_up`, feedForward, width),
        ...biased(`${block}.ffn_down`, width, feedForward),
      ]),
      ...norm("output_norm"),
      linear("output", vocabulary, width, 2),
    ];
  },
  cacheBytes: ({ layers, width }) => layers * width * 2 * F16,
  stateBytes: () => 0,
};

/** A time step's usual range; `ssm_dt.bias` holds what softplus takes there. */
const [LEAST_STEP, MOST_STEP] = [0.001, 0.1];

/** The embedding is the head. Small tables stay f32, as llama.cpp's quantiser keeps them. */
const mamba = {
  keys: ({ inner, state, convolution, rank }) => [
    ["feed_forward_length", "u32", 0],
    ["attention.head_count", "u32", 0],
    ["attention.layer_norm_rms_epsilon", "f32", 1e-5],
    ["ssm.conv_kernel", "u32", convolution],
    ["ssm.inner_size", "u32", inner],
    ["ssm.state_size", "u32", state],
    ["ssm.time_step_rank", "u32", rank],
  ],
  tensors: ({ layers, width, inner, state, convolution, rank, vocabulary }, make) => {
    const { matrix, linear, gains, biases, exact } = make;
    const step = (random) => LEAST_STEP * (MOST_STEP / LEAST_STEP) ** random;
    return [
      matrix("token_embd", vocabulary, width, 1),
      ...blocks(layers, (block) => [
        gains(`${block}.attn_norm`, width),
        linear(`${block}.ssm_in`, 2 * inner, width),
        exact(`${block}.ssm_conv1d.weight`, [convolution, inner], (random) => random - 0.5),
        biases(`${block}.ssm_conv1d`, inner),
        linear(`${block}.ssm_x`, rank + 2 * state, inner),
        exact(`${block}.ssm_dt.weight`, [rank, inner], (random) => (2 * random - 1) / Math.sqrt(rank)),
        exact(`${block}.ssm_dt.bias`, [inner], (random) => Math.log(Math.expm1(step(random)))),
        exact(`${block}.ssm_a`, [state, inner], (_, index) => -(1 + (index % state))),
        exact(`${block}.ssm_d`, [inner], () => 1),
        linear(`${block}.ssm_out`, width, inner),
      ]),
      // Logits of deviation 2, though the embedding is larger than a head's matrix.
      gains("output_norm", width, 2 / Math.sqrt(width)),
    ];
  },
  cacheBytes: () => 0,
  stateBytes: ({ layers, inner, state, convolution }) => layers * inner * (state + convolution - 1) * F32,
};

/**
 * By `general.architecture`: `keys` of the metadata, `tensors` made by functions of make-model.mjs, bytes of an f16 cache
 * per token of context, and bytes of state that every token reads.
 */
export const FAMILIES = { llama, gptneox, mamba };
