/** Typed reading of the fields of a config.json: null counts as absent, and every error names the field. */
import { FormatError } from "../util/errors.js";
import { isObject, type JsonObject } from "./json-file.js";

export class ConfigFields {
  constructor(
    private readonly config: JsonObject,
    private readonly location: string,
    /** What stands before a field's name in errors: "rope_scaling.". */
    private readonly path = "",
  ) {}

  /** Whether the field is there, even as null. */
  has(name: string): boolean {
    return Object.hasOwn(this.config, name);
  }

  /** Undefined for absent and null. */
  value(name: string): unknown {
    return this.has(name) ? (this.config[name] ?? undefined) : undefined;
  }

  text(name: string): string {
    const value = this.value(name);
    if (typeof value === "string") return value;
    throw this.wrong(name, "a string");
  }

  flag(name: string): boolean | undefined {
    const value = this.value(name);
    if (value === undefined || typeof value === "boolean") return value;
    throw this.wrong(name, "true or false");
  }

  object(name: string): JsonObject | undefined {
    const value = this.value(name);
    if (value === undefined || isObject(value)) return value;
    throw this.wrong(name, "an object");
  }

  /** Fields of a nested object. */
  nested(name: string): ConfigFields | undefined {
    const object = this.object(name);
    return object && new ConfigFields(object, this.location, `${this.path}${name}.`);
  }

  /** A number above 0. */
  positive(name: string, fallback?: number): number {
    const value = this.value(name) ?? fallback;
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    throw this.wrong(name, "a number above 0");
  }

  /** A whole number in [1, 2^31). */
  count(name: string, fallback?: number): number {
    const value = this.whole(name, fallback);
    if (value >= 1) return value;
    throw this.wrong(name, "a positive whole number");
  }

  /** A whole number in [0, 2^31). */
  whole(name: string, fallback?: number): number {
    const value = this.value(name) ?? fallback;
    if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 31) return value;
    throw this.wrong(name, "a whole number");
  }

  /** A token id or a list of them; empty when absent. */
  ids(name: string): number[] {
    const value = this.value(name) ?? [];
    const ids = Array.isArray(value) ? value : [value];
    if (ids.every((id) => Number.isInteger(id) && id >= 0 && id < 2 ** 31)) return ids;
    throw this.wrong(name, "a token id or a list of token ids");
  }

  wrong(name: string, expected: string): FormatError {
    const value = this.value(name);
    const found = value === undefined ? "it is missing" : `found ${String(JSON.stringify(value)).slice(0, 60)}`;
    const field = `${this.path}${name}`;
    return new FormatError(`${this.location}: "${field}" must be ${expected}; ${found}.`, { field });
  }
}
