/** Which form of the matrix products runs: what the engine is tried for, what a backend then multiplies in. */

import process from "node:process";
import { describe, expect, test } from "vitest";
import {
  BYTES_FOUR,
  BYTES_NIBBLES,
  BYTES_WIDE,
  NIBBLES_WIDE,
  PLANES,
  PLANES_WIDE,
  PLANES_WORDS,
  SIXTEEN_BITS,
  SIXTEEN_WIDE,
  STREAMED,
} from "../../kernels/abi.js";
import { byteForm, formFor, NO_WIDE, planesForm, preciseForm, SIXTEEN } from "../../src/backends/wasm/byte-form.js";
import { WIDE } from "../../src/backends/wasm/generated/kernels.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import { MachineRoom } from "../../src/backends/wasm/machine-room.js";
import { compileKernels } from "../../src/backends/wasm/module.js";
import { addsProductsRight, multipliesFloatsRight } from "../../src/backends/wasm/wide.js";
import { attendsRight } from "../../src/backends/wasm/wide-attention.js";
import { wideProducts } from "../../src/backends/wasm/wide-integers.js";
import { multipliesPlanesRight } from "../../src/backends/wasm/wide-planes.js";
import { derivesRight } from "../../src/backends/wasm/wide-training.js";
import { mustBeWide, relaxedSimd, testPlatform } from "../support/test-platform.js";
import { tensorOf, weightOf } from "./devices.js";
import { byteForms, uniform } from "./linear-kernels.js";

