/** Typed reading of a checkpoint's metadata under the keys of its architecture. */
import type { Checkpoint, MetadataValue } from "../formats/checkpoint.js";
import { FormatError } from "../util/errors.js";

export class ModelMetadata {
  constructor(readonly checkpoint: Checkpoint) {}

  /** The value of `<architecture>.<key>`. */
  private value(key: string): MetadataValue | undefined {
    return this.checkpoint.metadata.get(this.full(key));
  }

  private full(key: string): string {
    return `${this.checkpoint.architecture}.${key}`;
  }

  has(key: string): boolean {
    return this.value(key) !== undefined;
  }

  /** A number. @throws FormatError when it is absent (and there is no fallback) or not a finite number */
  number(key: string, fallback?: number): number {
    const value = this.value(key);
    if (value === undefined && fallback !== undefined) return fallback;
    if (typeof value === "number" && Number.isFinite(value)) return value;
    throw this.wrong(key, "a number", value);
  }

  /** A whole number in [1, 2^31). */
  count(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (Number.isInteger(value) && value >= 1 && value < 2 ** 31) return value;
    throw this.wrong(key, "a positive whole number", value);
  }

  /** A whole number in [0, below). */
  index(key: string, below: number, fallback: number): number {
    const value = this.number(key, fallback);
    if (Number.isInteger(value) && value >= 0 && value < below) return value;
    throw this.wrong(key, `a whole number from 0 to ${below - 1}`, value);
  }

  /** A positive number; 0 stands for none. */
  optional(key: string, fallback: number): number | undefined {
    const value = this.number(key, fallback);
    if (value >= 0) return value === 0 ? undefined : value;
    throw this.wrong(key, "a positive number, or 0 for none", value);
  }

  /** A count that may be given for each layer as a list. */
  countOfLayer(key: string, layer: number, fallback?: number): number {
    const value = this.value(key);
    const list = value instanceof Int32Array || Array.isArray(value) ? value : undefined;
    if (!list) return this.count(key, fallback);
    const found: unknown = list[layer];
    if (typeof found === "number" && Number.isInteger(found) && found >= 1) return found;
    throw this.wrong(key, `a list with a positive whole number for layer ${layer}`, value);
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.value(key);
    if (value === undefined) return fallback;
    if (typeof value === "boolean") return value;
    throw this.wrong(key, "true or false", value);
  }

  text(key: string): string | undefined {
    const value = this.value(key);
    if (value === undefined || typeof value === "string") return value;
    throw this.wrong(key, "a string", value);
  }

  /** Whether the file has the tensor, of a supported type or not. */
  hasTensor(name: string): boolean {
    return this.checkpoint.tensors.has(name) || this.checkpoint.unsupportedTensors?.has(name) === true;
  }

  private wrong(key: string, expected: string, value: MetadataValue | undefined): FormatError {
    const found =
      value === undefined
        ? "it is missing"
        : `found ${JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}` : v))?.slice(0, 60)}`;
    return new FormatError(
      `${this.checkpoint.location}: the metadata key "${this.full(key)}" must be ${expected}; ${found}.`,
      {
        key: this.full(key),
      },
    );
  }
}
