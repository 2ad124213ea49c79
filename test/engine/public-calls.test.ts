/** Wrong arguments of every public call: the same typed error in place and in a thread, before anything is done. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GenerateOptions, LoadOptions, Model, Part, Session } from "../../src/engine/api.js";
import { load } from "../../src/engine/loading/load.js";
import { ArgumentError, PolicyError, SluiceError } from "../../src/util/errors.js";
import { tinyFile } from "../support/tiny-gguf.js";
import { loadAs, MODES } from "./channel-thread.js";

/** A call as a JavaScript program may make it, whatever the types say. */
function call(target: object, name: string, ...args: unknown[]): unknown {
  return Reflect.apply(Reflect.get(target, name), target, args);
}

function withUndefined<Options extends object>(options: Options, ...names: readonly string[]): Options {
  for (const name of names) Object.defineProperty(options, name, { value: undefined, enumerable: true });
  return options;
}

const file = tinyFile();
const models = new Map<string, Model>();
beforeAll(async () => {
  for (const mode of MODES) models.set(mode, await loadAs(mode, file));
});
afterAll(async () => {
  for (const model of models.values()) await model.dispose();
});

function modelOf(mode: string): Model {
  const model = models.get(mode);
  if (!model) throw new Error(mode);
  return model;
}

async function textOf(parts: AsyncIterable<Part>): Promise<string> {
  let text = "";
  for await (const part of parts) text += part.text;
  return text;
}

type Call = (model: Model, session: Session) => unknown;
const generating =
  (options: unknown): Call =>
  (_, session) =>
    call(session, "generate", "a", options);
const scoring =
  (options: unknown): Call =>
  (_, session) =>
    call(session, "score", "a", options);

class Inherited {
  get maxTokens() {
    return 5;
  }
}
const throwing = Object.defineProperty({}, "maxTokens", {
  enumerable: true,
  get() {
    throw new Error("not today");
  },
});
const hostile = new Proxy(
  {},
  {
    ownKeys() {
      throw new Error("no keys");
    },
  },
);

const closed = new Proxy(
  {},
  {
    get() {
      throw new Error("closed");
    },
  },
);
const revoked = Proxy.revocable({}, {});
revoked.revoke();
const given = new Uint8Array(8);
structuredClone(given, { transfer: [given.buffer] });

