/** State-space layers by GGUF's keys and names. Fused projections are taken apart by rows. */
import type { ConvolutionSpec, Mamba2Spec, MambaSpec } from "../nn/spec.js";
import { FormatError, UnsupportedError } from "../util/errors.js";
import type { ModelMetadata } from "./metadata.js";
import { linear, linearSlices, rmsNorm, slice, table, vector, vectorSlice } from "./parts.js";

/** Mamba of a block; `norms`: RMSNorms of dt, B and C (Jamba). */
export function mambaMixer(meta: ModelMetadata, block: string, norms = false): MambaSpec {
  if (meta.flag("ssm.dt_b_c_rms", false)) {
    throw new UnsupportedError(
      `${meta.checkpoint.location}: norms without gains of dt, B and C (FalconMamba) are not supported.`,
    );
  }
  const width = meta.count("embedding_length");
  const channels = meta.count("ssm.inner_size");
  const stateSize = meta.count("ssm.state_size");
  const rank = meta.count("ssm.time_step_rank");
  const [input, gate] = linearSlices(linear(meta, `${block}.ssm_in`, width, 2 * channels), [channels, channels]);
  const sizes = [rank, stateSize, stateSize];
  const [timeStepDown, b, c] = linearSlices(linear(meta, `${block}.ssm_x`, channels, rank + 2 * stateSize), sizes);
  return {
    kind: "mamba",
    stateSize,
    input,
    gate,
    convolution: convolutions(meta, block, [channels])[0],
    timeStepDown,
    timeStepUp: linear(meta, `${block}.ssm_dt`, rank, channels),
    b,
    c,
    ...(norms && {
      timeStepNorm: rmsNorm(meta, `${block}.ssm_dt_norm`, rank),
      bNorm: rmsNorm(meta, `${block}.ssm_b_norm`, stateSize),
      cNorm: rmsNorm(meta, `${block}.ssm_c_norm`, stateSize),
    }),
    decay: table(`${block}.ssm_a`, channels, stateSize),
    skip: vector(`${block}.ssm_d`, channels),
    output: linear(meta, `${block}.ssm_out`, channels, width),
  };
}

/** Mamba-2 of a block: ssm_in holds the gate, x, B, C and the time steps, in that order. */
export function mamba2Mixer(meta: ModelMetadata, block: string): Mamba2Spec {
  const width = meta.count("embedding_length");
  const channels = meta.count("ssm.inner_size");
  const stateSize = meta.count("ssm.state_size");
  const heads = meta.count("ssm.time_step_rank");
  const groups = meta.count("ssm.group_count", 1);
  if (channels % heads !== 0 || heads % groups !== 0) {
    const found = `${channels} channels, ${heads} heads and ${groups} groups`;
    throw new FormatError(`${meta.checkpoint.location}: ${found} do not divide evenly.`);
  }
  const shared = groups * stateSize;
  const parts = [channels, channels, shared, shared, heads];
  const fused = linear(meta, `${block}.ssm_in`, width, 2 * channels + 2 * shared + heads);
  const [gate, input, b, c, timeStep] = linearSlices(fused, parts);
  const [convolution, bConvolution, cConvolution] = convolutions(meta, block, [channels, shared, shared]);
  const epsilon = meta.epsilon("attention.layer_norm_rms_epsilon");
  return {
    kind: "mamba2",
    heads,
    stateSize,
    input,
    gate,
    b,
    c,
    convolution,
    bConvolution,
    cConvolution,
    timeStep: { ...timeStep, bias: vector(`${block}.ssm_dt.bias`, heads) },
    decay: table(`${block}.ssm_a`, heads, 1),
    skip: table(`${block}.ssm_d`, heads, 1),
    norm: { kind: "rms", gain: table(`${block}.ssm_norm.weight`, groups, channels / groups), epsilon },
    output: linear(meta, `${block}.ssm_out`, channels, width),
  };
}

/** Convolutions that lie in one, over so many channels each. */
function convolutions(meta: ModelMetadata, block: string, channels: readonly number[]): ConvolutionSpec[] {
  const all = channels.reduce((sum, count) => sum + count, 0);
  const kernels = table(`${block}.ssm_conv1d.weight`, all, meta.count("ssm.conv_kernel"));
  const biases = vector(`${block}.ssm_conv1d.bias`, all);
  let start = 0;
  return channels.map((count) => {
    const part = { kernel: slice(kernels, start, count), bias: vectorSlice(biases, start, count) };
    start += count;
    return part;
  });
}
