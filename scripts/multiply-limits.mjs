// The rate at which this engine multiplies when it does nothing else: the bare instructions of the matrix kernels, in
// the register tiles of those, on values in the L1 cache. For scripts/bench-linear.mjs.
import { setFlagsFromString } from "node:v8";
import asc from "assemblyscript/asc";

const DOTS = {
  sixteen: (x, w, sum) => `i32x4.add(i32x4.dot_i16x8_s(${x}, ${w}), ${sum})`,
  nibbles: (x, w, sum) => `i16x8.add(i16x8.relaxed_dot_i8x16_i7x16_s(${x}, ${w}), ${sum})`,
  bytes: (x, w, sum) => `i32x4.relaxed_dot_i8x16_i7x16_add_s(${x}, ${w}, ${sum})`,
};
DOTS.streamed = DOTS.sixteen;
/** Products of one instruction of 128 bits. */
const WIDTH = { sixteen: 8, streamed: 8, nibbles: 16, bytes: 16 };
/** Forms in 256-bit vectors: theirs in 128. */
export const WIDE_FORMS = { wide: "bytes", "nibbles-wide": "nibbles", "sixteen-wide": "sixteen" };
/** As src/platform/wide-node.ts sets them. */
const WIDE_FLAGS = ["wasm-lazy-compilation", "liftoff", "no-experimental-wasm-revectorize"];

/** `vectors` of weights times four tokens, `turns` times. */
function source(dot, vectors) {
  const of = (make) => [0, 1, 2, 3].flatMap((t) => Array.from({ length: vectors }, (_, r) => make(t, r))).join("\n");
  return `export function run(turns: i32): void {
    ${of((t, r) => `let s${t}${r} = v128.load(4096, ${16 * (t * vectors + r)});`)}
    for (let i = 0; i < turns; i++) {
      const at = <usize>((i & 7) << 6);
      ${Array.from({ length: vectors }, (_, r) => `const w${r} = v128.load(at, ${16 * r});`).join("\n")}
      ${of((t, r) => `${r > 0 ? "" : `const x${t} = v128.load32_splat(at, ${1024 + 4 * t});`} s${t}${r} = ${dot(`x${t}`, `w${r}`, `s${t}${r}`)};`)}
    }
    ${of((t, r) => `v128.store(4096, s${t}${r}, ${16 * (t * vectors + r)});`)}
  }`;
}

async function compile(text) {
  let wasm;
  const { error } = await asc.main(
    [
      "limit.ts",
      "-O3",
      "--noAssert",
      "--runtime",
      "stub",
      "--initialMemory",
      "1",
      "--enable",
      "simd,relaxed-simd",
    ].concat(["--outFile", "limit.wasm"]),
    {
      readFile: (name) => (name === "limit.ts" ? text : null),
      writeFile: (_name, bytes) => {
        wasm = bytes;
      },
      listFiles: () => [],
    },
  );
  if (error) throw error;
  return wasm;
}

/** With 256-bit vectors; the flags go back to what they were. */
function compileWide(bytes) {
  for (const flag of WIDE_FLAGS) setFlagsFromString(flag.startsWith("no-") ? `--${flag.slice(3)}` : `--no-${flag}`);
  try {
    return new WebAssembly.Module(bytes);
  } finally {
    for (const flag of WIDE_FLAGS) setFlagsFromString(`--${flag}`);
  }
}

/** GFLOPS (two per product) of a form on one thread. Of wide forms the tile is twice as large, in 256-bit vectors. */
export async function multiplyLimit(form, milliseconds) {
  const wide = Object.hasOwn(WIDE_FORMS, form);
  const [vectors, dot] = wide ? [4, WIDE_FORMS[form]] : [2, form];
  const bytes = await compile(source(DOTS[dot], vectors));
  const module = wide ? compileWide(bytes) : new WebAssembly.Module(bytes);
  const { run } = new WebAssembly.Instance(module).exports;
  const turns = 1e6;
  let best = Number.POSITIVE_INFINITY;
  // The compiler of the source may still be busy in other threads, whose time counts too.
  const until = performance.now() + 1500;
  while (performance.now() < until) {
    const from = milliseconds();
    run(turns);
    best = Math.min(best, milliseconds() - from);
  }
  return (2 * turns * 4 * vectors * WIDTH[dot]) / best / 1e6;
}
