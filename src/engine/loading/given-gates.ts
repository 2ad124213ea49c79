/** Gates that a caller of `load` gave: checked and copied when the call is made, read from their files before a model is opened. */
import { gatesOfValue, type HeadGates, MOST_GATES_BYTES, parseGates } from "../../context/gates/index.js";
import { FormatError, NotFoundError } from "../../util/errors.js";
import { formatBytes } from "../../util/figures.js";
import { platform } from "../../util/platform.js";
import type { LoadOptions } from "../api.js";
import { reading } from "../calls/own-options.js";

/** By name: gates, or where they are to be read from. */
export type OwnGates = ReadonlyMap<string, HeadGates | string>;

/** The option, which has passed its check, as data of our own. @throws FormatError */
export function ownGates(given: LoadOptions["gates"] = {}): OwnGates {
  return reading("load", () => new Map(Object.entries(given).map(([name, gates]) => [name, ownGatesOf(gates, name)])));
}

function ownGatesOf(gates: unknown, name: string): HeadGates | string {
  if (typeof gates === "string" || gates instanceof URL) return String(gates);
  const title = `The gates "${name}"`;
  if (ArrayBuffer.isView(gates)) {
    return parseGates(new Uint8Array(gates.buffer, gates.byteOffset, gates.byteLength), title);
  }
  return isBuffer(gates) ? parseGates(new Uint8Array(gates), title) : gatesOfValue(gates, title);
}

function isBuffer(value: unknown): value is ArrayBufferLike {
  return /^\[object (Shared)?ArrayBuffer\]$/.test(Object.prototype.toString.call(value));
}

/** All gates, as plain data. @throws NotFoundError, NetworkError, FormatError, CancelledError */
export async function readGates(
  gates: OwnGates,
  { signal, store }: Pick<LoadOptions, "signal" | "store">,
): Promise<Record<string, HeadGates>> {
  const read: Record<string, HeadGates> = {};
  for (const [name, one] of gates) {
    read[name] = typeof one === "string" ? parseGates(await givenBytes(one, { signal, store }), one) : one;
  }
  return read;
}

/** Where there is no such file, it is told that gates were sought there. */
async function givenBytes(location: string, options: Pick<LoadOptions, "signal" | "store">): Promise<Uint8Array> {
  try {
    return await bytesAt(location, options);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    throw new NotFoundError(error.message, { ...error.details, option: "gates" }, { cause: error });
  }
}

async function bytesAt(location: string, options: Pick<LoadOptions, "signal" | "store">): Promise<Uint8Array> {
  const source = await platform().open(platform().absolute?.(location) ?? location, options);
  try {
    if (source.size > MOST_GATES_BYTES) {
      throw new FormatError(
        `${location}: a file of gates has at most ${formatBytes(MOST_GATES_BYTES)}; found ${formatBytes(source.size)}.`,
      );
    }
    const bytes = new Uint8Array(source.size);
    await source.read(0, bytes);
    return bytes;
  } finally {
    await source.close();
  }
}
