/** Attention over rows and its derivatives, for every kind of visibility, bias and sink (see attention-cases.ts). */
import type { Backend } from "../../src/tensor/backend.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import type { AttentionTrainingCall } from "../../src/tensor/training.js";
import { Random } from "../../src/util/random.js";
import { BUCKETS, base, type Case, type Drawn, draw, extrasOf } from "./attention-cases.js";
import { type DerivativeCase, type Given, type Shape, shape, trainingOf } from "./training-given.js";

const small: Case = { ...base, past: 0, rows: 30 };

export const ATTENTION_SHAPES: readonly (readonly [name: string, Case])[] = [
  ["causal", small],
  ["causal, one head", { ...small, rows: 7, kvHeads: 1, group: 1, valueWidth: 4 }],
  ["a window", { ...small, spans: "window", group: 3 }],
  ["sink tokens and a window", { ...small, rows: 44, spans: "sinks", kvHeads: 3, group: 1 }],
  ["gaps, empty ranges, rows that see nothing", { ...small, rows: 40, spans: "gaps", sinks: true }],
  ["keys after the query", { ...small, spans: "ahead", kvHeads: 1, group: 4 }],
  ["rows at the end of a text", { ...small, past: 21, rows: 3, keyWidth: 16 }],
  ["soft cap", { ...small, softcap: 2 }],
  ["slopes", { ...small, bias: "linear" }],
  ["a table, distances beyond it", { ...small, bias: "table", reach: 9, spans: "ahead" }],
  ["sinks", { ...small, sinks: true, kvHeads: 3 }],
  ["all of it", { ...small, rows: 44, softcap: 3, bias: "table", sinks: true, spans: "sinks", valueWidth: 12 }],
];

/** Two calls that share the KV heads out between them, or one where there is only one. */
export function headsOf({ kvHeads }: Case): readonly { readonly head: number; readonly heads: number }[] {
  const first = kvHeads >> 1;
  const parts = [
    { head: 0, heads: first },
    { head: first, heads: kvHeads - first },
  ];
  return parts.filter(({ heads }) => heads > 0);
}

export function heads({ kvHeads, group }: Case): number {
  return kvHeads * group;
}

/** attendRows on the numbers of a case, with the queries of the first range. */
export function attendDrawn(ops: Backend, problem: Case, drawn: Drawn): { out: Tensor; logSums: Tensor } {
  const { rows, kvHeads, group, keyWidth, valueWidth } = problem;
  const tensor = (values: Float32Array, count: number, cols: number) => ops.tensor(ops.input(values), count, cols);
  const result = {
    out: ops.empty(rows, heads(problem) * valueWidth),
    logSums: ops.empty(rows, heads(problem)),
  };
  const call = {
    q: tensor(drawn.queries[0], rows, heads(problem) * keyWidth),
    k: tensor(drawn.keys, drawn.tokens, kvHeads * keyWidth),
    v: tensor(drawn.values, drawn.tokens, kvHeads * valueWidth),
    spans: ops.input(Int32Array.from(drawn.spans.flat(2))),
    group,
    scale: 1 / Math.sqrt(keyWidth),
    ...extrasOf(ops, problem, drawn),
  };
  for (const part of headsOf(problem)) trainingOf(ops).attendRows({ ...call, ...part }, result.out, result.logSums);
  return result;
}

/** Inputs in order: q, k, v, then the sinks and the table where there are any. */
export function attentionCase(name: string, problem: Case, seed: number): DerivativeCase {
  const { rows, kvHeads, group, keyWidth, valueWidth, sinks, bias } = problem;
  const drawn = draw(problem, new Random(seed));
  const shapes: Shape[] = [
    shape(rows, heads(problem) * keyWidth, { within: [-2, 2] }),
    shape(drawn.tokens, kvHeads * keyWidth),
    shape(drawn.tokens, kvHeads * valueWidth),
  ];
  const sinkIndex = sinks ? shapes.push(shape(1, heads(problem), { within: [0, 3] })) - 1 : undefined;
  const tableIndex =
    bias === "table" ? shapes.push(shape(BUCKETS, heads(problem), { within: [-2, 2] })) - 1 : undefined;
  const callOf = (g: Given): Omit<AttentionTrainingCall, "head" | "heads"> => {
    const extras = extrasOf(g.ops, problem, drawn);
    const table = tableIndex === undefined ? undefined : g.weight(tableIndex);
    return {
      q: g.tensor(0),
      k: g.tensor(1),
      v: g.tensor(2),
      spans: g.ints(...drawn.spans.flat(2)),
      group,
      scale: 1 / Math.sqrt(keyWidth),
      softcap: extras.softcap,
      bias: extras.bias?.kind === "table" && table ? { ...extras.bias, table } : extras.bias,
      sinks: sinkIndex === undefined ? undefined : g.weight(sinkIndex),
    };
  };
  const attended = (g: Given, call: ReturnType<typeof callOf>) => {
    const out = g.ops.empty(rows, heads(problem) * valueWidth);
    const logSums = g.ops.empty(rows, heads(problem));
    for (const part of headsOf(problem)) g.training.attendRows({ ...call, ...part }, out, logSums);
    return { out, logSums };
  };
  return {
    name,
    shapes,
    forward: (g) => attended(g, callOf(g)).out,
    back: (g, dOut) => {
      const call = callOf(g);
      const sums = { dq: g.sums(0), dk: g.sums(1), dv: g.sums(2) };
      const sinksGradient = sinkIndex === undefined ? undefined : g.gradient(sinkIndex);
      const tableGradient = tableIndex === undefined ? undefined : g.gradient(tableIndex);
      const whole = { ...call, ...attended(g, call), dOut, ...sums, sinksGradient, tableGradient };
      for (const part of headsOf(problem)) g.training.attendRowsBack({ ...whole, ...part });
      return [sums.dq, sums.dk, sums.dv, sinksGradient, tableGradient].filter((each) => each !== undefined);
    },
  };
}