describe.skipIf(!relaxedSimd)("the trial of the wide module", () => {
  const bytes = Buffer.from(WIDE, "base64");

  const words = relaxedSimd && byteForms()[0][1].largest === 255;

  test("accepts products of all bytes where the engine multiplies them exactly, others on every engine", () => {
    expect(wideProducts(new WebAssembly.Module(bytes))).toEqual({ words, nibbles: true, sixteen: true });
  });

  test.skipIf(!mustBeWide)("accepts what Node 24 and 26 make with V8's flags", () => {
    // Not by the platform that devices.ts sets, which compiles the module in any case.
    const module = testPlatform.compileWide?.(
      () => bytes,
      () => true,
      true,
    );
    if (!module) throw new Error("There is no module.");
    const parts = [multipliesFloatsRight, addsProductsRight, multipliesPlanesRight, attendsRight, derivesRight];
    expect(parts.map((isRight) => isRight(module))).toEqual(parts.map(() => true));
    expect(wideProducts(module)).toEqual({ words, nibbles: true, sixteen: true });
  });

  // bitselect takes as many operands; of two, the result must be another one wherever the operation is.
  test.each([
    {
      form: "words",
      name: "relaxed_dot_i8x16_i7x16_add_s",
      from: [0xfd, 0x93, 0x02],
      to: [0xfd, 0xd2, 0x00],
      count: 16,
    },
    { form: "nibbles", name: "relaxed_dot_i8x16_i7x16_s", from: [0xfd, 0x92, 0x02], to: [0xfd, 0xba, 0x01], count: 32 },
    { form: "nibbles", name: "i16x8.add", from: [0xfd, 0x8e, 0x01], to: [0xfd, 0x91, 0x01], count: 32 },
    { form: "sixteen", name: "i32x4.add", from: [0xfd, 0xae, 0x01], to: [0xfd, 0xb1, 0x01], count: 16 },
  ] as const)("refuses products by $form of a module in which a single $name is another operation", (changes) => {
    const { form, from, to, count } = changes;
    const own = wideProducts(new WebAssembly.Module(bytes));
    let refused = 0;
    for (let at = bytes.indexOf(Buffer.from(from)); at >= 0; at = bytes.indexOf(Buffer.from(from), at + 1)) {
      const changed = Buffer.from(bytes);
      changed.set(to, at);
      const found = wideProducts(new WebAssembly.Module(changed));
      if (!found[form]) refused++;
      // No other product is blamed.
      else expect(found).toEqual(own);
    }
    expect(refused).toBe(count);
  });

  test("accepts attention, and products of few tokens, on every engine", () => {
    const module = new WebAssembly.Module(bytes);
    expect([attendsRight(module), derivesRight(module), multipliesPlanesRight(module)]).toEqual([true, true, true]);
  });

  test("refuses a module in which a single product of few tokens is another operation", () => {
    // i16x8.relaxed_dot_i8x16_i7x16_s as i16x8.mul.
    const dot = Buffer.of(0xfd, 0x92, 0x02);
    let refused = 0;
    for (let at = bytes.indexOf(dot); at >= 0; at = bytes.indexOf(dot, at + 1)) {
      const changed = Buffer.from(bytes);
      changed.set([0xfd, 0x95, 0x01], at);
      if (!multipliesPlanesRight(new WebAssembly.Module(changed))) refused++;
    }
    // In a turn of the loop two products of four rows, in both planes, of low and high nibbles; of four formats. Others
    // are of prefill.
    expect(refused).toBe(2 * 2 * 2 * 4);
  });

  // `products` of each are in `multiply`, which is right only on engines that multiply exactly.
  test.each([
    { name: "relaxed_madd as relaxed_nmadd", from: [0xfd, 0x85, 0x02], to: [0xfd, 0x86, 0x02], products: 16 },
    { name: "f32x4.mul as f32x4.div", from: [0xfd, 0xe6, 0x01], to: [0xfd, 0xe7, 0x01], products: 16 },
    { name: "f32x4.convert_i32x4_s as _u", from: [0xfd, 0xfa, 0x01], to: [0xfd, 0xfb, 0x01], products: 16 },
  ])("refuses every module with one $name", ({ from, to, products }) => {
    const isRight = (module: WebAssembly.Module) => {
      const found = wideProducts(module);
      return (
        attendsRight(module) &&
        derivesRight(module) &&
        multipliesFloatsRight(module) &&
        addsProductsRight(module) &&
        multipliesPlanesRight(module) &&
        (!words || found.words) &&
        found.nibbles &&
        found.sixteen
      );
    };
    const missed: number[] = [];
    let count = 0;
    for (let at = bytes.indexOf(Buffer.from(from)); at >= 0; at = bytes.indexOf(Buffer.from(from), at + 1), count++) {
      const changed = Buffer.from(bytes);
      changed.set(to, at);
      if (isRight(new WebAssembly.Module(changed))) missed.push(at);
    }
    expect(count).toBeGreaterThan(products);
    expect(missed.length).toBe(words ? 0 : products);
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

  test.skipIf(process.env.SLUICE_FORM)(
    "multiplies eight tokens or more in 8 bits, fewer as exactly as one, and all so when `precise`",
    async () => {
      expect(await spread(7, undefined)).toBeLessThan(2e-6);
      expect(await spread(9, true)).toBeLessThan(2e-6);
      const rounded = await spread(9, undefined);
      expect(rounded).toBeGreaterThan(2e-4);
      expect(rounded).toBeLessThan(2e-2);
    },
  );
});

describe("the choice of a form", () => {
  const engine = (at127: number, at255: number) => (weight: number) => 100 + (weight === 127 ? at127 : at255);

  test("follows what the engine computes", () => {
    const vnni = engine(508 * 127, 508 * 255);
    const sixteen = SIXTEEN_BITS;
    expect(byteForm(vnni, { ...NO_WIDE, words: true })).toEqual({ form: BYTES_WIDE, largest: 255, sixteen });
    expect(byteForm(vnni, { ...NO_WIDE, nibbles: true })).toEqual({ form: BYTES_FOUR, largest: 255, sixteen });
    expect(byteForm(engine(508 * 127, -508), NO_WIDE)).toEqual({ form: BYTES_FOUR, largest: 127, sixteen });
    expect(byteForm(engine(508 * 127, 4 * 32767), NO_WIDE)).toEqual({ form: BYTES_NIBBLES, largest: 63, sixteen });
    // A baseline compiler that adds wrongly must not lead to the adding form.
    const wrong = engine(508 * 254, 508 * 255);
    expect(byteForm(wrong, { ...NO_WIDE, words: true })).toEqual({ form: BYTES_NIBBLES, largest: 63, sixteen });
  });

  test("takes of the wide module what was tried, each by itself", () => {
    const other = engine(508 * 127, 4 * 32767);
    const both = { words: false, nibbles: true, sixteen: true };
    expect(byteForm(other, both)).toEqual({ form: NIBBLES_WIDE, largest: 63, sixteen: SIXTEEN_WIDE });
    expect(byteForm(other, { ...both, nibbles: false }).form).toBe(BYTES_NIBBLES);
    expect(byteForm(other, { ...both, sixteen: false }).sixteen).toBe(SIXTEEN_BITS);
    const form = byteForm(other, both);
    expect(formFor(form, "q4_0", "many")).toBe(NIBBLES_WIDE);
    expect(formFor(form, "q8_0", "many")).toBe(SIXTEEN_WIDE);
    expect(formFor(preciseForm(form), "q4_0", "many")).toBe(SIXTEEN_WIDE);
    expect(formFor(form, "f16", "many")).toBe(SIXTEEN_BITS);
    expect(planesForm(form, true)).toBe(PLANES_WIDE);
    expect(formFor(form, "q8_0", "few")).toBe(STREAMED);
  });

  test("leaves how few tokens are multiplied to the engine when `precise`", () => {
    for (const form of [BYTES_WIDE, BYTES_FOUR, BYTES_NIBBLES]) {
      const own = { form, largest: 63, sixteen: SIXTEEN_BITS };
      const few = planesForm(own, false);
      expect(few).toBe(form === BYTES_NIBBLES ? PLANES : PLANES_WORDS);
      expect(planesForm(preciseForm(own), false)).toBe(few);
      expect(formFor(preciseForm(own), "q4_0", "many")).toBe(SIXTEEN_BITS);
      expect(formFor(preciseForm(own), "q2_k", "many")).toBe(SIXTEEN_BITS);
    }
  });

  test.skipIf(!relaxedSimd || process.env.SLUICE_FORM)(
    "a machine has the engine's form, also when `precise`",
    async () => {
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
      expect(await formOf(true)).toEqual({ ...own, largest: 0 });
    },
  );

  test("keeps 16 bits for few tokens, floats, large integers and on demand", () => {
    const nibbles = { form: BYTES_NIBBLES, largest: 63, sixteen: SIXTEEN_BITS };
    expect(formFor(nibbles, "q4_0", "many")).toBe(BYTES_NIBBLES);
    expect(formFor(nibbles, "q4_0", "few")).toBe(STREAMED);
    expect(formFor(nibbles, "q8_0", "many")).toBe(SIXTEEN_BITS);
    expect(formFor({ ...nibbles, form: BYTES_WIDE, largest: 255 }, "f16", "many")).toBe(SIXTEEN_BITS);
    expect(formFor(preciseForm(nibbles), "q4_0", "many")).toBe(SIXTEEN_BITS);
    expect(formFor(SIXTEEN, "q4_0", "many")).toBe(SIXTEEN_BITS);
  });
});
