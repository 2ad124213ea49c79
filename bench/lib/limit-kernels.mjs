/**
 * The smallest loops that show what the machine can do in WebAssembly: reading memory, and the bare instructions that the
 * matrix kernels are made of, with all operands in registers. Compiled from AssemblyScript when asked for.
 */
import { setFlagsFromString } from "node:v8";

/**
 * A loop over two inputs and `weights` weights, with an accumulator for each pair, which takes `step(x, w, accumulator)`;
 * all in registers, of which V8 has 15. `turn` changes an input, so that no product is the same twice.
 */
function arithmetic(name, weights, turn, step) {
  const numbers = (count) => Array.from({ length: count }, (_, i) => i);
  const pairs = numbers(2 * weights);
  const lines = (items, line) => items.map(line).join("\n");
  return `
    export function ${name}(at: usize, turns: i32): i32 {
      let x0 = v128.load(at), x1 = v128.load(at, 16);
      const one = v128.load(at, 32);
      ${lines(numbers(weights), (i) => `const w${i} = v128.load(at, ${64 + 16 * i});`)}
      ${lines(pairs, (i) => `let a${i} = v128.load(at, 48);`)}
      for (; turns > 0; turns--) {
        x0 = ${turn("x0")};
        x1 = ${turn("x1")};
        ${lines(pairs, (i) => `a${i} = ${step(`x${i % 2}`, `w${i >> 1}`, `a${i}`)};`)}
      }
      let sum = a0;
      ${lines(pairs, (i) => `sum = v128.xor(sum, a${i});`)}
      return i32x4.extract_lane(sum, 0);
    }`;
}

/**
 * Name, what is looped, floating-point operations (or their integer likes) of one step, weights, and the loop. A
 * multiply-add waits for its accumulator for four cycles and so needs eight; sums of products need a register more.
 */
const LOOPS = [
  {
    name: "f32",
    about: "f32x4 multiply-add",
    operations: 8,
    weights: 4,
    turn: (x) => `v128.xor(${x}, one)`,
    step: (x, w, a) => `f32x4.relaxed_madd(${x}, ${w}, ${a})`,
    plainStep: (x, w, a) => `f32x4.add(f32x4.mul(${x}, ${w}), ${a})`,
  },
  {
    name: "dot16",
    about: "i32x4.dot_i16x8_s + i32x4.add",
    operations: 16,
    weights: 3,
    turn: (x) => `i16x8.add(${x}, one)`,
    step: (x, w, a) => `i32x4.add(i32x4.dot_i16x8_s(${x}, ${w}), ${a})`,
  },
  {
    name: "dot8",
    about: "i16x8.relaxed_dot_i8x16_i7x16_s + i16x8.add",
    operations: 32,
    weights: 3,
    relaxed: true,
    turn: (x) => `i8x16.add(${x}, one)`,
    step: (x, w, a) => `i16x8.add(i16x8.relaxed_dot_i8x16_i7x16_s(${x}, ${w}), ${a})`,
  },
  {
    name: "dot8to32",
    about: "i32x4.relaxed_dot_i8x16_i7x16_add_s",
    operations: 32,
    weights: 3,
    relaxed: true,
    turn: (x) => `i8x16.add(${x}, one)`,
    step: (x, w, a) => `i32x4.relaxed_dot_i8x16_i7x16_add_s(${x}, ${w}, ${a})`,
  },
];

const READ = `
  export function read(at: usize, bytes: usize): i32 {
    let a = i32x4.splat(0), b = a, c = a, d = a;
    for (const end = at + bytes; at < end; at += 128) {
      a = v128.xor(a, v128.xor(v128.load(at), v128.load(at, 64)));
      b = v128.xor(b, v128.xor(v128.load(at, 16), v128.load(at, 80)));
      c = v128.xor(c, v128.xor(v128.load(at, 32), v128.load(at, 96)));
      d = v128.xor(d, v128.xor(v128.load(at, 48), v128.load(at, 112)));
    }
    return i32x4.extract_lane(v128.xor(v128.xor(a, b), v128.xor(c, d)), 0);
  }`;

const MAJOR = Number(process.versions.node.split(".")[0]);

/** Ask before the first module is compiled: relaxed SIMD (behind a flag in Node 20, on in later versions). */
export function prepareEngine() {
  if (MAJOR < 22) setFlagsFromString("--experimental-wasm-relaxed-simd");
}

/**
 * Calls every loop for a moment, so that it is optimised: these loops run long and would stay in unoptimised code. Without
 * the baseline compiler they would be at once, but V8 14.6 aborts without it when it optimises other code.
 */
export function warmUp(exports) {
  for (const [name, loop] of Object.entries(exports)) loop(name === "read" ? 0 : 1024, name === "read" ? 4096 : 1);
}

/**
 * A module with the function `read(address, bytes)` and one `NAME(address, turns)` per arithmetic loop, which imports
 * `env.memory`.
 * @param {{relaxed: boolean}} options without relaxed SIMD the loops that need it are left out
 */
export async function compileLimits({ relaxed }) {
  const { default: asc } = await import("assemblyscript/asc");
  const loops = LOOPS.filter((loop) => relaxed || !loop.relaxed);
  const source = [
    READ,
    ...loops.map((loop) => arithmetic(loop.name, loop.weights, loop.turn, (!relaxed && loop.plainStep) || loop.step)),
  ].join("\n");
  let bytes;
  const flags = "-O3 --noAssert --runtime stub --importMemory --noExportMemory --initialMemory 1 --enable simd";
  const { error, stderr } = await asc.main(
    ["limits.ts", "--outFile", "limits.wasm", ...flags.split(" "), ...(relaxed ? ["--enable", "relaxed-simd"] : [])],
    {
      readFile: (name) => (name === "limits.ts" ? source : null),
      writeFile: (_, contents) => {
        bytes = contents;
      },
      listFiles: () => [],
    },
  );
  if (error || !bytes) throw new Error(`The limit loops do not compile: ${error?.message}\n${stderr}`);
  // Functions are due for the optimising compiler at their first call, and optimised before it goes on: see warmUp. V8 11.3
  // does not know how.
  const due = MAJOR < 22 ? ["--no-liftoff"] : ["--wasm-tiering-budget=1", "--wasm-sync-tier-up"];
  for (const flag of due) setFlagsFromString(flag);
  const described = loops.map(({ name, about, operations, weights }) => ({
    name,
    about,
    operationsPerTurn: operations * 2 * weights,
  }));
  return { module: new WebAssembly.Module(bytes), loops: described };
}
