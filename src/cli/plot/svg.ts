/** SVG as text: elements with their attributes and children, everything escaped; and how wide a text will about be. */
import { displayWidth } from "../display-width.js";
import { plainText } from "../style.js";

/** An element that is text already; only `element` and `words` make it. */
export interface Svg {
  readonly svg: string;
}

type Attributes = Readonly<Record<string, string | number | undefined>>;

/** `<name key="value">children</name>`; attributes that are undefined are left out, numbers have two decimals at most. */
export function element(name: string, attributes: Attributes, children: readonly Svg[] = []): Svg {
  const written = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [` ${key}="${escaped(typeof value === "number" ? short(value) : value)}"`],
  );
  const inner = children.map(({ svg }) => svg).join("");
  return { svg: inner === "" ? `<${name}${written.join("")}/>` : `<${name}${written.join("")}>${inner}</${name}>` };
}

/** A text within an element. */
export function words(text: string): Svg {
  return { svg: escaped(text) };
}

export function short(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** Pixels that a text in Helvetica or Arial takes at most, in the mean of its letters. */
export function textWidth(text: string, fontSize: number): number {
  return displayWidth(text) * fontSize * 0.56;
}

/** As much of a text as fits into so many pixels. */
export function fitted(text: string, fontSize: number, width: number): string {
  if (textWidth(text, fontSize) <= width) return text;
  const letters = [...text];
  while (letters.length > 0 && textWidth(`${letters.join("")}...`, fontSize) > width) letters.pop();
  return `${letters.join("").trimEnd()}...`;
}

/** XML has neither control characters nor halves of characters, in whatever form they are written. */
function escaped(text: string): string {
  return plainText(text)
    .replace(/\p{Surrogate}|[\ufffe\uffff]/gu, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
