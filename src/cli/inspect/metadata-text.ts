/** Metadata values for a report: long lists and texts are shortened, with their length. */
import type { MetadataValue } from "../../formats/checkpoint.js";
import { counted, formatCount } from "../figures.js";
import { oneLine } from "../style.js";

const LIST_ITEMS = 6;
const TEXT_CHARACTERS = 72;
const JSON_ITEMS = 32;

/** One line: `llama`, `[1, 2, 3, ... 32,000 in all]`, `"{% for ..." (1,204 characters)`. */
export function metadataText(value: MetadataValue): string {
  if (typeof value === "string") return shortText(value);
  if (typeof value === "number") return numberText(value);
  if (!isList(value)) return String(value);
  const items = Array.from(value.slice(0, LIST_ITEMS), listItem);
  if (value.length > LIST_ITEMS) items.push(`... ${formatCount(value.length)} in all`);
  return `[${items.join(", ")}]`;
}

/** A value as JSON has it: lists beyond 32 items become { count, first }, integers beyond 2^53 texts. */
export function metadataJson(value: MetadataValue): unknown {
  if (typeof value === "bigint") return String(value);
  if (!isList(value)) return value;
  const first = Array.from(value.slice(0, JSON_ITEMS), metadataJson);
  return value.length > JSON_ITEMS ? { count: value.length, first } : first;
}

function isList(value: MetadataValue): value is readonly MetadataValue[] | Int32Array | Float32Array {
  return typeof value === "object";
}

function listItem(value: MetadataValue): string {
  if (typeof value === "string") return `"${shorten(value, 24)}"`;
  if (typeof value === "number") return numberText(value);
  return isList(value) ? `list of ${formatCount(value.length)}` : String(value);
}

/** The shortest text of the same 32-bit float, as files mostly have them: 0.00001 instead of 0.000009999999747378752. */
function numberText(value: number): string {
  if (Number.isInteger(value) || Math.fround(value) !== value) return String(value);
  const digits = [6, 7, 8].find((count) => Math.fround(Number(value.toPrecision(count))) === value);
  return String(Number(value.toPrecision(digits ?? 9)));
}

function shortText(text: string): string {
  const shown = shorten(text, TEXT_CHARACTERS);
  return text.length > TEXT_CHARACTERS ? `${shown} (${counted(text.length, "character")})` : shown;
}

function shorten(text: string, most: number): string {
  return oneLine(text.length > most ? `${text.slice(0, most - 3)}...` : text);
}
