import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeUtf8, invalidUtf8Offset } from "../../src/cli/utf8.js";
import { SluiceError } from "../../src/util/errors.js";

/** What the platform's own strict decoder says. */
function isValid(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

describe("UTF-8 texts", () => {
  test("every text is valid", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const bytes = new TextEncoder().encode(text);
        expect(invalidUtf8Offset(bytes)).toBe(-1);
      }),
    );
  });

  test("the offset is where the strict decoder stops: before it all is valid, up to any later end it is not", () => {
    // Bytes at the borders of the ranges are the interesting ones.
    const byte = fc.oneof(
      fc.constantFrom(0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5),
      fc.integer({ min: 0, max: 255 }),
    );
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 24 }), (values) => {
        const bytes = Uint8Array.from(values);
        const offset = invalidUtf8Offset(bytes);
        expect(offset === -1).toBe(isValid(bytes));
        if (offset !== -1) expect(isValid(bytes.subarray(0, offset))).toBe(true);
      }),
      { numRuns: 5000 },
    );
  });

  test.each([
    ["a lone continuation byte", [0x61, 0x80], 1],
    ["an overlong slash", [0xc0, 0xaf], 0],
    ["a surrogate", [0x61, 0x62, 0xed, 0xa0, 0x80], 2],
    ["a value above U+10FFFF", [0xf4, 0x90, 0x80, 0x80], 0],
    ["a character cut off at the end", [0x61, 0xe2, 0x82], 1],
    ["Latin-1", [0x63, 0x61, 0x66, 0xe9, 0x0a], 3],
  ])("%s", (_, bytes, offset) => {
    expect(invalidUtf8Offset(Uint8Array.from(bytes))).toBe(offset);
    expect(() => decodeUtf8(Uint8Array.from(bytes), "x")).toThrow(SluiceError);
  });

  test("a byte-order mark is no part of the text", () => {
    expect(decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61), "x")).toBe("a");
  });
});