/** The call, and what its error says in both modes. */
const WRONG: readonly (readonly [string, Call, string | RegExp])[] = [
  [
    "a controller",
    generating({ signal: new AbortController() }),
    "signal must be an AbortSignal; found an AbortController: give its signal.",
  ],
  [
    "a signal of score",
    scoring({ signal: new AbortController() }),
    "signal must be an AbortSignal; found an AbortController: give its signal.",
  ],
  [
    "a signal that does not say how to stop listening",
    generating({ signal: { aborted: false, addEventListener() {} } }),
    "signal must be an AbortSignal; found an Object.",
  ],
  [
    "a signal that nothing can be asked of",
    (model) => call(model, "encode", "a", { signal: Object.create(AbortSignal.prototype) }),
    /^signal must be an AbortSignal; found an AbortSignal/,
  ],
  [
    "a closed proxy as prompt",
    (_, session) => call(session, "generate", closed),
    /could not be read: closed|found a Proxy/,
  ],
  [
    "a revoked proxy as prompt",
    (_, session) => call(session, "score", revoked.proxy),
    /could not be read|found a Proxy/,
  ],
  [
    "a closed proxy as text",
    (model) => call(model, "encode", closed),
    "The text of encode must be a text; found a Proxy.",
  ],
  ["a closed proxy as temperature", generating({ temperature: closed }), /temperature must be .* found a Proxy/],
  ["a closed proxy as signal", scoring({ signal: closed }), "signal must be an AbortSignal; found a Proxy."],
  [
    "a closed proxy as session",
    (model) => call(model, "restore", closed),
    /^A saved session is bytes \(.*\); found object\.$/,
  ],
  ["a revoked proxy as session", (model) => call(model, "restore", revoked.proxy), /^A saved session is bytes/],
  [
    "bytes that were transferred",
    (model) => model.restore(given),
    "A saved session is bytes; found a buffer that was transferred elsewhere, which has none.",
  ],
  ["the buffer of them", (model) => model.restore(given.buffer), /was transferred elsewhere/],
  ["letters in another order", generating({ sotp: "a" }), 'generate has no option "sotp". Did you mean stop?'],
  ["null as signal", generating({ signal: null }), "signal must be an AbortSignal; found null."],
  [
    "no prompt",
    (_, session) => call(session, "generate", undefined),
    "The text of generate must be a text or a list of token ids; found undefined.",
  ],
  ["a number as prompt", (_, session) => call(session, "generate", 5), /found 5/],
  ["a buffer as prompt", (_, session) => call(session, "generate", new ArrayBuffer(4)), /found an ArrayBuffer/],
  [
    "texts in ids",
    (_, session) => call(session, "generate", [1, "2"]),
    'Token ids are whole numbers; generate was given "2" at index 1.',
  ],
  [
    "holes in ids",
    (_, session) => call(session, "generate", new Array(3)),
    "Token ids are whole numbers; generate was given undefined at index 0.",
  ],
  [
    "big integers",
    (_, session) => call(session, "generate", BigInt64Array.of(1n)),
    "Token ids are whole numbers; generate was given 1n at index 0.",
  ],
  [
    "a list that says it is long",
    (_, session) => call(session, "generate", { length: 2 ** 29 }),
    /given undefined at index 0/,
  ],
  ["no length", (_, session) => call(session, "generate", { length: -1 }), /found an Object|found a Object/],
  [
    "unknown ids",
    (_, session) => session.generate([1, 285]),
    "Token id 285 at index 1 is not in the vocabulary: expected 0 to 284.",
  ],
  [
    "unknown ids of score",
    (_, session) => session.score([-1]),
    "Token id -1 at index 0 is not in the vocabulary: expected 0 to 284.",
  ],
  ["options null", generating(null), "The options of generate must be an object; found null."],
  ["options text", generating("warm"), 'The options of generate must be an object; found "warm".'],
  ["options a map", generating(new Map([["maxTokens", 1]])), "The options of generate must be an object; found a Map."],
  ["options a list", generating([1]), "The options of generate must be an object; found an array."],
  ["inherited options", generating(new Inherited()), /plain object; maxTokens is not a field of its own/],
  ["a getter that throws", generating(throwing), "The arguments of generate could not be read: not today"],
  ["a proxy that throws", generating(hostile), "The arguments of generate could not be read: no keys"],
  ["max_tokens", generating({ max_tokens: 5 }), 'generate has no option "max_tokens". Did you mean maxTokens?'],
  ["max_new_tokens", generating({ max_new_tokens: 5 }), /Did you mean maxTokens\?/],
  ["temprature", generating({ temprature: 1 }), 'generate has no option "temprature". Did you mean temperature?'],
  ["top_p", generating({ top_p: 1 }), /Did you mean topP\?/],
  ["stop_sequences", generating({ stop_sequences: ["a"] }), /Did you mean stop\?/],
  ["something else", generating({ grammar: "x" }), /generate has no option "grammar"\. It has maxTokens, temperature,/],
  [
    "an option of another call",
    scoring({ maxTokens: 5 }),
    /score has no option "maxTokens"\. It has batch, every, signal\./,
  ],
  ["maxTokens text", generating({ maxTokens: "5" }), 'maxTokens must be a whole number of at least 0; found "5".'],
  ["maxTokens null", generating({ maxTokens: null }), "maxTokens must be a whole number of at least 0; found null."],
  ["maxTokens half", generating({ maxTokens: 1.5 }), /found 1.5/],
  ["maxTokens NaN", generating({ maxTokens: Number.NaN }), /found NaN/],
  ["temperature text", generating({ temperature: "0.5" }), 'temperature must be a number from 0 to 100; found "0.5".'],
  [
    "temperature NaN",
    generating({ temperature: Number.NaN }),
    "temperature must be a number from 0 to 100; found NaN.",
  ],
  ["temperature null", generating({ temperature: null }), /temperature must be .*; found null/],
  ["topK half", generating({ topK: 0.5 }), /topK must be an integer/],
  ["topP 0", generating({ topP: 0 }), /topP must be a number above 0/],
  ["seed text", generating({ seed: "1" }), /seed must be an integer/],
  [
    "a map of biases",
    generating({ logitBias: new Map() }),
    "logitBias must be an object of ids and numbers; found a Map: give Object.fromEntries(map).",
  ],
  [
    "a list of biases",
    generating({ logitBias: [1] }),
    "logitBias must be an object of ids and numbers; found an array.",
  ],
  ["a bias of no id", generating({ logitBias: { the: 1 } }), /ids must be integers/],
  ["a bias text", generating({ logitBias: { 5: "1" } }), /found "1"/],
  ["stop 5", generating({ stop: 5 }), "stop must be a text or a list of texts; found 5."],
  ["stop [5]", generating({ stop: [5] }), "stop must be a text or a list of texts; found 5."],
  ["stop null", generating({ stop: null }), "stop must be a text or a list of texts; found null."],
  ["empty stop", generating({ stop: "" }), "A stop string must be a text with at least one character."],
  [
    "many stops",
    generating({ stop: Array.from({ length: 130_000 }, (_, i) => `${i}`) }),
    "stop must be at most 1,024 texts; found 130,000.",
  ],
  ["long stops", generating({ stop: ["a".repeat(1_000_001)] }), /at most 1,000,000 characters/],
  ["ignoreEnd text", generating({ ignoreEnd: "false" }), 'ignoreEnd must be true or false; found "false".'],
  ["logprobs true", generating({ logprobs: true }), "logprobs must be a whole number of at least 0; found true."],
  ["onPrefill text", generating({ onPrefill: "x" }), 'onPrefill must be a function; found "x".'],
  [
    "chat null",
    (_, session) => call(session, "chat", null),
    "chat takes a list of messages { role, content }; found null.",
  ],
  ["chat a message", (_, session) => call(session, "chat", { role: "user", content: "a" }), /takes a list of messages/],
  [
    "chat a number",
    (_, session) => call(session, "chat", [5]),
    "Message 0 must be an object { role, content }; found 5.",
  ],
  [
    "chat without content",
    (_, session) => call(session, "chat", [{ role: "user" }]),
    "The content of message 0 must be a text or null; found undefined.",
  ],
  [
    "chat parts",
    (_, session) => call(session, "chat", [{ role: "user", content: [{ type: "text" }] }]),
    /must be a text or null; found an array/,
  ],
  [
    "chat role",
    (_, session) => call(session, "chat", [{ role: "human", content: "a" }]),
    'The role of message 0 must be "system" or "user" or "assistant" or "tool"; found "human".',
  ],
  [
    "chat options",
    (_, session) => call(session, "chat", "a", { maxTokns: 1 }),
    'chat has no option "maxTokns". Did you mean maxTokens?',
  ],
  ["batch 0", scoring({ batch: 0 }), "batch must be a whole number of at least 1; found 0."],
  ["every text", scoring({ every: "64" }), 'every must be a whole number of at least 1; found "64".'],
  [
    "score nothing",
    (_, session) => call(session, "score", undefined),
    /score must be a text or a list of token ids; found undefined/,
  ],
  ["encode null", (model) => call(model, "encode", null), "The text of encode must be a text; found null."],
  [
    "encode option",
    (model) => call(model, "encode", "a", { addSpecials: false }),
    'encode has no option "addSpecials". Did you mean addSpecial?',
  ],
  [
    "encode option kind",
    (model) => call(model, "encode", "a", { addSpecial: 0 }),
    "addSpecial must be true or false; found 0.",
  ],
  ["encode signal", (model) => call(model, "encode", "a", { signal: 1 }), "signal must be an AbortSignal; found 1."],
  [
    "decode null",
    (model) => call(model, "decode", null),
    "decode takes token ids as a list of whole numbers; found null.",
  ],
  ["decode halves", (model) => model.decode([0.5]), "Token ids are whole numbers; decode was given 0.5 at index 0."],
  ["decode option", (model) => call(model, "decode", [1], { speciall: true }), /Did you mean special\?/],
  [
    "tokenTexts text",
    (model) => call(model, "tokenTexts", "ab"),
    'tokenTexts takes token ids as a list of whole numbers; found "ab".',
  ],
  [
    "renderChat null",
    (model) => call(model, "renderChat", null),
    "renderChat takes a list of messages { role, content }; found null.",
  ],
  [
    "plan option",
    (model) => call(model, "plan", { contxt: "full" }),
    'plan has no option "contxt". Did you mean context?',
  ],
  ["plan null", (model) => call(model, "plan", null), "The options of plan must be an object; found null."],
  ["restore null", (model) => call(model, "restore", null), /^A saved session is bytes \(.*\); found null\.$/],
  ["restore a list", (model) => call(model, "restore", [1]), /found an array/],
  ["session null", (model) => call(model, "session", null), "The options of session must be an object; found null."],
  [
    "session contxt",
    (model) => call(model, "session", { contxt: "full" }),
    'session has no option "contxt". Did you mean context?',
  ],
  ["session n_ctx", (model) => call(model, "session", { n_ctx: 5 }), /Did you mean contextLength\?/],
  ["session context", (model) => call(model, "session", { context: 5 }), "context must be a text; found 5."],
  [
    "session length",
    (model) => call(model, "session", { contextLength: "64" }),
    /contextLength must be a whole number from 1 to 2,147,483,647; found "64"/,
  ],
  [
    "session chunk",
    (model) => call(model, "session", { chunk: 4097 }),
    "chunk must be a whole number from 1 to 4,096; found 4097.",
  ],
  ["session kv", (model) => model.session({ kv: "q5" }), /cache type is one of/],
];

