/** Cross-entropy by way of all logits, as `linear` and the soft cap give them, to check the fused one by. */
import type { Backend } from "../../src/tensor/backend.js";
import { Random } from "../../src/util/random.js";
import type { DirectionalCheck } from "../support/finite-differences.js";
import { drawShape, Given, gradientsOf, shape } from "./training-given.js";

export interface CrossEntropyCase {
  readonly rows: number;
  readonly width: number;
  readonly vocabulary: number;
  readonly biased?: boolean;
  readonly softcap?: number;
}

/** Shapes and numbers: x, head and, if there is one, bias; every third row's weight is 0. */
function drawn({ rows, width, vocabulary, biased }: CrossEntropyCase, seed: number) {
  const random = new Random(seed);
  const shapes = [shape(rows, width, { within: [-2, 2] }), shape(vocabulary, width)];
  if (biased) shapes.push(shape(1, vocabulary));
  return {
    shapes,
    parameters: shapes.map((each) => drawShape(each, random)),
    targets: Int32Array.from({ length: rows }, () => Math.floor(random.double() * vocabulary)),
    weights: Float32Array.from({ length: rows }, (_, t) => (t % 3 === 1 ? 0 : 0.25 + random.double())),
  };
}

/** -log softmax(logits[t])[targets[t]] of every row, in double precision from f32 logits. */
async function directLosses(given: Given, targets: Int32Array, { biased, softcap }: CrossEntropyCase) {
  const { ops } = given;
  const raw = ops.linear(given.tensor(0), given.weight(1), biased ? given.weight(2) : undefined);
  const all = await ops.read(softcap ? ops.map(raw, "softcap", softcap) : raw);
  return Array.from(targets, (target, t) => {
    const logits = Array.from(all.subarray(t * raw.cols, (t + 1) * raw.cols));
    const most = Math.max(...logits);
    return Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0)) + most - logits[target];
  });
}

/** For `directionalErrors`, and the fused and direct losses to compare. */
export async function crossEntropyCheck(ops: Backend, problem: CrossEntropyCase, seed: number) {
  const { shapes, parameters, targets, weights } = drawn(problem, seed);
  const given = (values: readonly Float32Array[]) => new Given(ops, shapes, values);
  const direct = (values: readonly Float32Array[]) => directLosses(given(values), targets, problem);
  const fused = (
    g: Given,
    gradients?: { head: ReturnType<Given["gradient"]>; bias: ReturnType<Given["gradient"]> | undefined },
  ) =>
    g.training.crossEntropy({
      x: g.tensor(0),
      head: g.weight(1),
      bias: problem.biased ? g.weight(2) : undefined,
      softcap: problem.softcap,
      targets: ops.input(targets),
      weights: ops.input(weights),
      gradients,
    });
  const gradients = await gradientsOf(given(parameters), (g) => {
    const [head, bias] = [g.gradient(1), problem.biased ? g.gradient(2) : undefined];
    const { dx } = fused(g, { head, bias });
    if (!dx) throw new Error("Gradients were asked for and dx is missing.");
    return bias ? [dx, head, bias] : [dx, head];
  });
  const alone = fused(given(parameters));
  const losses = (await ops.read(alone.losses)).slice();
  const check: DirectionalCheck = {
    parameters,
    loss: async (values) => (await direct(values)).reduce((sum, loss, t) => sum + weights[t] * loss, 0),
    gradients,
    seed,
  };
  const expected = (await direct(parameters)).map((loss, t) => (weights[t] === 0 ? 0 : loss));
  return { check, losses, expected, weights, dxWithoutGradients: alone.dx };
}
