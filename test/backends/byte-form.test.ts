/** Which form of the matrix products runs: what the engine is tried for, what a backend then multiplies in. */

import process from "node:process";
import { describe, expect, test } from "vitest";
import { BYTES_FOUR, BYTES_NIBBLES, BYTES_WIDE, PLANES, PLANES_WORDS, SIXTEEN_BITS } from "../../kernels/abi.js";
import { byteForm, formFor, preciseForm, SIXTEEN } from "../../src/backends/wasm/byte-form.js";
import { WIDE } from "../../src/backends/wasm/generated/kernels.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import { MachineRoom } from "../../src/backends/wasm/machine-room.js";
import { compileKernels } from "../../src/backends/wasm/module.js";
import { addsProductsRight, multipliesFloatsRight, multipliesRight } from "../../src/backends/wasm/wide.js";
import { attendsRight } from "../../src/backends/wasm/wide-attention.js";
import { derivesRight } from "../../src/backends/wasm/wide-training.js";
import { relaxedSimd, testPlatform } from "../support/test-platform.js";
import { tensorOf, weightOf } from "./devices.js";
import { byteForms, uniform } from "./linear-kernels.js";

const { arch, env, versions } = process;
/** Where 256-bit vectors come unasked. */
const widens = relaxedSimd && arch === "x64" && versions.v8.startsWith("13.6.") && env.SLUICE_WIDE !== "0";

describe.skipIf(!relaxedSimd)("the trial of the wide module", () => {
  const bytes = Buffer.from(WIDE, "base64");

  test("accepts it where the engine multiplies all bytes exactly", () => {
    const widest = byteForms()[0][1].largest;
    expect(multipliesRight(new WebAssembly.Module(bytes))).toBe(widest === 255);
  });

  test.skipIf(!widens)("accepts what Node 24 makes with V8's flags", () => {
    // Not by the platform that devices.ts sets, which compiles the module in any case.
    const isRight = (module: WebAssembly.Module) =>
      multipliesFloatsRight(module) &&
      addsProductsRight(module) &&
      attendsRight(module) &&
      derivesRight(module) &&
      multipliesRight(module) === (byteForms()[0][1].largest === 255);
    expect(testPlatform.compileWide?.(() => bytes, isRight, false)).toBeInstanceOf(WebAssembly.Module);
  });

  test("refuses a module in which a single product is another operation", () => {
    // relaxed_dot_i8x16_i7x16_add_s; bitselect takes as many operands.
    const dot = Buffer.of(0xfd, 0x93, 0x02);
    let count = 0;
    for (let at = bytes.indexOf(dot); at >= 0; at = bytes.indexOf(dot, at + 1)) {
      const changed = Buffer.from(bytes);
      changed.set([0xfd, 0xd2, 0x00], at);
      expect(multipliesRight(new WebAssembly.Module(changed))).toBe(false);
      count++;
    }
    expect(count).toBe(16);
  });

  test("accepts attention on every engine", () => {
    const module = new WebAssembly.Module(bytes);
    expect([attendsRight(module), derivesRight(module)]).toEqual([true, true]);
  });

  // `products` of each are in `multiply`, which is right only on engines that multiply exactly.
  test.each([
    { name: "relaxed_madd as relaxed_nmadd", from: [0xfd, 0x85, 0x02], to: [0xfd, 0x86, 0x02], products: 32 },
    { name: "f32x4.mul as f32x4.div", from: [0xfd, 0xe6, 0x01], to: [0xfd, 0xe7, 0x01], products: 16 },
    { name: "f32x4.convert_i32x4_s as _u", from: [0xfd, 0xfa, 0x01], to: [0xfd, 0xfb, 0x01], products: 16 },
  ])("refuses every module with one $name", ({ from, to, products }) => {
    const widest = byteForms()[0][1].largest;
    const isRight = (module: WebAssembly.Module) =>
      attendsRight(module) &&
      derivesRight(module) &&
      multipliesFloatsRight(module) &&
      addsProductsRight(module) &&
      (widest < 255 || multipliesRight(module));
    const missed: number[] = [];
    let count = 0;
    for (let at = bytes.indexOf(Buffer.from(from)); at >= 0; at = bytes.indexOf(Buffer.from(from), at + 1), count++) {
      const changed = Buffer.from(bytes);
      changed.set(to, at);
      if (isRight(new WebAssembly.Module(changed))) missed.push(at);
    }
    expect(count).toBeGreaterThan(products);
    expect(missed.length).toBe(widest < 255 ? products : 0);
  });
});

