/** What stands in the header of a saved session, and the check of one that came out of a file. */
import { type MemoryFacts, parseMemoryFacts } from "../../context/snapshot.js";
import type { TextMessages } from "../../context/text-messages.js";
import type { ChatMessage } from "../../tokenizer/tokenizer.js";
import { SnapshotError } from "../../util/errors.js";
import type { ModelInfo, SessionOptions } from "../api.js";

export interface SnapshotHeader {
  /** Which model it was, and in whose form pages are. */
  readonly model: Pick<ModelInfo, "architecture" | "name" | "fingerprint" | "backend">;
  readonly options: SessionOptions;
  /** By which gates heads keep what; absent where the policy has none. */
  readonly gates?: { readonly name: string; readonly digest: string };
  /** A sampled token that the next step reads first. */
  readonly waiting: number | null;
  readonly promptTokens: number;
  readonly generatedTokens: number;
  /** Tokens that the newest step's last row has read. */
  readonly read: number;
  /** Numbers that follow the header: the last logits, the newest ids for penalties, ids that are read again. */
  readonly logits: number;
  readonly history: number;
  readonly newest: number;
  readonly messages: readonly ChatMessage[];
  /** The text of the conversation that the session has read; null when that is not known. */
  readonly chatText: string | null;
  /** Where the messages of the text lie; null where the policy does not go by them. */
  readonly divided: TextMessages | null;
  /** Tokens of the text, and what is held of them; null: nothing was read yet. */
  readonly text: { readonly seen: number; readonly memory: MemoryFacts } | null;
}

/** @throws SnapshotError */
export function parseHeader(value: unknown): SnapshotHeader {
  const header = new Fields(value, "header");
  const model = header.fields("model");
  const backend = model.text("backend");
  if (backend !== "wasm" && backend !== "reference") throw model.wrong("backend");
  const text = header.get("text") === null ? null : header.fields("text");
  const gates = header.get("gates") === undefined ? undefined : header.fields("gates");
  return {
    model: {
      architecture: model.text("architecture"),
      name: model.orNull("name", () => model.text("name")),
      fingerprint: model.text("fingerprint"),
      backend,
    },
    options: parseOptions(header.fields("options")),
    ...(gates && { gates: { name: gates.text("name"), digest: gates.text("digest") } }),
    waiting: header.orNull("waiting", () => header.count("waiting")),
    promptTokens: header.count("promptTokens"),
    generatedTokens: header.count("generatedTokens"),
    // Sessions that were saved before it was counted do not have it.
    read: header.get("read") === undefined ? 0 : header.count("read"),
    logits: header.count("logits"),
    history: header.count("history"),
    newest: header.count("newest"),
    messages: parseMessages(header),
    chatText: header.orNull("chatText", () => header.text("chatText")),
    divided: parseDivided(header, text === null ? 0 : text.count("seen")),
    text: text && { seen: text.count("seen"), memory: parseMemoryFacts(text.get("memory")) },
  };
}

/** Their values are checked as those of any session. */
function parseOptions(options: Fields): SessionOptions {
  const contextLength = options.orNull("contextLength", () => options.count("contextLength"));
  const source = options.get("source");
  if (source !== null && typeof source !== "string" && !isNumbers(source)) throw options.wrong("source");
  return {
    context: options.text("context"),
    kv: options.text("kv"),
    chunk: options.count("chunk"),
    ...(contextLength !== null && { contextLength }),
    ...(source !== null && { source }),
  };
}

function parseMessages(header: Fields): ChatMessage[] {
  const messages = header.get("messages");
  if (!Array.isArray(messages)) throw header.wrong("messages");
  return messages.map((value: unknown) => {
    const message = new Fields(value, "messages");
    const role = message.text("role");
    if (role !== "system" && role !== "user" && role !== "assistant" && role !== "tool") throw message.wrong("role");
    // Fields that the type does not name are the template's.
    return { ...Object(value), role, content: message.text("content") };
  });
}

/** Sessions of policies that do not go by messages, and those saved before there were any, have none. */
function parseDivided(header: Fields, seen: number): TextMessages | null {
  if ((header.get("divided") ?? null) === null) return null;
  const divided = header.fields("divided");
  const starts = divided.get("starts");
  if (!Array.isArray(starts)) throw divided.wrong("starts");
  let last = -1;
  return {
    system: divided.orNull("system", () => {
      const system = divided.fields("system");
      const range = { start: system.count("start"), end: system.count("end") };
      if (range.end <= range.start || range.end > seen) throw system.wrong("end");
      return range;
    }),
    starts: starts.map((value: unknown) => {
      const start = new Fields(value, "starts");
      // Sessions that were saved before turns were told do not say it: there each message goes by itself.
      const [at, answer, turn = true] = [start.count("at"), start.get("answer"), start.get("turn")];
      // A first token that waits to be read stands where the text that was read ends.
      if (at <= last || at > seen) throw start.wrong("at");
      if (typeof answer !== "boolean") throw start.wrong("answer");
      if (typeof turn !== "boolean") throw start.wrong("turn");
      last = at;
      return { at, answer, turn };
    }),
  };
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === "number");
}

/** The fields of an object out of a file. */
class Fields {
  private readonly values: ReadonlyMap<string, unknown>;

  constructor(
    value: unknown,
    private readonly name: string,
  ) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw this.wrong();
    this.values = new Map(Object.entries(value));
  }

  get(key: string): unknown {
    return this.values.get(key);
  }

  fields(key: string): Fields {
    return new Fields(this.get(key), key);
  }

  orNull<V>(key: string, read: () => V): V | null {
    return this.get(key) === null ? null : read();
  }

  text(key: string): string {
    const value = this.get(key);
    if (typeof value === "string") return value;
    throw this.wrong(key);
  }

  /** A whole number of at least 0. */
  count(key: string): number {
    const value = this.get(key);
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
    throw this.wrong(key);
  }

  wrong(key?: string): SnapshotError {
    const place = key === undefined ? this.name : `${this.name}.${key}`;
    return new SnapshotError(`The header of the saved session is damaged at "${place}".`, { place });
  }
}
