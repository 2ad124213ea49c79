/** Pages of the cache as bytes, whatever their type. */
import type { KvType } from "../../tensor/dtype.js";
import { type KvLayout, PAGE_TOKENS } from "../../tensor/kv.js";
import { KV_FORMATS } from "./index.js";
import type { KvSection } from "./kv-format.js";

const sectionBytes = ({ count, bytes }: KvSection) => PAGE_TOKENS * count * bytes;

/** Bytes of a page of keys or values of one head. */
export function kvBytes(type: KvType, width: number): number {
  return KV_FORMATS[type].sections(width).reduce((sum, section) => sum + sectionBytes(section), 0);
}

/** Bytes of one member: its keys, then its values. */
export function memberBytes(layout: KvLayout): number {
  return kvBytes(layout.keyType, layout.keyWidth) + kvBytes(layout.valueType, layout.valueWidth);
}

/** Zeroes the tokens' places from `from` on in all members of a page. */
export function blankPlaces(layout: KvLayout, page: Uint8Array, from: number): void {
  const keys = KV_FORMATS[layout.keyType].sections(layout.keyWidth);
  const values = KV_FORMATS[layout.valueType].sections(layout.valueWidth);
  let at = 0;
  for (let member = 0; member < layout.members; member++) {
    for (const section of keys) {
      const row = PAGE_TOKENS * section.bytes;
      for (let i = 0; i < section.count; i++) {
        page.fill(0, at + i * row + from * section.bytes, at + (i + 1) * row);
      }
      at += sectionBytes(section);
    }
    for (const section of values) {
      page.fill(0, at + from * section.count * section.bytes, at + sectionBytes(section));
      at += sectionBytes(section);
    }
  }
}
