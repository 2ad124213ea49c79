/**
 * Files of gates: Sluice's own, in JSON, and `full_attention_heads.tsv` as the authors of DuoAttention write it (rows are
 * layers, columns KV heads, no heading). docs/gates.md describes both.
 */
import { FormatError } from "../../util/errors.js";
import { formatBytes } from "../../util/figures.js";
import { checkedLayers, checkRowCount, type GatedModel, type GatesOrigin, type HeadGates } from "./head-gates.js";

const FORMAT = "sluice-gates";
const VERSION = 1;

/** Room for the largest model several times over. */
export const MOST_GATES_BYTES = 2 ** 24;

/** Gates of a file's bytes, JSON or TSV. @throws FormatError that begins with `name` */
export function parseGates(bytes: Uint8Array, name = "The gates"): HeadGates {
  if (bytes.length > MOST_GATES_BYTES) {
    throw new FormatError(
      `${name}: a file of gates has at most ${formatBytes(MOST_GATES_BYTES)}; found ${formatBytes(bytes.length)}.`,
    );
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new FormatError(`${name}: expected JSON or numbers separated by tabs; the bytes are no UTF-8 text.`);
  }
  if (text.trim() === "") throw new FormatError(`${name}: the file is empty.`);
  return text.trimStart().startsWith("{") ? gatesOfJson(text, name) : gatesOfTsv(text, name);
}

/** Numbers in any notation that `numpy.savetxt` and people write. */
const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,4})?$/i;

function gatesOfTsv(text: string, name: string): HeadGates {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  checkRowCount(lines.length, name);
  const rows = lines.map((line, row) =>
    line
      .trim()
      .split(/[\t ]+/)
      .map((field, head) => {
        if (NUMBER.test(field)) return Number(field);
        const found = JSON.stringify(field.slice(0, 40));
        throw new FormatError(`${name}: row ${row}, KV head ${head} must be a number; found ${found}.`, { row, head });
      }),
  );
  const layers = checkedLayers(rows, name, true);
  const short = layers.findIndex((row) => row.length !== layers[0].length);
  if (short < 0) return { model: null, layers, threshold: null, found: null };
  throw new FormatError(
    `${name}: row ${short} has ${layers[short].length} gates, row 0 has ${layers[0].length}: the file is cut off or damaged.`,
    { row: short },
  );
}

function gatesOfJson(text: string, name: string): HeadGates {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : "unknown error";
    throw new FormatError(`${name}: the file is no JSON, or was cut off: ${reason}.`, {}, { cause });
  }
  return gatesOfValue(value, name);
}

/** Gates as the JSON has them, or as `parseGates` gave them. @throws FormatError */
export function gatesOfValue(value: unknown, name = "The gates"): HeadGates {
  if (!isRecord(value)) throw new FormatError(`${name}: expected an object with gates.`);
  if (Array.isArray(value.layers)) return gatesOfFields(value, value.layers, name);
  if (value.format !== FORMAT) {
    throw new FormatError(`${name}: the JSON has no gates: "format" must be "${FORMAT}"; found ${show(value.format)}.`);
  }
  if (value.version !== VERSION) {
    throw new FormatError(
      `${name}: "version" must be ${VERSION}; found ${show(value.version)}. A later version of Sluice may have written it.`,
    );
  }
  const { gates, kvHeads, attentionLayers } = value;
  if (!Array.isArray(gates)) throw new FormatError(`${name}: "gates" must be a list of rows; found ${show(gates)}.`);
  if (attentionLayers !== gates.length) {
    throw new FormatError(
      `${name}: "attentionLayers" is ${show(attentionLayers)}, but "gates" has ${gates.length} rows: the file is damaged.`,
    );
  }
  const read = gatesOfFields(value, gates, name);
  const counts = Array.isArray(kvHeads) ? kvHeads : [];
  const wrong = read.layers.findIndex((row, layer) => row.length !== counts[layer]);
  if (counts.length === gates.length && wrong < 0) return read;
  throw new FormatError(
    `${name}: "kvHeads" must give the number of gates of each row${wrong < 0 ? "" : `; row ${wrong} has ${read.layers[wrong].length}`}: the file is damaged.`,
  );
}

function gatesOfFields(fields: Readonly<Record<string, unknown>>, rows: readonly unknown[], name: string): HeadGates {
  return {
    model: modelOf(fields.model ?? null, name),
    layers: checkedLayers(rows, name, false),
    threshold: thresholdOf(fields.threshold ?? null, name),
    found: originOf(fields.found ?? null, name),
  };
}

function modelOf(value: unknown, file: string): GatedModel | null {
  if (value === null) return null;
  const { architecture, name = null, fingerprint } = isRecord(value) ? value : {};
  if (
    typeof architecture === "string" &&
    typeof fingerprint === "string" &&
    (name === null || typeof name === "string")
  )
    return { architecture, name, fingerprint };
  throw new FormatError(`${file}: "model" must have the texts architecture and fingerprint, and may have a name.`);
}

function thresholdOf(value: unknown, name: string): number | null {
  if (value === null || (typeof value === "number" && value >= 0 && value <= 1)) return value;
  throw new FormatError(`${name}: "threshold" must be a number from 0 to 1; found ${show(value)}.`);
}

/** A copy: who gave it may change it later. */
function originOf(value: unknown, name: string): GatesOrigin | null {
  if (value === null) return null;
  const { method } = isRecord(value) ? value : {};
  if (typeof method !== "string") throw new FormatError(`${name}: "found" must be an object with the text "method".`);
  return { ...plainCopy(value, name), method };
}

function plainCopy(value: unknown, name: string): Readonly<Record<string, unknown>> {
  try {
    const copy: unknown = JSON.parse(JSON.stringify(value));
    return isRecord(copy) ? copy : {};
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : "unknown error";
    throw new FormatError(`${name}: "found" must be plain data that JSON can hold: ${reason}.`, {}, { cause });
  }
}

/** The text of Sluice's own form; `parseGates` gives the same gates. Ends with a newline. */
export function gatesJson({ model, layers, threshold, found }: HeadGates): string {
  const fields = {
    format: FORMAT,
    version: VERSION,
    model,
    attentionLayers: layers.length,
    kvHeads: layers.map((row) => row.length),
    ...(threshold !== null && { threshold }),
    ...(found && { found }),
  };
  const rows = layers.map((row) => `    [${row.join(", ")}]`).join(",\n");
  return `${JSON.stringify(fields, null, 2).slice(0, -2)},\n  "gates": [\n${rows}\n  ]\n}\n`;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Lists and objects are not written out: hostile ones lie in each other a million deep. */
function show(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
