/** Text files must be UTF-8, wholly: a wrong byte is an error that names its place, never a silent U+FFFD. */
import { SluiceError } from "../util/errors.js";

/**
 * The text of the bytes, without a byte-order mark.
 * @param name what the bytes are, for the message
 * @throws SluiceError (bad_text) with `details.offset`
 */
export function decodeUtf8(bytes: Uint8Array, name: string): string {
  const offset = invalidUtf8Offset(bytes);
  if (offset === -1) return new TextDecoder("utf-8").decode(bytes);
  const found = offset < bytes.length ? `0x${bytes[offset].toString(16).padStart(2, "0")}` : "the end";
  throw new SluiceError(
    "bad_text",
    `${name} is not UTF-8: the character that begins at byte ${offset} (${found}) is not valid. Convert the file to UTF-8 first.`,
    { offset },
  );
}

/** Offset of the first byte that begins no valid UTF-8 character (Unicode 15, table 3-7), or -1. */
export function invalidUtf8Offset(bytes: Uint8Array): number {
  let at = 0;
  while (at < bytes.length) {
    const length = characterLength(bytes, at);
    if (length === 0) return at;
    at += length;
  }
  return -1;
}

function characterLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at];
  if (lead < 0x80) return 1;
  const length =
    lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  // Overlong forms, surrogates and values above U+10FFFF show in the second byte.
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (bytes[at + 1] < low || bytes[at + 1] > high) return 0;
  for (let index = 2; index < length; index++) {
    if ((bytes[at + index] & 0xc0) !== 0x80) return 0;
  }
  return length;
}
