/** JSON files of a model folder, and typed reading of their fields. */
import { FormatError } from "../util/errors.js";
import type { ByteSource, Platform } from "../util/platform.js";

/** The largest tokenizer.json files are about 35 MB. */
const MAX_JSON_BYTES = 2 ** 28;

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Parses UTF-8 JSON. @throws FormatError that names the file */
export function parseJson(bytes: Uint8Array, name: string): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new FormatError(`${name} is not valid UTF-8.`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    const repaired = withInfinities(text);
    if (repaired !== undefined) return repaired;
    throw new FormatError(`${name} is not valid JSON: ${error instanceof Error ? error.message : "unknown error"}.`);
  }
}

/** Python's json module writes Infinity and NaN, which JSON does not have; undefined for text that is wrong otherwise too. */
function withInfinities(text: string): unknown {
  if (!/\b(Infinity|NaN)\b/.test(text)) return undefined;
  // Token by token: an expression for whole strings would run out of its stack on long ones.
  let within = false;
  const plain = text.replace(/\\.|"|\bInfinity\b|\bNaN\b/gs, (token) => {
    if (token === '"') within = !within;
    if (within) return token;
    if (token === "Infinity") return "1e999";
    return token === "NaN" ? "null" : token;
  });
  try {
    return JSON.parse(plain);
  } catch {
    return undefined;
  }
}

async function readAll(source: ByteSource): Promise<Uint8Array> {
  if (source.size > MAX_JSON_BYTES) {
    throw new FormatError(`${source.name} has ${source.size} bytes, expected at most ${MAX_JSON_BYTES}.`);
  }
  const bytes = new Uint8Array(source.size);
  await source.read(0, bytes);
  return bytes;
}

/** The whole of a text file. @throws NotFoundError, FormatError */
export async function readText(location: string, platform: Pick<Platform, "open">): Promise<string> {
  const source = await platform.open(location);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readAll(source));
  } catch (error) {
    if (error instanceof TypeError) throw new FormatError(`${location} is not valid UTF-8.`);
    throw error;
  } finally {
    await source.close();
  }
}

/** A JSON file. @throws NotFoundError, FormatError */
export async function readJson(location: string, platform: Pick<Platform, "open">): Promise<unknown> {
  const source = await platform.open(location);
  try {
    return parseJson(await readAll(source), location);
  } finally {
    await source.close();
  }
}

/** A JSON file whose top level is an object. @throws NotFoundError, FormatError */
export async function readJsonObject(location: string, platform: Pick<Platform, "open">): Promise<JsonObject> {
  const value = await readJson(location, platform);
  if (isObject(value)) return value;
  throw new FormatError(`${location} must hold a JSON object.`);
}
