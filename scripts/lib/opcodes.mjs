/** Opcodes of the kernels by name, as kernels/abi.ts lists them (the built package has only the constants that it uses). */
import { readFileSync } from "node:fs";

const source = readFileSync(new URL("../../kernels/abi.ts", import.meta.url), "utf8");
const part = source.slice(source.indexOf("// Opcodes."), source.indexOf("// Added to ggml"));

export const OPCODES = Object.fromEntries(
  [...part.matchAll(/export const (\w+) = (\d+);/g)].map(([, name, code]) => [name, +code]),
);

/** For readers: "rms norm". */
export const OPCODE_NAMES = new Map(
  Object.entries(OPCODES).map(([name, code]) => [code, name.toLowerCase().replaceAll("_", " ")]),
);
