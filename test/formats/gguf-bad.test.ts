/** GGUF files that are truncated, hostile or inconsistent: always a typed error that says where, never anything else. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readGguf } from "../../src/formats/gguf.js";
import { FormatError, SluiceError, UnsupportedError } from "../../src/util/errors.js";
import { MemoryFiles } from "../support/memory-files.js";
import { type GgufSpec, writeGguf } from "../support/write-gguf.js";
import { patched, SAMPLE, u64, withSections } from "./sample-gguf.js";

async function read(bytes: Uint8Array) {
  return readGguf(await new MemoryFiles({ "bad.gguf": bytes }).open("bad.gguf"));
}

const sample = withSections(SAMPLE);

/** The sample with other bytes from `extra` after the start of a section. */
function damaged(section: string, patch: ArrayLike<number>, extra = 0): Uint8Array {
  const start = sample.starts.get(section);
  if (start === undefined) throw new Error(`no section ${section}`);
  return patched(sample.bytes, start + extra, patch);
}

const f32 = (name: string, cols: number) =>
  ({ name, dtype: "f32", rows: 1, cols, values: new Float32Array(cols) }) as const;

describe("truncation", () => {
  test.each([...sample.starts].filter(([name]) => name !== "end"))("at the start of: %s", async (_, offset) => {
    const reading = read(sample.bytes.slice(0, offset));
    await expect(reading).rejects.toThrow(FormatError);
    await expect(reading).rejects.toThrow(/bad\.gguf/);
  });

  test("at every byte", async () => {
    for (let length = 0; length < sample.bytes.length; length++) {
      await expect(read(sample.bytes.slice(0, length)), `${length} bytes`).rejects.toThrow(FormatError);
    }
  });

  test("says where and what was expected", async () => {
    const start = sample.starts.get("value b.f32") ?? 0;
    const reading = read(sample.bytes.slice(0, start + 2));
    await expect(reading).rejects.toThrow(`byte ${start}: the file ends at byte ${start + 2}`);
    await expect(reading).rejects.toThrow('the type of the value of "b.f32" needs 4 bytes');
  });
});

describe("another kind of file is named", () => {
  const text = (content: string) => Uint8Array.from(content, (c) => c.charCodeAt(0));
  test.each([
    ["safetensors", text('\x40\0\0\0\0\0\0\0{"__metadata__":{}}'), "a safetensors file"],
    ["zip", text("PK\x03\x04archive"), "PyTorch"],
    ["pickle", text("\x80\x02}q"), "PyTorch"],
    ["git-lfs pointer", text("version https://git-lfs.github.com/spec/v1\noid sha256:00"), "git lfs pull"],
    ["HTML", text("<!DOCTYPE html><html>"), "web page"],
    ["HTML after blanks", text("\n  <html lang=en>"), "web page"],
    ["old GGML", text("tjgg\x01\0\0\0"), "before GGUF"],
    ["JSON", text('{"model_type": "llama"}'), "JSON"],
    ["gzip", text("\x1f\x8b\x08"), "gzip"],
    ["noise", text("\xff\xfe\x00\x01"), "ff fe 00 01"],
    ["JPEG", text("\xff\xd8\xff\xe0\0\x10JFIF\0"), "a JPEG image"],
    ["PNG", text("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"), "a PNG image"],
    ["GIF", text("GIF89a\x01\0"), "a GIF image"],
    ["WebP", text("RIFF\x24\0\0\0WEBPVP8 "), "a WebP image"],
    ["PDF", text("%PDF-1.7\n%"), "a PDF document"],
    ["MP4", text("\0\0\0\x20ftypisom"), "a video"],
    ["pickle of protocol 4", text("\x80\x04\x95\x10"), "PyTorch"],
    ["NumPy", text("\x93NUMPY\x01\0"), "NumPy"],
    ["ONNX", text("\x08\x08\x12\x07pytorch"), "ONNX"],
    ["GGML of 2023", text("fmgg\x01\0\0\0"), "before GGUF"],
    ["xz", text("\xfd7zXZ\0\0"), "xz archive"],
    ["zstd", text("\x28\xb5\x2f\xfd"), "zstd archive"],
    ["7-Zip", text("7z\xbc\xaf\x27\x1c"), "7-Zip archive"],
    ["ELF", text("\x7fELF\x02"), "a program"],
    ["XML", text('<?xml version="1.0"?>'), "an XML document"],
    ["an answer of a server", text("Entry not found"), 'a text that begins "Entry not found"'],
    ["nothing", text(""), "it is empty"],
  ])("%s", async (_, bytes, expected) => {
    const reading = read(bytes);
    await expect(reading).rejects.toThrow(FormatError);
    await expect(reading).rejects.toThrow(expected);
  });
});

