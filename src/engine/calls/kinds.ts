/** Kinds of values that options have: each checks a value and says what was expected and what was found. */
import { ArgumentError } from "../../util/errors.js";
import { counted, formatCount } from "../../util/figures.js";

/** @throws ArgumentError naming the option */
export type Check = (value: unknown, option: string) => void;

const LONGEST_SHOWN = 40;

/** A value as an error names it. */
export function shown(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > LONGEST_SHOWN ? `${value.slice(0, LONGEST_SHOWN)}…` : value);
  }
  if (typeof value === "bigint") return `${value}n`;
  if (value === null || typeof value !== "object") return typeof value === "function" ? "a function" : String(value);
  const name = nameOf(value);
  return `${/^[AEIOU]/.test(name) ? "an" : "a"} ${name === "Array" ? "array" : name}`;
}

/** Of what is not ours reading anything may fail: a proxy does as it likes, or was revoked. */
function nameOf(value: object): string {
  try {
    const tag = Object.prototype.toString.call(value).slice("[object ".length, -1);
    const made: unknown = Reflect.get(value, "constructor");
    const isOwn = tag === "Object" && typeof made === "function" && made !== Object && made.name !== "";
    return isOwn ? String(made.name) : tag;
  } catch {
    return "Proxy";
  }
}

export function wrong(option: string, expected: string, value: unknown): ArgumentError {
  return new ArgumentError(`${option} must be ${expected}; found ${shown(value)}.`, { option });
}

function kind(expected: string, fits: (value: unknown) => boolean): Check {
  return (value, option) => {
    if (!fits(value)) throw wrong(option, expected, value);
  };
}

export const isText = kind("a text", (value) => typeof value === "string");
export const isSwitch = kind("true or false", (value) => typeof value === "boolean");
export const isFunction = kind("a function", (value) => typeof value === "function");
export const isPositive = kind("a positive number", (value) => typeof value === "number" && value > 0);

export function isWhole(least: number, most = Number.MAX_SAFE_INTEGER): Check {
  const range =
    most === Number.MAX_SAFE_INTEGER
      ? `of at least ${formatCount(least)}`
      : `from ${formatCount(least)} to ${formatCount(most)}`;
  return kind(
    `a whole number ${range}`,
    (value) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most,
  );
}

/** A whole number, or Infinity for no end. */
export const isCount: Check = (value, option) => {
  if (value !== Number.POSITIVE_INFINITY) isWhole(0)(value, option);
};

export function isOneOf(...values: readonly string[]): Check {
  return kind(values.map((value) => `"${value}"`).join(" or "), (value) => values.some((one) => one === value));
}

const LISTENING = ["addEventListener", "removeEventListener"];

/** A field of what is not ours: of an object that only looks like an AbortSignal, reading one may fail. */
function read(value: object, name: string): unknown {
  try {
    return Reflect.get(value, name);
  } catch {
    return undefined;
  }
}

/** An AbortSignal of any realm. */
export const isSignal: Check = (value, option) => {
  if (typeof value === "object" && value !== null) {
    if (
      typeof read(value, "aborted") === "boolean" &&
      LISTENING.every((name) => typeof read(value, name) === "function")
    )
      return;
    if ("signal" in value && "abort" in value) {
      throw new ArgumentError(`${option} must be an AbortSignal; found an AbortController: give its signal.`, {
        option,
      });
    }
  }
  throw wrong(option, "an AbortSignal", value);
};

/** Ids and what is added to their logits; that the ids are known is checked with the ranges. */
export const isBias: Check = (value, option) => {
  if (Object.prototype.toString.call(value) === "[object Map]") {
    throw new ArgumentError(
      `${option} must be an object of ids and numbers; found a Map: give Object.fromEntries(map).`,
      {
        option,
      },
    );
  }
  if (Object.prototype.toString.call(value) !== "[object Object]")
    throw wrong(option, "an object of ids and numbers", value);
};

const MOST_STOPS = 1024;
const MOST_STOP_CHARACTERS = 1_000_000;

/** One stop string or a list of them. */
export const isStop: Check = (value, option) => {
  if (typeof value !== "string" && !Array.isArray(value)) throw wrong(option, "a text or a list of texts", value);
  const stops: readonly unknown[] = typeof value === "string" ? [value] : value;
  if (stops.length > MOST_STOPS) {
    throw new ArgumentError(
      `${option} must be at most ${counted(MOST_STOPS, "text")}; found ${formatCount(stops.length)}.`,
      { option },
    );
  }
  let characters = 0;
  for (let i = 0; i < stops.length; i++) {
    const stop = stops[i];
    if (typeof stop !== "string") throw wrong(option, "a text or a list of texts", stop);
    if (stop === "") throw new ArgumentError("A stop string must be a text with at least one character.", { option });
    characters += stop.length;
  }
  if (characters <= MOST_STOP_CHARACTERS) return;
  throw new ArgumentError(
    `${option} must have at most ${counted(MOST_STOP_CHARACTERS, "character")} in all; found ${formatCount(characters)}.`,
    {
      option,
    },
  );
};
