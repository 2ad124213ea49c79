// Makes the built declarations read the same for old compilers and small libs: typed arrays without the type argument that
// came with TypeScript 5.7, and names of the platform declared (as empty interfaces that merge with the full ones) where
// neither lib.dom nor @types/node does it. So `tsc` passes with lib es2022 alone, without skipLibCheck.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";

const DIST = join(import.meta.dirname, "../dist");
const GLOBALS = "globals.d.ts";

/** What declarations may name, and how it is declared. */
const DECLARED = {
  WebAssembly:
    "declare namespace WebAssembly {\n  interface Module {}\n  interface Memory {}\n  interface Instance {}\n}",
  AbortSignal: "interface AbortSignal {}",
  URL: "interface URL {}",
  Worker: "interface Worker {}",
  "Symbol.asyncDispose":
    "interface SymbolConstructor {\n  readonly asyncDispose: unique symbol;\n}\ninterface AsyncDisposable {\n" +
    "  [Symbol.asyncDispose](): PromiseLike<void>;\n}",
};

const TYPED_ARRAY = /\b((?:Big)?(?:Int|Uint|Float)\d+(?:Clamped)?Array)<[^<>]*>/g;
const COMMENT = /\/\*[\s\S]*?\*\/|\/\/.*$/gm;

const names = readdirSync(DIST, { recursive: true }).filter((name) => name.endsWith(".d.ts") && name !== GLOBALS);
for (const name of names) {
  const path = join(DIST, name);
  const text = readFileSync(path, "utf8").replace(TYPED_ARRAY, "$1");
  const code = text.replace(COMMENT, "");
  const isNeeded = Object.keys(DECLARED).some((known) => new RegExp(`\\b${known.replace(".", "\\.")}\\b`).test(code));
  const globals = relative(dirname(path), join(DIST, GLOBALS)).split(sep).join("/");
  const reference = `/// <reference path="${globals}" />\n`;
  writeFileSync(path, isNeeded && !text.startsWith(reference) ? reference + text : text);
}
writeFileSync(
  join(DIST, GLOBALS),
  `/** Made by scripts/portable-types.mjs: names that lib.dom or @types/node declare in full. */\n${Object.values(DECLARED).join("\n")}\n`,
);
