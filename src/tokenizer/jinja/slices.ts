/** Items, slices and lengths of values, as Python's brackets and `len` have them. */
import { wholeNumber } from "./arguments.js";
import { broken } from "./fault.js";
import { numberOf } from "./operators.js";
import { type Runtime, unmarked } from "./runtime.js";
import { codePoints, joinPoints, lengthOf } from "./text.js";
import { Dict, isList, Markup, Range, Tuple, typeName, Undefined, type Value, View, workOfKey } from "./values.js";

/** `len(value)`; undefined for what has none. */
export function sizeOf(value: Value, runtime: Runtime): number | undefined {
  if (typeof value === "string" || value instanceof Markup) {
    const { text } = unmarked(typeof value === "string" ? value : value.text, runtime);
    runtime.budget.work(text.length);
    return lengthOf(text);
  }
  if (isList(value) || value instanceof Range) return value.length;
  if (value instanceof Tuple) return value.items.length;
  if (value instanceof Dict) return value.size;
  if (value instanceof View) return value.dict.size;
  return value instanceof Undefined ? 0 : undefined;
}

/** The item at a place or under a key; undefined where there is none, also for values without items. */
export function itemOf(value: Value, index: Value, runtime: Runtime): Value | undefined {
  if (value instanceof Dict) {
    runtime.budget.work(workOfKey(index));
    return isHashable(index) ? value.get(index) : undefined;
  }
  const number = numberOf(index);
  if (typeof number !== "bigint") return undefined;
  if (typeof value === "string" || value instanceof Markup) {
    const { text, mark } = unmarked(typeof value === "string" ? value : value.text, runtime);
    runtime.budget.work(text.length);
    const point = placeIn(codePoints(text), number);
    return point === undefined ? undefined : mark(point);
  }
  if (value instanceof Range) {
    const at = placeOf(number, value.length);
    return at === undefined ? undefined : value.at(at);
  }
  const items = isList(value) ? value : value instanceof Tuple ? value.items : undefined;
  return items && placeIn(items, number);
}

function isHashable(value: Value): boolean {
  return !isList(value) && !(value instanceof Dict);
}

function placeIn<T>(items: { readonly length: number; readonly [index: number]: T }, index: bigint): T | undefined {
  const at = placeOf(index, items.length);
  return at === undefined ? undefined : items[at];
}

function placeOf(index: bigint, length: number): number | undefined {
  const at = Number(index < 0n ? index + BigInt(length) : index);
  return at >= 0 && at < length ? at : undefined;
}

/** `value[start:stop:step]`. */
export function slice(
  value: Value,
  bounds: { readonly start: Value | undefined; readonly stop: Value | undefined; readonly step: Value | undefined },
  runtime: Runtime,
): Value {
  if (value instanceof Undefined) value.fail();
  const part = (bound: Value | undefined) =>
    bound === null || bound === undefined ? undefined : wholeNumber(bound, 0);
  const [start, stop, step] = [part(bounds.start), part(bounds.stop), part(bounds.step) ?? 1];
  if (step === 0) throw broken("slice step cannot be zero");
  if (typeof value === "string" || value instanceof Markup) {
    const { text, mark } = unmarked(typeof value === "string" ? value : value.text, runtime);
    runtime.budget.work(text.length);
    const made = mark(runtime.budget.text(joinPoints(sliced(codePoints(text), start, stop, step))));
    return value instanceof Markup ? new Markup(made) : made;
  }
  if (value instanceof Range) return slicedRange(value, start, stop, step);
  const items = isList(value) ? value : value instanceof Tuple ? value.items : undefined;
  if (!items) throw broken(`'${typeName(value)}' object can't be sliced`);
  const made = sliced(items, start, stop, step);
  runtime.budget.items(made.length);
  if (typeof made === "string") return made;
  return isList(value) ? made : new Tuple(made);
}

function range(length: number, start: number | undefined, stop: number | undefined, step: number): Range {
  const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
  const clamp = (at: number) => Math.min(high, Math.max(low, at < 0 ? at + length : at));
  const first = start === undefined ? (step > 0 ? low : high) : clamp(start);
  const last = stop === undefined ? (step > 0 ? high : low) : clamp(stop);
  return new Range(first, last, step);
}

function slicedRange(value: Range, start: number | undefined, stop: number | undefined, step: number): Range {
  const places = range(value.length, start, stop, step);
  const at = (place: number) => value.start + place * value.step;
  return new Range(at(places.start), at(places.stop), value.step * step);
}

function sliced<T>(
  items: string | readonly T[],
  start: number | undefined,
  stop: number | undefined,
  step: number,
): string | T[] {
  const places = range(items.length, start, stop, step);
  if (step === 1) return items.slice(places.start, Math.max(places.start, places.stop)) as string | T[];
  const picked = Array.from({ length: places.length }, (_, i) => items[places.start + i * step]);
  return typeof items === "string" ? picked.join("") : (picked as T[]);
}
