/** Typed reading of a checkpoint's metadata under the keys of its architecture. Remembers what was asked for. */
import type { Checkpoint, MetadataValue } from "../formats/checkpoint.js";
import { FormatError, UnsupportedError } from "../util/errors.js";

export class ModelMetadata {
  /** Keys that were asked for, without the architecture: what is not among them changed nothing of the model. */
  readonly asked = new Set<string>();

  constructor(readonly checkpoint: Checkpoint) {}

  /** The value of `<architecture>.<key>`. */
  private value(key: string): MetadataValue | undefined {
    this.asked.add(key);
    return this.checkpoint.metadata.get(this.full(key));
  }

  /** The key with the architecture in front. */
  full(key: string): string {
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

  /** A whole number in [0, 2^31). */
  whole(key: string, fallback: number): number {
    return this.index(key, 2 ** 31, fallback);
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

  /** A number from 0 on, as small as norms add to what they divide by. */
  epsilon(key: string): number {
    const value = this.number(key);
    if (value >= 0) return value;
    throw this.wrong(key, "a number that is not negative", value);
  }

  /** A count that may be given for each layer as a list. */
  countOfLayer(key: string, layer: number, fallback?: number): number {
    const list = this.byLayer(key);
    if (!list) return this.count(key, fallback);
    const found = list[layer];
    if (typeof found === "number" && Number.isInteger(found) && found >= 1 && found < 2 ** 31) return found;
    throw this.wrong(key, `a list with a positive whole number for layer ${layer}`, this.value(key));
  }

  /** A count that may be given as a list with the same number for every layer. @throws UnsupportedError for others */
  countOfAll(key: string, fallback?: number): number {
    const list = this.byLayer(key);
    if (!list) return this.count(key, fallback);
    if (list.every((entry) => entry === list[0])) return this.countOfLayer(key, 0);
    const { location, architecture } = this.checkpoint;
    throw new UnsupportedError(
      `${location}: the metadata key "${this.full(key)}" has different numbers for the layers (${shown(list)}); the ` +
        `architecture ${architecture} has the same in all.`,
      { key: this.full(key) },
    );
  }

  /** The entries of a list with one for each layer; undefined for a single value or none. @throws FormatError for others */
  byLayer(key: string): readonly MetadataValue[] | undefined {
    const value = this.value(key);
    if (typeof value !== "object") return undefined;
    const layers = this.count("block_count");
    if (value.length === layers) return Array.from<MetadataValue>(value);
    throw this.wrong(key, `one value or a list of ${layers}, one for each layer`, value);
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
    const found = value === undefined ? "it is missing" : `found ${shown(value)}`;
    return new FormatError(
      `${this.checkpoint.location}: the metadata key "${this.full(key)}" must be ${expected}; ${found}.`,
      {
        key: this.full(key),
      },
    );
  }
}

/** A value in a message, shortened. */
export function shown(value: MetadataValue): string {
  const plain = typeof value === "object" ? Array.from<MetadataValue>(value.slice(0, 32)) : value;
  const text = JSON.stringify(plain, (_, part) => {
    if (typeof part === "bigint") return `${part}`;
    // As many digits as a number of 32 bits has.
    return typeof part === "number" && Number.isFinite(part) ? Number(part.toPrecision(8)) : part;
  });
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
