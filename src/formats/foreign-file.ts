/** Guesses what a file is that is not the expected one, so that an error can say what to do. */

interface Signature {
  readonly starts: string | RegExp;
  readonly is: string;
}

/** Matched against the first bytes as Latin-1 text. */
const SIGNATURES: readonly Signature[] = [
  { starts: "GGUF", is: "a GGUF file" },
  { starts: "version https://git-lfs", is: "a git-lfs pointer, not the file itself: fetch it with `git lfs pull`" },
  { starts: /^\s*<(!doctype|html)/i, is: "a web page: the download went to a page, not to the file" },
  { starts: /^.{8}\{/s, is: "a safetensors file" },
  { starts: "PK\x03\x04", is: "a zip archive, perhaps PyTorch weights: convert them to safetensors or GGUF" },
  { starts: "\x80\x02", is: "a Python pickle, perhaps PyTorch weights: convert them to safetensors or GGUF" },
  { starts: /^(lmgg|fmgg|tjgg|algg)/, is: "a GGML file from before GGUF: convert it with llama.cpp" },
  { starts: "\x89HDF", is: "an HDF5 file" },
  { starts: "\x1f\x8b", is: "a gzip archive: unpack it" },
  { starts: /^\s*\{/, is: "a JSON text" },
];

/** How many bytes `describeForeign` looks at. */
export const SIGNATURE_BYTES = 64;

/** "it seems to be ...", or the first bytes where nothing is recognised. */
export function describeForeign(first: Uint8Array): string {
  if (first.length === 0) return "it is empty";
  const text = Array.from(first, (byte) => String.fromCharCode(byte)).join("");
  const found = SIGNATURES.find(({ starts }) =>
    typeof starts === "string" ? text.startsWith(starts) : starts.test(text),
  );
  if (found) return `it seems to be ${found.is}`;
  const bytes = Array.from(first.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0"));
  return `it starts with the bytes ${bytes.join(" ")}`;
}
