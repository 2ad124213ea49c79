/** Pages of the cache as bytes, whatever their type. */
import type { KvType } from "../../tensor/dtype.js";
import { type KvLayout, PAGE_TOKENS } from "../../tensor/kv.js";
import { KV_FORMATS } from "./index.js";
import type { KvPart, KvSection } from "./kv-format.js";

const sectionBytes = ({ count, bytes }: KvSection) => PAGE_TOKENS * count * bytes;

/** Bytes of a page of keys or values of one head. */
export function kvBytes(type: KvType, width: number, part: KvPart): number {
  return KV_FORMATS[type].sections(width, part).reduce((sum, section) => sum + sectionBytes(section), 0);
}

/** Bytes of one member: its keys, then its values. */
export function memberBytes(layout: KvLayout): number {
  return kvBytes(layout.keyType, layout.keyWidth, "keys") + kvBytes(layout.valueType, layout.valueWidth, "values");
}

/** Zeroes the tokens' places from `from` on in all members of a page. */
export function blankPlaces(layout: KvLayout, page: Uint8Array, from: number): void {
  const keys = KV_FORMATS[layout.keyType].sections(layout.keyWidth, "keys");
  const values = KV_FORMATS[layout.valueType].sections(layout.valueWidth, "values");
  let at = 0;
  for (let member = 0; member < layout.members; member++) {
    for (const [part, sections] of [["keys", keys] as const, ["values", values] as const]) {
      for (const section of sections) {
        const end = at + sectionBytes(section);
        blankSection(section, part, page.subarray(at, end), from);
        at = end;
      }
    }
  }
}

function blankSection({ count, bytes, order }: KvSection, part: KvPart, section: Uint8Array, from: number): void {
  const row = PAGE_TOKENS * bytes;
  if (order === "nibbles") blankNibbles(section, from);
  else if (part === "values" && order === undefined) section.fill(0, from * count * bytes);
  else for (let i = 0; i < count; i++) section.fill(0, i * row + from * bytes, (i + 1) * row);
}

/** Of words as KvSection says; a byte has two neighbours. */
function blankNibbles(section: Uint8Array, from: number): void {
  const half = section.length / 2;
  for (let i = 0; i < section.length; i++) {
    const token = 2 * (i & 1) + 8 * ((i >> 1) & 1) + (i < half ? 0 : 4);
    if (token >= from) section[i] = 0;
    else if (token + 1 >= from) section[i] &= 15;
  }
}
