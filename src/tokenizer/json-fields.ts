/** Reading unknown JSON (tokenizer.json and its side files) field by field, with errors that name the field. */
import { FormatError } from "../util/errors.js";

export type Fields = Readonly<Record<string, unknown>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A field that must be an object. @throws FormatError */
export function fieldsOf(value: unknown, name: string): Fields {
  if (isFields(value)) return value;
  throw new FormatError(`${name} must be a JSON object; found ${nameOf(value)}.`);
}

/** A field that may be absent or null. */
export function optionalFields(value: unknown, name: string): Fields | undefined {
  return value === undefined || value === null ? undefined : fieldsOf(value, name);
}

/** A field that must be a list. @throws FormatError */
export function listOf(value: unknown, name: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new FormatError(`${name} must be a list; found ${nameOf(value)}.`);
}

/** A text, or undefined for anything else. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** A special token is named by its text, or by an object with `content`. */
export function tokenName(value: unknown): string | undefined {
  return textOf(isFields(value) ? value.content : value);
}

/** What a value is, for messages. */
export function nameOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : `a ${typeof value}`;
}
