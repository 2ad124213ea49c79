// Arguments of the public calls: right ones, and values of every kind that JavaScript has.
import { hostileScalar } from "../hostile-values.mjs";

/** What the hostile objects throw themselves; a call may pass it on. */
export class Thrown extends Error {
  name = "Thrown";
}
const throws = () => {
  throw new Thrown("thrown by an argument");
};

/** Right values by option, so that wrong ones meet right ones. */
const GENERATE = {
  maxTokens: [0, 1, 3],
  temperature: [0, 0.8, 2],
  topK: [0, 1, 40],
  topP: [0.5, 1],
  minP: [0, 0.05],
  repetitionPenalty: [1, 1.2],
  presencePenalty: [0, 1],
  frequencyPenalty: [0, 1],
  penaltyWindow: [0, 64],
  logitBias: [{ 5: 3 }, {}],
  seed: [1, 0],
  stop: [["a"], ["the", "b"], [], "a", ["</s>"]],
  ignoreEnd: [true, false],
  logprobs: [0, 1, 5],
  signal: [],
  onPrefill: [() => {}],
};
const OPTIONS = {
  generate: GENERATE,
  chat: GENERATE,
  score: { batch: [1, 4], every: [1, 64], signal: [] },
  session: {
    context: ["full", "recent:8", "sinks:2,recent:6", "recompute:8"],
    kv: ["f32", "q8/f16"],
    contextLength: [1, 20, 64, 1e6],
    chunk: [1, 4, 256],
    source: ["a"],
  },
  load: {
    backend: ["reference"],
    threads: [1, 2],
    wasmMemoryBytes: [2 ** 24],
    precise: [true],
    wide: [false],
    thread: [false],
    memoryLimitBytes: [2 ** 28, 100],
    onProgress: [() => {}],
    signal: [],
  },
  encode: { addSpecial: [true, false], parseSpecial: [true, false], check: [() => {}], guarded: [true] },
  decode: { special: [true, false] },
};
const UNKNOWN = [
  "max_tokens",
  "temprature",
  "contxt",
  "topk",
  "Stop",
  "__proto__",
  "constructor",
  "then",
  "length",
  "signals",
  "",
  "0",
];
export function anyOptions(random, call) {
  if (random.chance(0.1)) return anything(random);
  const known = OPTIONS[call];
  // Half of the calls are right, so that what comes behind them is reached.
  const odd = random.pick([0, 0, 0.15, 0.5]);
  const made = {};
  for (const name of Object.keys(known)) {
    if (!random.chance(0.25)) continue;
    const right = known[name].length > 0 ? random.pick(known[name]) : new AbortController().signal;
    made[name] = !random.chance(odd) ? right : name === "signal" ? aSignal(random) : anything(random);
  }
  if (random.chance(odd / 2)) put(made, random.pick(UNKNOWN), { value: anything(random), writable: true });
  if (random.chance(odd / 4)) put(made, random.pick(Object.keys(known)), { get: throws });
  if (random.chance(0.03))
    return new Proxy(made, { get: (target, key) => (random.chance(0.1) ? throws() : target[key]) });
  if (random.chance(0.03)) return Object.freeze(made);
  if (random.chance(0.03)) return Object.assign(Object.create(null), made);
  if (call !== "load" && made.maxTokens === undefined && random.chance(0.7)) made.maxTokens = 3;
  if (call === "session" || call === "score" || call === "encode" || call === "decode") delete made.maxTokens;
  return made;
}

function put(object, name, descriptor) {
  Object.defineProperty(object, name, { enumerable: true, configurable: true, ...descriptor });
}

function aSignal(random) {
  const controller = new AbortController();
  const kind = random.below(6);
  if (kind === 0) controller.abort();
  if (kind === 1) setTimeout(() => controller.abort(), random.below(3));
  if (kind === 2) return controller;
  if (kind === 3)
    return random.pick([
      { aborted: true },
      { aborted: false },
      { addEventListener: throws },
      Object.create(AbortSignal.prototype),
    ]);
  if (kind === 4) return anything(random);
  return controller.signal;
}

/** A value of any kind that JavaScript has. */
export function anything(random, depth = 0) {
  const kind = random.below(depth > 2 ? 9 : 22);
  if (kind < 6) return hostileScalar(random);
  const inner = () => anything(random, depth + 1);
  return [
    () => undefined,
    () => Symbol("s"),
    () => 10n ** 20n,
    () => [],
    () => ({}),
    () => random.times(3, inner),
    () => ({ [String(hostileScalar(random))]: inner(), role: "user", content: inner() }),
    () => new Map([[1, 2]]),
    () => new Set(["a"]),
    () => new Date(Number.NaN),
    () => () => inner,
    throws_,
    () => /a/,
    () => Promise.resolve("a"),
    () =>
      random.pick([
        new Uint8Array(20),
        new Float64Array([1.5, Number.NaN]),
        new ArrayBuffer(8),
        new DataView(new ArrayBuffer(8)),
        new SharedArrayBuffer(8),
        Buffer.from("SLUICESS"),
      ]),
    () => cyclic(),
    () => new Proxy({}, { get: throws, has: throws, ownKeys: throws, getOwnPropertyDescriptor: throws }),
    () =>
      random.pick([
        { length: 2 ** 31 },
        { length: -1 },
        { length: 3, 0: 1, 1: 2, 2: 3 },
        { length: "2" },
        { length: Number.NaN },
        { length: 1e15 },
        { toString: throws, valueOf: throws },
        { [Symbol.iterator]: throws },
        { toJSON: throws },
        new (class extends Array {})(3),
        Object.create(null),
      ]),
    () =>
      random.pick([
        Array(130_000).fill("ab"),
        Array(200_000).fill(5),
        "a".repeat(200_000),
        Array(3),
        new WeakMap(),
        globalThis,
        new Error("x"),
        new String("a"),
        new Number(3),
      ]),
  ][kind - 6 > 18 ? 0 : kind - 6 < 0 ? 0 : (kind - 6) % 19]();
}

function throws_() {
  return {
    get maxTokens() {
      return throws();
    },
    get role() {
      return throws();
    },
    get length() {
      return throws();
    },
  };
}

function cyclic() {
  const value = { role: "user", content: "a" };
  value.self = value;
  value.list = [value];
  return value;
}
