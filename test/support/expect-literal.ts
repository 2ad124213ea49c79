/** Whether logits are those of the literal model, as far as float32 can be asked for. */
import { expect } from "vitest";
import { Random } from "../../src/util/random.js";
import type { LiteralPolicy } from "./literal-attention.js";
import { literalStreaming } from "./literal-streaming.js";
import { worst } from "./logits.js";
import type { RandomModel } from "./random-model.js";

/** Float32 against double precision, relative to the largest logit of a row. */
export const TOLERANCE = 1e-5;

/**
 * Some random models are so sharp that the last bit of their weights moves logits by that much: then what it moves, four
 * times for the roundings of the operations, is what float32 can be asked for.
 */
export function expectLiteral(
  got: readonly Float32Array[],
  model: RandomModel,
  ids: Int32Array,
  policy: LiteralPolicy,
): void {
  const exact = literalStreaming(model, ids, policy);
  const error = worst(got, exact);
  if (error < TOLERANCE) return;
  const random = new Random(1);
  const lastBit = (value: number) => value * (1 + (random.double() < 0.5 ? -1 : 1) * 2 ** -23);
  const moves = Array.from({ length: 4 }, () => {
    const values = new Map([...model.values].map(([name, numbers]) => [name, numbers.map(lastBit)] as const));
    return worst(literalStreaming({ ...model, values }, ids, policy), exact);
  });
  const moved = Math.max(...moves);
  expect(error, `the last bit of the weights moves logits by ${moved}`).toBeLessThan(4 * moved);
}
