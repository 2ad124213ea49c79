/** Messages, tools and variables as the engine's values. */
import { ArgumentError } from "../../util/errors.js";
import type { Budget } from "./budget.js";
import { Dict, type Value } from "./values.js";

/** No message or tool nests so deep. */
const DEEPEST = 200;

/** @throws ArgumentError for functions, symbols, and what contains itself */
export function fromJavaScript(given: unknown, name: string, budget: Budget, depth = 0): Value | undefined {
  if (depth > DEEPEST) {
    throw new ArgumentError(
      `${name} nests more than ${DEEPEST} deep, or contains itself; a chat template can't take it.`,
    );
  }
  if (given === null || typeof given === "boolean" || typeof given === "bigint") return given;
  if (typeof given === "string") {
    budget.work(given.length);
    return given;
  }
  if (typeof given === "number") return Number.isInteger(given) ? BigInt(given) : given;
  if (given === undefined) return undefined;
  if (typeof given !== "object")
    throw new ArgumentError(`${name} is a ${typeof given}, which no chat template can take.`);
  budget.work(8);
  if (Array.isArray(given)) {
    return given.map((item, i) => fromJavaScript(item, `${name}[${i}]`, budget, depth + 1) ?? null);
  }
  const dict = new Dict();
  for (const [key, item] of given instanceof Map ? given : Object.entries(given)) {
    const value = fromJavaScript(item, `${name}.${String(key)}`, budget, depth + 1);
    if (value !== undefined) dict.set(typeof key === "number" ? BigInt(key) : String(key), value);
  }
  return dict;
}