async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    const made = call();
    if (made instanceof Promise) await made;
    return undefined;
  } catch (error) {
    return error;
  }
}

describe.each(MODES)("%s", (mode) => {
  it.each(WRONG)("refuses %s at the call, and goes on", async (_, call, message) => {
    const session = modelOf(mode).session();
    const error = await errorOf(() => call(modelOf(mode), session));
    expect(error).toBeInstanceOf(ArgumentError);
    if (typeof message === "string") expect(error).toMatchObject({ message });
    else expect(error).toMatchObject({ message: expect.stringMatching(message) });
    expect(await textOf(session.generate("the", { temperature: 0, maxTokens: 3, ignoreEnd: true }))).not.toBe("");
    await session.dispose();
  });

  it("takes options that are undefined as not given, and every list of ids", async () => {
    const session = modelOf(mode).session(withUndefined({}, "context", "nothing"));
    const options = { temperature: 0, maxTokens: 4, ignoreEnd: true };
    const expected = await textOf(session.generate([1, 270, 265], options));
    const none = withUndefined({ ...options }, "max_tokens", "seed", "signal", "stop");
    const lists: ArrayLike<number>[] = [
      Int32Array.of(9, 1, 270, 265).subarray(1),
      Uint16Array.of(1, 270, 265),
      Float64Array.of(1, 270, 265),
      { length: 3, 0: 1, 1: 270, 2: 265 },
      new Int32Array(Int32Array.of(1, 270, 265).buffer.slice(0)),
    ];
    for (const ids of lists) {
      await session.reset();
      expect(await textOf(session.generate(ids, none))).toBe(expected);
    }
    const own = [1, 270, 265];
    await session.reset();
    const later = session.generate(own, options);
    own.fill(3);
    expect(await textOf(later)).toBe(expected);
  });

  it("takes one stop string as a text, and messages without content", async () => {
    const model = modelOf(mode);
    const whole = await textOf(model.session().generate("the", { temperature: 0, maxTokens: 20, ignoreEnd: true }));
    const stop = whole.slice(4, 6);
    const cut = model.session().generate("the", { temperature: 0, maxTokens: 20, ignoreEnd: true, stop });
    expect(await textOf(cut)).toBe(whole.slice(0, whole.indexOf(stop)));
    const messages = [
      { role: "user", content: "the" },
      { role: "assistant", content: null },
      { role: "user", content: "an" },
    ] as const;
    const said = messages.map(({ role, content }) => ({ role, content: content ?? "" }));
    expect(await model.renderChat(messages)).toBe(await model.renderChat(said));
    const session = model.session({ contextLength: 400 });
    await textOf(session.chat(messages, { temperature: 0, maxTokens: 2 }));
    expect(session.messages.slice(0, 3)).toEqual(said);
  });

  it("keeps fields of messages that are the template's, also when saved, and refuses what is no data", async () => {
    const model = modelOf(mode);
    const session = model.session({ contextLength: 400 });
    const message = { role: "tool" as const, content: "a", name: "clock", tool_calls: [{ id: 1 }] };
    await textOf(session.chat([message], { temperature: 0, maxTokens: 2 }));
    const again = await model.restore(await session.save());
    expect(again.messages[0]).toEqual(message);
    expect(again.messages).toEqual(session.messages);
    const endless: unknown[] = [];
    endless.push(endless);
    const error = await errorOf(() => session.chat([Object.assign({ endless }, message)]));
    expect(error).toMatchObject({ code: "bad_argument", message: "Message 0 has fields that are not plain data." });
  });

  it("is free again after everything that may go wrong on the way", async () => {
    const session = modelOf(mode).session({ chunk: 2, contextLength: 400 });
    const options: GenerateOptions = { temperature: 0, maxTokens: 5, ignoreEnd: true };
    const own = new Error("mine");
    const onPrefill = () => {
      throw own;
    };
    expect(await errorOf(() => textOf(session.generate("the the", { ...options, onPrefill })))).toBe(own);
    expect(await textOf(session.generate("a", options))).not.toBe("");
    expect(await errorOf(() => textOf(session.chat("the the", { ...options, onPrefill })))).toBe(own);
    for await (const _ of session.generate("a", options)) break;
    const thrown = session.generate("a", options);
    await thrown.next();
    expect(await errorOf(() => thrown.throw(own))).toBe(own);
    const first = session.generate("a", options);
    const second = session.generate("a", options);
    await first.next();
    expect(await errorOf(() => second.next())).toMatchObject({ message: expect.stringMatching(/busy/) });
    expect(await errorOf(() => session.reset())).toMatchObject({ message: expect.stringMatching(/busy/) });
    expect(await errorOf(() => session.save())).toMatchObject({ message: expect.stringMatching(/busy/) });
    await first.return();
    await session.generate("never asked").return();
    expect(await textOf(session.generate("a", options))).not.toBe("");
    expect(await textOf(session.chat("a", options))).not.toBe("");
  });
});

