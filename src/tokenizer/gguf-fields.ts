/** Reading a tokenizer's GGUF metadata: each key with the type it must have, and errors that name the key. */
import { FormatError } from "../util/errors.js";
import { nameOf } from "./json-fields.js";
import type { Vocabulary } from "./vocabulary.js";

export class GgufFields {
  private readonly metadata: ReadonlyMap<string, unknown>;

  constructor(metadata: ReadonlyMap<string, unknown>) {
    this.metadata = metadata;
  }

  text(key: string): string | undefined {
    const value = this.metadata.get(key);
    if (value === undefined || typeof value === "string") return value;
    throw new FormatError(`${key} must be a text; found ${nameOf(value)}.`);
  }

  flag(key: string): boolean | undefined {
    const value = this.metadata.get(key);
    if (value === undefined || typeof value === "boolean") return value;
    throw new FormatError(`${key} must be true or false; found ${nameOf(value)}.`);
  }

  /** A list of texts, which must be there. */
  texts(key: string): readonly string[] {
    const value = this.metadata.get(key);
    if (value === undefined) throw new FormatError(`The tokenizer is incomplete: ${key} is missing.`);
    if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
    throw new FormatError(`${key} must be a list of texts; found ${nameOf(value)}.`);
  }

  /** A list of numbers, one for each token, if it is there. */
  numbers(key: string, tokens: number): ArrayLike<number> | undefined {
    const value = this.metadata.get(key);
    if (value === undefined) return undefined;
    const list = numberList(value);
    if (!list) throw new FormatError(`${key} must be a list of numbers; found ${nameOf(value)}.`);
    if (list.length !== tokens) {
      throw new FormatError(`${key} has ${list.length} entries for ${tokens} tokens; the file is damaged.`, {
        entries: list.length,
        tokens,
      });
    }
    return list;
  }

  /** A list of bytes, if it is there. */
  bytes(key: string): Uint8Array | undefined {
    const value = this.metadata.get(key);
    if (value === undefined) return undefined;
    const list = numberList(value);
    if (!list) throw new FormatError(`${key} must be a list of bytes; found ${nameOf(value)}.`);
    return Uint8Array.from(list);
  }

  /** The id of a special token. Files in use name ids that don't exist (all bits set for "none"): those are none. */
  id(key: string, vocabulary: Vocabulary): number | undefined {
    const value = this.metadata.get(key);
    if (value === undefined) return undefined;
    const id = typeof value === "bigint" ? Number(value) : value;
    if (typeof id !== "number") throw new FormatError(`${key} must be a token id; found ${nameOf(value)}.`);
    return vocabulary.texts[id] === undefined ? undefined : id;
  }
}

function numberList(value: unknown): ArrayLike<number> | undefined {
  if (value instanceof Float32Array || value instanceof Int32Array || value instanceof Float64Array) return value;
  if (value instanceof Uint32Array || value instanceof Uint8Array || value instanceof Int8Array) return value;
  if (Array.isArray(value) && value.every((item) => typeof item === "number")) return value;
  return undefined;
}
