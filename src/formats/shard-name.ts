/** The naming of model files in several parts: `model-00001-of-00003.gguf`, and the same with `.safetensors`. */
import { baseName, splitQuery } from "./location.js";

export interface ShardName {
  /** What all shards begin with, folder included. */
  readonly prefix: string;
  /** From 1. */
  readonly number: number;
  readonly total: number;
  readonly extension: string;
  /** Of a URL: "?download=true"; else empty. */
  readonly query: string;
}

const PATTERN = /^(.+)-(\d{5})-of-(\d{5})\.(gguf|safetensors)$/s;

/** The parts of a shard's location, or undefined when it is not named as one. */
export function parseShardName(location: string): ShardName | undefined {
  const [place, query] = splitQuery(location);
  const match = PATTERN.exec(place);
  if (!match || baseName(location).startsWith("-")) return undefined;
  const [, prefix, number, total, extension] = match;
  return { prefix, number: Number(number), total: Number(total), extension, query };
}

/** The location of another shard of the set. */
export function shardLocation(shard: ShardName, number: number): string {
  const digits = (n: number) => String(n).padStart(5, "0");
  return `${shard.prefix}-${digits(number)}-of-${digits(shard.total)}.${shard.extension}${shard.query}`;
}