describe("load", () => {
  const WRONG_LOADS: readonly (readonly [string, unknown, unknown, string | RegExp])[] = [
    [
      "no model",
      undefined,
      {},
      /A model is a file, a folder, a URL or hf:user\/repo, given as a text; found undefined/,
    ],
    ["an empty name", "", {}, /found ""/],
    ["options null", file, null, "The options of load must be an object; found null."],
    ["an unknown option", file, { nThreads: 2 }, 'load has no option "nThreads". Did you mean threads?'],
    ["a backend", file, { backend: "gpu" }, 'backend must be "wasm" or "reference"; found "gpu".'],
    ["threads", file, { threads: "4" }, 'threads must be a whole number of at least 1; found "4".'],
    ["a limit", file, { memoryLimitBytes: -1 }, "memoryLimitBytes must be a positive number; found -1."],
    ["a switch", file, { precise: "false" }, 'precise must be true or false; found "false".'],
    ["thread", file, { thread: 0 }, "thread must be true or false; found 0."],
    ["a callback", file, { onProgress: {} }, /onProgress must be a function/],
    ["a controller", file, { signal: new AbortController() }, /found an AbortController: give its signal/],
  ];

  it.each(WRONG_LOADS)("refuses %s", async (_, reference, options, message) => {
    for (const mode of ["load", ...MODES] as const) {
      const attempt = () =>
        mode === "load"
          ? call({ load }, "load", reference, options)
          : call({ loadAs }, "loadAs", mode, reference, options);
      if (mode === "in a thread" && typeof reference !== "string") continue;
      const error = await errorOf(attempt);
      expect(error).toBeInstanceOf(ArgumentError);
      if (typeof message === "string") expect(error).toMatchObject({ message });
      else expect(error).toMatchObject({ message: expect.stringMatching(message) });
    }
  });

  it.each(MODES)("rejects with what onProgress throws, %s", async (mode) => {
    const own = new Error("mine");
    const options: LoadOptions = {
      threads: 1,
      onProgress: () => {
        throw own;
      },
    };
    expect(await errorOf(() => loadAs(mode, file, options))).toBe(own);
  });
});

it("a policy that cannot be read is a PolicyError in both modes", async () => {
  for (const mode of MODES) {
    const error = await errorOf(() => modelOf(mode).session({ context: "recnt:5" }));
    expect(error).toBeInstanceOf(PolicyError);
    expect(error).toBeInstanceOf(SluiceError);
  }
});