describe.skipIf(!relaxedSimd)("a backend", () => {
  const [rows, columns] = [24, 256];
  const random = uniform(3);
  const values = Float32Array.from({ length: rows * columns }, random);
  const x = Float32Array.from({ length: 9 * columns }, random);

  /** Largest difference between tokens multiplied together and one by one, relative to the largest product. */
  async function spread(tokens: number, precise: boolean | undefined): Promise<number> {
    const backend = await createWasmBackend({ threads: 2, parallelNs: 0, precise });
    try {
      const weight = weightOf(backend, "q4_k", rows, columns, values);
      const all = tensorOf(backend, tokens, columns, x.subarray(0, tokens * columns));
      const together = Array.from(await backend.read(backend.linear(all, weight)));
      const single: number[] = [];
      for (let t = 0; t < tokens; t++) {
        single.push(...(await backend.read(backend.linear(backend.rows(all, t, 1), weight))));
      }
      const largest = single.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      return together.reduce((most, value, i) => Math.max(most, Math.abs(value - single[i])), 0) / largest;
    } finally {
      await backend.dispose();
    }
  }

  test("multiplies eight tokens or more in 8 bits, fewer as exactly as one, and all so when `precise`", async () => {
    expect(await spread(7, undefined)).toBeLessThan(2e-6);
    expect(await spread(9, true)).toBeLessThan(2e-6);
    const rounded = await spread(9, undefined);
    expect(rounded).toBeGreaterThan(2e-4);
    expect(rounded).toBeLessThan(2e-2);
  });
});

describe("the choice of a form", () => {
  const engine = (at127: number, at255: number) => (weight: number) => 100 + (weight === 127 ? at127 : at255);

  test("follows what the engine computes", () => {
    const vnni = engine(508 * 127, 508 * 255);
    expect(byteForm(vnni, true)).toEqual({ form: BYTES_WIDE, largest: 255 });
    expect(byteForm(vnni, false)).toEqual({ form: BYTES_FOUR, largest: 255 });
    expect(byteForm(engine(508 * 127, -508), false)).toEqual({ form: BYTES_FOUR, largest: 127 });
    expect(byteForm(engine(508 * 127, 4 * 32767), true)).toEqual({ form: BYTES_NIBBLES, largest: 63 });
    // A baseline compiler that adds wrongly must not lead to the adding form.
    expect(byteForm(engine(508 * 254, 508 * 255), true)).toEqual({ form: BYTES_NIBBLES, largest: 63 });
  });

  test("leaves how few tokens are multiplied to the engine when `precise`", () => {
    for (const form of [BYTES_WIDE, BYTES_FOUR, BYTES_NIBBLES]) {
      const own = { form, largest: 63 };
      const few = formFor(own, "q4_0", 1, true);
      expect(few).toBe(form === BYTES_NIBBLES ? PLANES : PLANES_WORDS);
      expect(formFor(preciseForm(own), "q4_0", 1, true)).toBe(few);
      expect(formFor(preciseForm(own), "q4_0", 64, true)).toBe(SIXTEEN_BITS);
      expect(formFor(preciseForm(own), "q2_k", 64)).toBe(SIXTEEN_BITS);
    }
  });

  test.skipIf(!relaxedSimd)("a machine has the engine's form, also when `precise`", async () => {
    const { module, relaxed } = await compileKernels(true);
    const options = { threads: 1, memoryBytes: 2 ** 24, maxMemoryBytes: 2 ** 24, relaxed };
    const formOf = async (precise: boolean) => {
      const room = await MachineRoom.open(module, { ...options, precise });
      const { byteForm: form } = room.machines[0];
      await room.dispose();
      return form;
    };
    const own = await formOf(false);
    expect(own.largest).toBeGreaterThan(0);
    expect(await formOf(true)).toEqual({ form: own.form, largest: 0 });
  });

  test("keeps 16 bits for few tokens, floats, large integers and on demand", () => {
    const nibbles = { form: BYTES_NIBBLES, largest: 63 };
    expect(formFor(nibbles, "q4_0", 64)).toBe(BYTES_NIBBLES);
    expect(formFor(nibbles, "q4_0", 1)).toBe(SIXTEEN_BITS);
    expect(formFor(nibbles, "q8_0", 64)).toBe(SIXTEEN_BITS);
    expect(formFor({ form: BYTES_WIDE, largest: 255 }, "f16", 64)).toBe(SIXTEEN_BITS);
    expect(formFor(preciseForm(nibbles), "q4_0", 64)).toBe(SIXTEEN_BITS);
    expect(formFor(SIXTEEN, "q4_0", 64)).toBe(SIXTEEN_BITS);
  });
});
