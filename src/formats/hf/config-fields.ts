/**
 * Typed reading of the fields of a config.json: null counts as absent, and every error names the field. Remembers which were
 * asked for.
 */
import { FormatError, UnsupportedError } from "../../util/errors.js";
import { isObject, type JsonObject } from "../json-file.js";

export class ConfigFields {
  private readonly asked = new Set<string>();

  constructor(
    private readonly config: JsonObject,
    private readonly location: string,
    /** What stands before a field's name in errors: "rope_scaling.". */
    private readonly path = "",
  ) {}

  /** Whether the field is there, even as null. */
  has(name: string): boolean {
    this.asked.add(name);
    return Object.hasOwn(this.config, name);
  }

  /** The value of a field that nobody asked for; undefined for others, absent ones and null. */
  unasked(name: string): unknown {
    return this.asked.has(name) || !Object.hasOwn(this.config, name) ? undefined : (this.config[name] ?? undefined);
  }

  /** Undefined for absent and null. */
  value(name: string): unknown {
    return this.has(name) ? (this.config[name] ?? undefined) : undefined;
  }

  /** The first of these names that is there (a field's old and new name), or the first of all. */
  either(...names: [string, ...string[]]): string {
    return names.find((name) => this.value(name) !== undefined) ?? names[0];
  }

  text(name: string, fallback?: string): string {
    const value = this.value(name) ?? fallback;
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

  /** A list of finite numbers. */
  numbers(name: string): number[] {
    const value = this.value(name);
    if (Array.isArray(value) && value.every((n) => Number.isFinite(n))) return value;
    throw this.wrong(name, "a list of numbers");
  }

  /** Refuses what Sluice does not run: absent, the field counts as its class's default. @throws UnsupportedError */
  only(name: string, expected: string | number | boolean | null, fallback = expected): void {
    const value = this.value(name) ?? fallback;
    if (value !== expected) throw this.unsupported(name, JSON.stringify(expected));
  }

  unsupported(name: string, expected: string): UnsupportedError {
    const field = `${this.path}${name}`;
    const found = String(JSON.stringify(this.value(name))).slice(0, 60);
    return new UnsupportedError(`${this.location}: ${field} ${found} is not supported; expected ${expected}.`, {
      field,
    });
  }

  wrong(name: string, expected: string): FormatError {
    const value = this.value(name);
    const found = value === undefined ? "it is missing" : `found ${String(JSON.stringify(value)).slice(0, 60)}`;
    const field = `${this.path}${name}`;
    return new FormatError(`${this.location}: "${field}" must be ${expected}; ${found}.`, { field });
  }
}