describe("another fetch helps", () => {
  const details = (bytes: Uint8Array) =>
    read(bytes).then(
      () => undefined,
      (error: unknown) => (error instanceof FormatError ? error.details.truncated === true : undefined),
    );

  test("where bytes are missing", async () => {
    expect(await details(sample.bytes.slice(0, sample.bytes.length - 40))).toBe(true);
    expect(await details(sample.bytes.slice(0, 100))).toBe(true);
    expect(await details(new Uint8Array(0))).toBe(true);
  });

  test("but not for a file of another kind, or one that was written wrongly", async () => {
    expect(await details(Uint8Array.of(0xff, 0xd8, 0xff, 0xe0))).toBe(false);
    expect(await details(new TextEncoder().encode("<!DOCTYPE html><html>"))).toBe(false);
    expect(await details(new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\n"))).toBe(false);
    expect(await details(damaged("value a.u8", [13]))).toBe(false);
    expect(await details(damaged("tensor v", [9, 0, 0, 0], 8 + 1))).toBe(false);
  });
});

describe("bytes that are not UTF-8 become U+FFFD, as other runtimes take them", () => {
  test("in keys, values, tokens and names", async () => {
    expect([...(await read(damaged("key a.u8", [0xff], 8))).metadata.keys()]).toContain("\ufffd.u8");
    const value = (await read(damaged("value a.string", [0xc3, 0x28], 12))).metadata.get("a.string");
    expect(value).toMatch(/^\ufffd\(/);
    const tokens = (await read(damaged("value b.string", [0x80], 16 + 8 + 8))).metadata.get("b.string");
    expect(JSON.stringify(tokens)).toContain("\ufffd");
    expect([...(await read(damaged("tensor v", [0xfe], 8))).tensors.keys()]).toContain("\ufffd");
  });

  test("names that become the same are refused", async () => {
    const bytes = withSections({ tensors: [f32("x1", 4), f32("x2", 4)] });
    const second = (name: string) => (bytes.starts.get(name) ?? 0) + 8 + 1;
    const both = patched(patched(bytes.bytes, second("tensor x1"), [0xf8]), second("tensor x2"), [0xf9]);
    await expect(read(both)).rejects.toThrow(FormatError);
    await expect(read(both)).rejects.toThrow(
      'the tensor "x\ufffd" (with U+FFFD for bytes that are not UTF-8) appears twice',
    );
  });
});

describe("versions", () => {
  test.each([
    [[1, 0, 0, 0], UnsupportedError, "version 1"],
    [[4, 0, 0, 0], UnsupportedError, "version 4"],
    [[0, 0, 0, 3], UnsupportedError, "big-endian"],
    [[0, 0, 0, 0], FormatError, "version 0"],
  ])("%s", async (version, type, message) => {
    const reading = read(damaged("version", version));
    await expect(reading).rejects.toThrow(type);
    await expect(reading).rejects.toThrow(message);
  });
});

describe("counts and lengths that the file cannot hold", () => {
  test.each([2n ** 64n - 1n, 2n ** 63n, 2n ** 53n, 2n ** 32n, 2n ** 20n, 100000n])("%i", async (count) => {
    const places: readonly [string, number][] = [
      ["tensor count", 0],
      ["key count", 0],
      ["key a.u8", 0],
      ["value a.string", 4],
      ["value b.i32", 8],
      ["value b.f32", 8],
      ["value b.bool", 8],
      ["value b.string", 8],
      ["value b.string", 16],
      ["value b.empty", 8],
      ["tensor v", 0],
      ["tensor h", 8 + 1 + 4 + 8],
      ["tensor h", 8 + 1 + 4 + 16 + 4],
    ];
    for (const [section, extra] of places) {
      await expect(read(damaged(section, u64(count), extra)), `${section} + ${extra}`).rejects.toThrow(FormatError);
    }
  });

  test("dimensions whose product overflows", async () => {
    const huge = new Uint8Array([...u64(2n ** 33n), ...u64(2n ** 33n)]);
    await expect(read(damaged("tensor h", huge, 8 + 1 + 4))).rejects.toThrow(/multiply to an absurd size/);
  });

  test("arrays in arrays, too deep", async () => {
    const nested = Array.from({ length: 40 }, () => [9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]).flat();
    const { bytes, starts } = withSections({ metadata: { deep: "x".repeat(nested.length) } });
    const value = patched(bytes, starts.get("value deep") ?? 0, [9, 0, 0, 0, ...nested]);
    await expect(read(value)).rejects.toThrow(/nests arrays/);
  });
});

describe("inconsistencies", () => {
  test.each<[string, Uint8Array, string]>([
    ["unknown value type", damaged("value a.u8", [13]), "unknown value type 13"],
    ["unknown element type", damaged("value b.i32", [99], 4), "unknown value type 99"],
    ["boolean of 2", damaged("value a.bool", [2], 4), "0 or 1"],
    ["no dimensions", damaged("tensor v", [0], 8 + 1), "0 dimensions"],
    ["five dimensions", damaged("tensor v", [5], 8 + 1), "5 dimensions"],
    ["an empty dimension", damaged("tensor v", u64(0), 8 + 1 + 4), "is 0"],
    ["unaligned offset", damaged("tensor m.weight", [33], 8 + 8 + 4 + 16 + 4), "not a multiple of 32"],
    ["offset beyond the end", damaged("tensor h", u64(320), 8 + 1 + 4 + 16 + 4), "truncated"],
    ["overlap", damaged("tensor h", u64(32), 8 + 1 + 4 + 16 + 4), "overlap"],
    ["columns not whole blocks", damaged("tensor m.weight", u64(40), 8 + 8 + 4), "stores blocks of 32"],
    ["tensor larger than the file", damaged("tensor m.weight", u64(64000), 8 + 8 + 4), "truncated"],
  ])("%s", async (_, bytes, message) => {
    const reading = read(bytes);
    await expect(reading).rejects.toThrow(FormatError);
    await expect(reading).rejects.toThrow(message);
  });

  test.each<[string, NonNullable<GgufSpec["metadata"]>]>([
    ["3", { "general.alignment": 3 }],
    ["0", { "general.alignment": 0 }],
    ["negative", { "general.alignment": -32 }],
    ["a fraction", { "general.alignment": { type: "f32", value: 0.5 } }],
    ["a string", { "general.alignment": "32" }],
  ])("alignment %s", async (_, metadata) => {
    await expect(read(writeGguf({ metadata, tensors: [f32("t", 2)] }))).rejects.toThrow(/power of two/);
  });

  test("a key twice", async () => {
    const { bytes, starts } = withSections({ metadata: { "k.one": 1, "k.two": 2 } });
    const twice = patched(bytes, (starts.get("key k.two") ?? 0) + 8, new TextEncoder().encode("k.one"));
    await expect(read(twice)).rejects.toThrow('the metadata key "k.one" appears twice');
  });

  test("a tensor twice", async () => {
    await expect(read(writeGguf({ tensors: [f32("t", 2), f32("t", 2)] }))).rejects.toThrow('"t" appears twice');
  });
});

test("a tensor of an unknown type is listed apart, the others stay usable", async () => {
  const known = await read(damaged("tensor m.weight", [40, 0, 0, 0], 8 + 8 + 4 + 16));
  expect(known.unsupported.get("m.weight")).toEqual({
    name: "m.weight",
    type: "nvfp4 (ggml type 40)",
    rows: 2,
    cols: 64,
  });
  expect([...known.tensors.keys()]).toEqual(["v", "h"]);
  const unknown = await read(damaged("tensor m.weight", [255, 255, 255, 255], 8 + 8 + 4 + 16));
  expect(unknown.unsupported.get("m.weight")?.type).toBe("ggml type 4294967295");
});

describe("whatever happens to a valid file, it is read or refused with a typed error", () => {
  const outcome = (bytes: Uint8Array) =>
    read(bytes).then(
      () => "read",
      (error: unknown) => (error instanceof SluiceError ? "refused" : error),
    );

  test("one byte changed", async () => {
    const headerBytes = sample.starts.get("data v") ?? 0;
    const place = fc.integer({ min: 0, max: headerBytes - 1 });
    await fc.assert(
      fc.asyncProperty(place, fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        expect(["read", "refused"]).toContain(await outcome(patched(sample.bytes, at, [sample.bytes[at] ^ flip])));
      }),
      { numRuns: 3000 },
    );
  });

  test("eight bytes changed, and cut", async () => {
    const edit = fc.record({
      at: fc.integer({ min: 0, max: sample.bytes.length - 8 }),
      patch: fc.uint8Array({ minLength: 8, maxLength: 8 }),
      length: fc.integer({ min: 0, max: sample.bytes.length }),
    });
    await fc.assert(
      fc.asyncProperty(edit, async ({ at, patch, length }) => {
        expect(["read", "refused"]).toContain(await outcome(patched(sample.bytes, at, patch).slice(0, length)));
      }),
      { numRuns: 1000 },
    );
  });

  test("noise after the magic", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (noise) => {
        const bytes = new Uint8Array([0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0, ...noise]);
        expect(["read", "refused"]).toContain(await outcome(bytes));
      }),
      { numRuns: 500 },
    );
  });
});
