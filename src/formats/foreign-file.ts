/** Guesses what a file is that is not the expected one, so that an error can say what to do. */
import type { ErrorDetails } from "../util/errors.js";

interface Signature {
  readonly starts: string | RegExp;
  readonly is: string;
}

const PICKLE = "a Python pickle, perhaps PyTorch weights: convert them to safetensors or GGUF";

const eachOf = (starts: readonly string[], is: string): Signature[] => starts.map((start) => ({ starts: start, is }));

/** Matched against the first bytes as Latin-1 text. */
const SIGNATURES: readonly Signature[] = [
  { starts: "GGUF", is: "a GGUF file" },
  { starts: "version https://git-lfs", is: "a git-lfs pointer, not the file itself: fetch it with `git lfs pull`" },
  {
    starts: /^\s*<(!doctype|html)/i,
    is: "a web page: the download went to a page, not to the file: fetch the file's own address",
  },
  { starts: "\xff\xd8\xff", is: "a JPEG image" },
  { starts: "\x89PNG\r\n", is: "a PNG image" },
  { starts: /^GIF8[79]a/, is: "a GIF image" },
  { starts: /^RIFF.{4}WEBP/s, is: "a WebP image" },
  ...eachOf(["II*\0", "MM\0*"], "a TIFF image"),
  { starts: /^RIFF.{4}WAVE/s, is: "a sound (WAV)" },
  { starts: /^(ID3|OggS|fLaC)/, is: "a sound" },
  { starts: /^.{4}ftyp/s, is: "a video (MP4)" },
  { starts: "\x1aE\xdf\xa3", is: "a video (Matroska)" },
  { starts: "%PDF-", is: "a PDF document" },
  { starts: "PK\x03\x04", is: "a zip archive, perhaps PyTorch weights: convert them to safetensors or GGUF" },
  ...eachOf(["\x80\x02", "\x80\x03", "\x80\x04", "\x80\x05"], PICKLE),
  { starts: "\x93NUMPY", is: "an array of NumPy: convert it to safetensors" },
  // A version of the format, then the producer's name.
  ...eachOf(
    Array.from({ length: 15 }, (_, version) => `\x08${String.fromCharCode(version + 1)}\x12`),
    "an ONNX model: take the model's safetensors or GGUF file",
  ),
  { starts: /^.{4}TFL3/s, is: "a TensorFlow Lite model: take the model's safetensors or GGUF file" },
  { starts: "\xfd7zXZ\0", is: "an xz archive: unpack it" },
  { starts: "BZh", is: "a bzip2 archive: unpack it" },
  { starts: "\x28\xb5\x2f\xfd", is: "a zstd archive: unpack it" },
  { starts: "7z\xbc\xaf\x27\x1c", is: "a 7-Zip archive: unpack it" },
  { starts: "Rar!\x1a\x07", is: "a RAR archive: unpack it" },
  { starts: "SQLite format 3\0", is: "an SQLite database" },
  { starts: "\x7fELF", is: "a program (ELF)" },
  { starts: "MZ", is: "a program for Windows" },
  { starts: "\0asm", is: "a WebAssembly module" },
  { starts: /^\s*<\?xml/, is: "an XML document" },
  { starts: /^.{8}\{/s, is: "a safetensors file" },
  { starts: /^(lmgg|fmgg|tjgg|algg)/, is: "a GGML file from before GGUF: convert it with llama.cpp" },
  { starts: "\x89HDF", is: "an HDF5 file" },
  { starts: "\x1f\x8b", is: "a gzip archive: unpack it" },
  { starts: /^\s*\{/, is: "a JSON text" },
];

/** How many bytes `describeForeign` looks at. */
export const SIGNATURE_BYTES = 64;

/** Details of the error: what has nothing in it is worth another fetch; of a page the same fetch brings the page again. */
export function foreignDetails(first: Uint8Array): ErrorDetails {
  return first.length === 0 ? { offset: 0, truncated: true } : { offset: 0 };
}

/** "it seems to be ...", or the first bytes where nothing is recognised. */
export function describeForeign(first: Uint8Array): string {
  if (first.length === 0) return "it is empty";
  const text = Array.from(first, (byte) => String.fromCharCode(byte)).join("");
  const found = SIGNATURES.find(({ starts }) =>
    typeof starts === "string" ? text.startsWith(starts) : starts.test(text),
  );
  if (found) return `it seems to be ${found.is}`;
  const line = /^[\t\x20-\x7e]+/.exec(text.trimStart())?.[0] ?? "";
  if (/^[\t\r\n\x20-\x7e]+$/.test(text))
    return `it seems to be a text that begins ${JSON.stringify(line.slice(0, 40))}`;
  const bytes = Array.from(first.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0"));
  return `it starts with the bytes ${bytes.join(" ")}`;
}
