/** Every operation with its derivatives, as data. Attention and cross-entropy have files of their own. */
import type { ElementFunction, Gating, RopeLayout } from "../../src/tensor/backend.js";
import { Random } from "../../src/util/random.js";
import { turns } from "./devices.js";
import { type DerivativeCase, type Given, type Shape, shape } from "./training-given.js";

const FUNCTIONS: readonly (readonly [ElementFunction, number | undefined, readonly number[]])[] = [
  ["silu", undefined, []],
  ["gelu", undefined, []],
  ["geluErf", undefined, []],
  ["relu", undefined, [0]],
  ["scale", -1.75, []],
  ["clamp", 0.75, [-0.75, 0.75]],
  ["softcap", 1.5, []],
];

const GATINGS: readonly (readonly [Gating, Partial<Shape>, Partial<Shape>])[] = [
  ["silu", {}, {}],
  ["gelu", {}, {}],
  ["geluErf", {}, {}],
  ["relu", { kinks: [0] }, {}],
  ["clampedSwiglu", { within: [-10, 10], kinks: [7] }, { within: [-10, 10], kinks: [-7, 7] }],
];

const elementwise: readonly DerivativeCase[] = [
  ...FUNCTIONS.map(
    ([f, parameter, kinks]): DerivativeCase => ({
      name: `map ${f}`,
      shapes: [shape(5, 12, { within: [-2, 2], kinks })],
      forward: (g) => g.ops.map(g.tensor(0), f, parameter),
      back: (g, dy) => [g.training.mapInput(g.tensor(0), f, parameter, dy)],
    }),
  ),
  ...GATINGS.map(
    ([gating, gate, up]): DerivativeCase => ({
      name: `gated ${gating}`,
      shapes: [shape(5, 12, gate), shape(5, 12, up)],
      ...(gating === "clampedSwiglu" ? { step: 2 ** -7 } : {}),
      forward: (g) => g.ops.gated(g.tensor(0), g.tensor(1), gating),
      back: (g, dy) => {
        const slopes = g.training.gatedInputs(g.tensor(0), g.tensor(1), gating, dy);
        return [slopes.gate, slopes.up];
      },
    }),
  ),
];

const products: readonly DerivativeCase[] = [
  {
    name: "linear",
    shapes: [shape(7, 12), shape(8, 12), shape(1, 8)],
    forward: (g) => g.ops.linear(g.tensor(0), g.weight(1), g.weight(2)),
    back: (g, dy) => {
      g.training.linearWeight(dy, g.tensor(0), g.gradient(1));
      g.training.sumRows(dy, g.gradient(2));
      return [g.training.linearInput(dy, g.weight(1)), g.gradient(1), g.gradient(2)];
    },
  },
  {
    name: "embed, ids repeat",
    shapes: [shape(6, 8)],
    forward: (g) => g.ops.embed(g.weight(0), g.ints(4, 1, 4, 0, 4, 5)),
    back: (g, dy) => {
      g.training.scatterRows(dy, g.ints(4, 1, 4, 0, 4, 5), g.gradient(0));
      return [g.gradient(0)];
    },
  },
  {
    name: "gather, indices repeat",
    shapes: [shape(5, 8)],
    forward: (g) => g.ops.gather(g.tensor(0), g.ints(3, 0, 3, 4)),
    back: (g, dy) => [g.training.ungather(dy, g.ints(3, 0, 3, 4), 5)],
  },
];

const EPSILON = 1e-2;

const rmsNorms = (
  [
    ["rmsNorm", 1, 12],
    ["rmsNorm of heads", 1, 4],
    ["rmsNorm, a gain for each head", 3, 4],
  ] as const
).map(
  ([name, rows, cols]): DerivativeCase => ({
    name,
    shapes: [shape(5, 12), shape(rows, cols)],
    forward: (g) => g.ops.rmsNorm(g.tensor(0), g.weight(1), EPSILON),
    back: (g, dy) => {
      const call = { x: g.tensor(0), gain: g.weight(1), epsilon: EPSILON, dy, gradient: g.gradient(1) };
      return [g.training.rmsNormInput(call), g.gradient(1)];
    },
  }),
);

