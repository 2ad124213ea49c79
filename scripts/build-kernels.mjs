// Compiles kernels/ twice, with and without relaxed SIMD, and kernels/wide.ts, and writes the modules as base64 into one
// TypeScript file, so that bundlers and browsers need no asset path. Same sources, same bytes.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import asc from "assemblyscript/asc";

const root = join(import.meta.dirname, "..");
const target = join(root, "src/backends/wasm/generated/kernels.ts");

const OPTIONS = [
  ["-O3", "--noAssert", "--runtime", "stub", "--importMemory", "--noExportMemory"],
  ["--sharedMemory", "--initialMemory", "1", "--maximumMemory", "65536"],
  ["--enable", "simd", "--enable", "threads"],
  // Mixed usize and u32: there is no 64-bit build.
  ["--disableWarning", "201"],
].flat();

/** The module's bytes. */
async function compile(entry, features) {
  const files = new Map();
  const { error, stderr } = await asc.main(
    [entry, "--baseDir", root, "--outFile", "kernels.wasm", ...OPTIONS, ...features],
    { writeFile: (name, contents) => files.set(name, contents) },
  );
  if (error) throw new Error(`The kernels do not compile: ${error.message}\n${stderr.toString()}`);
  const wasm = files.get("kernels.wasm");
  if (!wasm) throw new Error("The compiler wrote no module.");
  return wasm;
}

const RELAXED = ["--enable", "relaxed-simd"];
const plain = await compile("kernels/index.ts", ["--exportTable"]);
const relaxed = await compile("kernels/index.ts", ["--exportTable", ...RELAXED]);
const wide = await compile("kernels/wide.ts", RELAXED);
const literal = (name, bytes) => `export const ${name} =\n  "${Buffer.from(bytes).toString("base64")}";\n`;
await mkdir(join(target, ".."), { recursive: true });
await writeFile(
  target,
  "// Made by scripts/build-kernels.mjs from kernels/; not kept in git.\n" +
    literal("PLAIN", plain) +
    literal("RELAXED", relaxed) +
    literal("WIDE", wide),
);
console.log(`kernels: plain ${plain.length} bytes, relaxed SIMD ${relaxed.length} bytes, wide ${wide.length} bytes`);
