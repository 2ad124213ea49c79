/**
 * Columns that a text takes at a terminal: none for marks that are set on the character before, two for wide scripts and
 * pictures, else one (Unicode Standard Annex 11).
 */

/** Blocks of wide characters: Hangul, CJK with its marks, kana, full-width forms, pictures, the ideographic planes. */
const WIDE: readonly (readonly [first: number, last: number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xa000, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18aff],
  [0x1b000, 0x1b2ff],
  [0x20000, 0x3fffd],
];
const PICTURE = /^\p{Emoji_Presentation}/u;
const WITHOUT_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}]/u;
/** Asks for the picture of the character before. */
const PICTURE_SELECTOR = 0xfe0f;

const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });

export function displayWidth(text: string): number {
  let width = 0;
  for (const { segment } of segmenter.segment(text)) width += graphemeWidth(segment);
  return width;
}

/** The beginning of a text that takes so many columns at most. */
export function cutToWidth(text: string, columns: number): string {
  let width = 0;
  let end = 0;
  for (const { segment, index } of segmenter.segment(text)) {
    width += graphemeWidth(segment);
    if (width > columns) return text.slice(0, end);
    end = index + segment.length;
  }
  return text;
}

/** Of one character as a reader sees it, which may be several code points. */
function graphemeWidth(grapheme: string): number {
  const code = grapheme.codePointAt(0) ?? 0;
  if (code < 0x20 || code === 0x7f) return 0;
  if (code < 0x300 && grapheme.length === 1) return 1;
  if (PICTURE.test(grapheme) || grapheme.codePointAt(1) === PICTURE_SELECTOR) return 2;
  if (WIDE.some(([first, last]) => code >= first && code <= last)) return 2;
  return WITHOUT_WIDTH.test(grapheme) ? 0 : 1;
}