const layerNorms: readonly DerivativeCase[] = [
  {
    name: "layerNorm",
    shapes: [shape(5, 12), shape(1, 12), shape(1, 12)],
    forward: (g) => g.ops.layerNorm(g.tensor(0), g.weight(1), g.weight(2), EPSILON),
    back: (g, dy) => {
      const [gradient, biasGradient] = [g.gradient(1), g.gradient(2)];
      const call = { x: g.tensor(0), gain: g.weight(1), epsilon: EPSILON, dy, gradient, biasGradient };
      return [g.training.layerNormInput(call), gradient, biasGradient];
    },
  },
  {
    name: "layerNorm without bias",
    shapes: [shape(5, 12), shape(1, 12)],
    forward: (g) => g.ops.layerNorm(g.tensor(0), g.weight(1), undefined, EPSILON),
    back: (g, dy) => {
      const call = { x: g.tensor(0), gain: g.weight(1), epsilon: EPSILON, dy, gradient: g.gradient(1) };
      return [g.training.layerNormInput(call), g.gradient(1)];
    },
  },
];

const rotations = (
  [
    ["halves", 8],
    ["halves", 4],
    ["interleaved", 8],
    ["interleaved", 4],
  ] as const
).map(([layout, dims]): DerivativeCase => {
  const angles = (g: Given) => ({ layout: layout satisfies RopeLayout, dims, values: g.ops.input(turned) });
  // A scaling's magnitude is in the angles.
  const turned = turns(new Random(dims), 5, dims).map((value) => value * 1.25);
  return {
    name: `rotate ${layout}, ${dims} of 8`,
    shapes: [shape(5, 16)],
    forward: (g) => g.ops.rotate(g.tensor(0), 8, angles(g)),
    back: (g, dy) => [g.training.rotateBack(dy, 8, angles(g))],
  };
});

const convolutions = (
  [
    [9, true],
    [9, false],
    [2, true],
  ] as const
).map(([rows, biased]): DerivativeCase => {
  const bias = (g: Given) => (biased ? g.weight(2) : undefined);
  return {
    name: `convolution of ${rows} rows${biased ? " with bias" : ""}`,
    shapes: [shape(rows, 8), shape(8, 4), ...(biased ? [shape(1, 8)] : [])],
    forward: (g) => {
      const [before, after] = [g.state(3, 8), g.state(3, 8)];
      return g.ops.convolution({ x: g.tensor(0), kernel: g.weight(1), bias: bias(g), before, after });
    },
    back: (g, dy) => {
      const [kernelGradient, biasGradient] = [g.gradient(1), biased ? g.gradient(2) : undefined];
      const call = { x: g.tensor(0), kernel: g.weight(1), bias: bias(g), dy, kernelGradient, biasGradient };
      return [g.training.convolutionInput(call), kernelGradient, ...(biasGradient ? [biasGradient] : [])];
    },
  };
});

/** H, P, G and N of each form, and how many rates a head has. */
const scans = (
  [
    ["Mamba", { heads: 8, width: 1, groups: 1, states: 4, rates: 4 }],
    ["Mamba-2", { heads: 4, width: 4, groups: 2, states: 8, rates: 1 }],
  ] as const
).map(([name, { heads, width, groups, states, rates }]): DerivativeCase => {
  const rows = 7;
  const channels = heads * width;
  const inputs = (g: Given) => ({
    x: g.tensor(0),
    dt: g.tensor(1),
    a: g.weight(2),
    b: g.tensor(3),
    c: g.tensor(4),
    skip: g.weight(5),
  });
  return {
    name: `scan of ${name}`,
    shapes: [
      shape(rows, channels),
      shape(rows, heads),
      shape(heads, rates, { within: [-1.5, -0.1] }),
      shape(rows, groups * states),
      shape(rows, groups * states),
      shape(1, heads),
    ],
    forward: (g) => g.ops.scan({ ...inputs(g), before: g.state(channels, states), after: g.state(channels, states) }),
    back: (g, dy) => {
      const [aGradient, skipGradient] = [g.gradient(2), g.gradient(5)];
      const { x, dt, b, c } = g.training.scanInputs({ ...inputs(g), states, dy, aGradient, skipGradient });
      return [x, dt, aGradient, b, c, skipGradient];
    },
  };
});

export const DERIVATIVE_CASES: readonly DerivativeCase[] = [
  ...elementwise,
  ...products,
  ...rmsNorms,
  ...layerNorms,
  ...rotations,
  ...convolutions,
  ...scans,
];
