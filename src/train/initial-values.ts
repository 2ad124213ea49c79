/**
 * Numbers that a model begins with. Matrices: normal with deviation 1/(2 sqrt(inputs)), the last of each branch smaller by the
 * square root of the number of branches (GPT-2), embeddings 0.02. Gains 1, biases 0. State spaces as in Mamba (2312.00752):
 * decays -1..-N, skips 1, and a bias of the time step that is the inverse softplus of log-uniform [0.001, 0.1].
 */
import type { ModelSpec } from "../nn/spec.js";
import type { WeightUse } from "../nn/weights.js";
import { Random } from "../util/random.js";

const EMBEDDING = 0.02;

type Rule = (spec: ModelSpec, use: WeightUse, random: Random) => Float32Array;

/** The first whose pattern the name matches. */
const RULES: readonly (readonly [RegExp, Rule])[] = [
  [/ssm_a$/, (_, { ref }) => Float32Array.from({ length: ref.rows * ref.cols }, (_, i) => decay(ref.cols, i))],
  [/ssm_d$|norm[^.]*\.weight(\[|$)|norm[^.]*$/, (_, { ref }) => filled(ref, 1)],
  [/ssm_dt\.bias/, (_, { ref }, random) => Float32Array.from({ length: ref.rows * ref.cols }, () => timeStep(random))],
  [/ssm_conv1d\.weight/, (_, { ref }, random) => uniform(ref, 1 / Math.sqrt(ref.cols), random)],
  [/\.bias(\[|$)|attn_sinks|attn_rel_b/, (_, { ref }) => filled(ref, 0)],
  [/token_embd|position_embd/, (_, { ref }, random) => normal(ref, EMBEDDING, random)],
  [/attn_output|ffn_down|ssm_out/, (spec, { ref }, random) => normal(ref, matrix(ref.cols) / depth(spec), random)],
  [/^/, (_, { ref }, random) => normal(ref, matrix(ref.cols), random)],
];

/** [rows * cols]; the same for the same seed. */
export function initialValues(spec: ModelSpec, use: WeightUse, seed: number): Float32Array {
  const random = new Random(seed);
  const rule = RULES.find(([pattern]) => pattern.test(use.name));
  return (rule ?? RULES[RULES.length - 1])[1](spec, use, random);
}

const matrix = (inputs: number): number => 0.5 / Math.sqrt(inputs);

function depth({ layers }: ModelSpec): number {
  return Math.sqrt(layers.reduce((sum, { feedForward }) => sum + (feedForward ? 2 : 1), 0));
}

/** Mamba's S4D-real start, -1 .. -N along the state; -1 .. -16 over the heads where each has one. */
function decay(cols: number, index: number): number {
  return cols > 1 ? -((index % cols) + 1) : -((index % 16) + 1);
}

function timeStep(random: Random): number {
  const dt = Math.exp(Math.log(1e-3) + random.double() * (Math.log(1e-1) - Math.log(1e-3)));
  return dt + Math.log(-Math.expm1(-dt));
}

interface Shape {
  readonly rows: number;
  readonly cols: number;
}

function filled({ rows, cols }: Shape, value: number): Float32Array {
  return new Float32Array(rows * cols).fill(value);
}

function uniform({ rows, cols }: Shape, bound: number, random: Random): Float32Array {
  return Float32Array.from({ length: rows * cols }, () => (2 * random.double() - 1) * bound);
}

/** Box and Muller. */
function normal({ rows, cols }: Shape, deviation: number, random: Random): Float32Array {
  return Float32Array.from({ length: rows * cols }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random.double()));
    return deviation * radius * Math.cos(2 * Math.PI * random.double());
  });
}
