/**
 * GPT-2's writing of bytes as printable characters: a byte-level vocabulary spells every token in 256 characters, so that
 * any text is encodable and no token holds a space or a control character (Radford et al. 2019).
 */
const CHAR_OF_BYTE: string[] = [];
const BYTE_OF_CHAR = new Map<string, number>();

/** Bytes that stand for themselves; the others take 256, 257, ... in order. */
const standsForItself = (byte: number) =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);

let extra = 256;
for (let byte = 0; byte < 256; byte++) {
  const char = String.fromCharCode(standsForItself(byte) ? byte : extra++);
  CHAR_OF_BYTE.push(char);
  BYTE_OF_CHAR.set(char, byte);
}

/** The character that stands for a byte. */
export function charOfByte(byte: number): string {
  return CHAR_OF_BYTE[byte];
}

const encoder = new TextEncoder();

/** A text as byte-level vocabularies spell it. */
export function toByteLevel(text: string): string {
  let spelled = "";
  for (const byte of encoder.encode(text)) spelled += CHAR_OF_BYTE[byte];
  return spelled;
}

/** The bytes that a byte-level token stands for; characters outside of the spelling stand for their UTF-8 bytes. */
export function fromByteLevel(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const char of token) {
    const byte = BYTE_OF_CHAR.get(char);
    if (byte === undefined) bytes.push(...encoder.encode(char));
    else bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
