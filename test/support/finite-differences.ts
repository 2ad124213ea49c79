/**
 * Gradients checked against differences of the loss along random directions, in spite of f32 numbers everywhere.
 *
 * With e(h) = loss(p + h r) - loss(p - h r) - gradient . ((p + h r) - (p - h r)), where the steps are taken as they came out
 * in f32, a right gradient leaves e(h) = a h^3 + b h^5 + ..., and (8 e(h) - e(2h)) / 12h has neither h nor h^2 left: what
 * remains of truncation is h^4 / 30 times the fifth derivative. Rounding of the loss's parts to f32 remains as about 2^-24 / h
 * of their size. With steps of h = 2^-5 of a parameter's root mean square, that is 3e-8 and 2e-6: tolerances of about 1e-4 are
 * apt for one operation, and any wrong number among a few thousand shows.
 */
import { Random } from "../../src/util/random.js";

export type Loss = (parameters: readonly Float32Array[]) => number | Promise<number>;

export interface DirectionalCheck {
  readonly parameters: readonly Float32Array[];
  /** Sums outside the backend belong in double precision. Must not change the parameters. */
  readonly loss: Loss;
  /** What is to be checked: of the loss at `parameters`, in their shapes. */
  readonly gradients: readonly ArrayLike<number>[];
  readonly seed: number;
  /** Steps, as a share of the root mean square of each of the parameters; 2^-5 if absent. */
  readonly step?: number;
  /** How many random directions; 3 if absent. The loss is computed four times for each. */
  readonly directions?: number;
}

/**
 * The error of the gradients along random directions, all parameters moved together: root mean square over the directions,
 * relative to the derivative expected along a random direction. Right gradients give about 1e-6 to 1e-5, a wrong sign about 2.
 */
export async function directionalError(check: DirectionalCheck): Promise<number> {
  const { parameters, directions = 3 } = check;
  // Not the stream that callers with the same seed draw their parameters from: directions must not follow them.
  const random = new Random(check.seed + 0x5eed);
  let [squares, expected] = [0, 0];
  for (let i = 0; i < directions; i++) {
    const direction = parameters.map((each) => signs(each, random, check.step ?? 2 ** -5));
    const [one, two] = [await differenceAlong(check, direction, 1), await differenceAlong(check, direction, 2)];
    squares += ((8 * one.error - two.error) / 12) ** 2;
    expected += one.expected;
  }
  // A gradient of zeros is right where the loss does not move at all.
  if (squares === 0) return 0;
  return Math.sqrt(squares / expected);
}

/** The errors of each of the parameters, moved alone: a wrong small gradient does not hide behind large ones. */
export async function directionalErrors(check: DirectionalCheck): Promise<number[]> {
  const errors: number[] = [];
  for (let moved = 0; moved < check.parameters.length; moved++) {
    const { parameters, gradients, loss } = check;
    errors.push(
      await directionalError({
        ...check,
        parameters: [parameters[moved]],
        gradients: [gradients[moved]],
        loss: ([one]) => loss(parameters.map((each, i) => (i === moved ? one : each))),
      }),
    );
  }
  return errors;
}

/** One step for each number: up or down by a share of the array's root mean square (of 1 where all are zero). */
function signs(values: Float32Array, random: Random, step: number): Float64Array {
  const size = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length) || 1;
  return Float64Array.from(values, () => (random.double() < 0.5 ? -step : step) * size);
}

/** e(times h), and the square of the derivative that a random direction would give, for steps of h. */
async function differenceAlong(check: DirectionalCheck, direction: readonly Float64Array[], times: number) {
  const { parameters, gradients, loss } = check;
  const moved = (by: number) => parameters.map((each, p) => each.map((value, i) => value + by * direction[p][i]));
  const [ahead, behind] = [moved(times), moved(-times)];
  let [analytic, expected] = [0, 0];
  gradients.forEach((gradient, p) => {
    if (gradient.length !== parameters[p].length) throw new Error("A gradient has another length than its parameter.");
    for (let i = 0; i < gradient.length; i++) {
      analytic += gradient[i] * (ahead[p][i] - behind[p][i]);
      expected += (gradient[i] * direction[p][i]) ** 2;
    }
  });
  return { error: (await loss(ahead)) - (await loss(behind)) - analytic, expected };
}
