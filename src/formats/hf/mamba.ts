/**
 * Mamba 1 and 2: configuration_mamba.py, configuration_mamba2.py of `transformers`; conversion/mamba.py of llama.cpp. A_log
 * is stored as A = -exp(A_log), the convolution [C, 1, K] as [C, K], in Mamba 2 A and D as columns and the norm by groups.
 * Nothing limits the context; 2^20 stands for that, as in llama.cpp. Heads are 0 because there is no attention.
 */
import type { HfArchitecture, KeyValues } from "./architecture.js";
import { F32, F32_COLUMN, F32_GROUPS, NEGATIVE_EXP, NEGATIVE_EXP_COLUMN } from "./computed.js";
import type { ConfigFields } from "./config-fields.js";

/** `time_step_rank`, where "auto" is a sixteenth of the width. */
export function stepRank(config: ConfigFields, field: string, width: number): number {
  return (config.value(field) ?? "auto") === "auto" ? Math.ceil(width / 16) : config.count(field);
}

function sharedKeys(config: ConfigFields, width: number, stateSize: number): KeyValues {
  config.only("hidden_act", "silu");
  return {
    vocab_size: config.count("vocab_size"),
    context_length: 2 ** 20,
    embedding_length: width,
    block_count: config.count(config.either("num_hidden_layers", "n_layer")),
    feed_forward_length: 0,
    "attention.head_count": 0,
    "attention.layer_norm_rms_epsilon": config.positive("layer_norm_epsilon", 1e-5),
    "ssm.conv_kernel": config.count("conv_kernel", 4),
    "ssm.state_size": config.count("state_size", stateSize),
  };
}

function innerWidth(config: ConfigFields, width: number): number {
  const inner = config.value("intermediate_size") === undefined ? config.positive("expand", 2) * width : undefined;
  return inner === undefined ? config.count("intermediate_size") : Math.floor(inner);
}

const MODULES = {
  embeddings: "token_embd",
  embedding: "token_embd",
  norm_f: "output_norm",
  lm_head: "output",
  "layers.#.norm": "blk.#.attn_norm",
  "layers.#.mixer.in_proj": "blk.#.ssm_in",
  "layers.#.mixer.conv1d": { to: "blk.#.ssm_conv1d", view: F32 },
  "layers.#.mixer.out_proj": "blk.#.ssm_out",
};

// mistralai writes "model." before everything.
const PREFIXES = ["model.backbone.", "backbone.", "model."];

export const mamba: HfArchitecture = {
  architecture: "mamba",
  tied: true,
  metadata: (config) => {
    const width = config.count(config.either("hidden_size", "d_model"));
    return {
      ...sharedKeys(config, width, 16),
      "ssm.inner_size": innerWidth(config, width),
      "ssm.time_step_rank": stepRank(config, "time_step_rank", width),
    };
  },
  tensors: {
    prefixes: PREFIXES,
    modules: {
      ...MODULES,
      "layers.#.mixer.x_proj": "blk.#.ssm_x",
      "layers.#.mixer.dt_proj": "blk.#.ssm_dt",
    },
    parameters: {
      "layers.#.mixer.A_log": { to: "blk.#.ssm_a", view: NEGATIVE_EXP },
      "layers.#.mixer.D": { to: "blk.#.ssm_d", view: F32 },
    },
  },
};

/** The step may be clamped to `time_step_limit`; only the default, which clamps nothing, is run. */
function refuseStepLimit(config: ConfigFields): void {
  const limit = config.value("time_step_limit");
  if (limit === undefined || !Array.isArray(limit)) return;
  const [least, most] = limit;
  if (least === 0 && (most === Number.POSITIVE_INFINITY || isObjectInfinity(most))) return;
  throw config.unsupported("time_step_limit", "[0, Infinity]");
}

/** Infinity as newer versions write it. */
function isObjectInfinity(value: unknown): boolean {
  return JSON.stringify(value) === '{"__float__":"Infinity"}';
}

export const mamba2: HfArchitecture = {
  architecture: "mamba2",
  tied: false,
  metadata: (config) => {
    config.only("rms_norm", true);
    refuseStepLimit(config);
    const width = config.count(config.either("hidden_size", "d_model"));
    const inner = innerWidth(config, width);
    const headWidth = config.count("head_dim", 64);
    if (inner % headWidth !== 0) throw config.wrong("head_dim", `a divisor of the inner width ${inner}`);
    const groups = config.count("n_groups", 8);
    if (inner % groups !== 0) throw config.wrong("n_groups", `a divisor of the inner width ${inner}`);
    return {
      ...sharedKeys(config, width, 128),
      "ssm.inner_size": inner,
      // GGUF keeps the number of heads there.
      "ssm.time_step_rank": inner / headWidth,
      "ssm.group_count": groups,
    };
  },
  tensors: {
    prefixes: PREFIXES,
    modules: { ...MODULES, "layers.#.mixer.norm": { to: "blk.#.ssm_norm", view: F32_GROUPS } },
    parameters: {
      "layers.#.mixer.A_log": { to: "blk.#.ssm_a", view: NEGATIVE_EXP_COLUMN },
      "layers.#.mixer.D": { to: "blk.#.ssm_d", view: F32_COLUMN },
      "layers.#.mixer.dt_bias": "blk.#.ssm_dt.bias",
    },
  },
};
