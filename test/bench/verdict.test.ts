/** What the benchmark is judged by on which machine, what it says of the machine, and how its results get into the docs. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { evidenceTable, kindName, type MachineFacts, withRun, withTable } from "../../bench/lib/evidence.mjs";
import { GOAL_MISSED, GOALS, judge, kindOf } from "../../bench/lib/goals.mjs";
import { processor, processorLine } from "../../bench/lib/processor.mjs";

const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), "utf8");

const WIDE = { bits: 256, processor: { features: ["AVX2"] } };
const VNNI = { bits: 256, processor: { features: ["AVX2", "AVX-VNNI"] } };

/** Figures of all parts that the table of ratios needs, each ratio `value`. */
function figures(value: number, machine: object) {
  const rows = ["prefill@512", "decode@256", "load"].map((key) => ({ key, ratio: value }));
  const report = (format: string) => ({ shape: "x", format, rows, reads: [] });
  const bits = ["q4_0", "q8_0", "q4_k"].map((format) => ({ format, ratio: value }));
  const lengths = [4096, 8192].map((length) => ({
    length,
    decode: { sluice: [1], "llama.cpp": [1] },
    decodeRatio: value,
    prefillRatio: value,
  }));
  return {
    machine,
    kernels: { limits: { readLimit: 40 }, kernels: { multiHead: [{ gflops: 10 * value }, { gflops: 20 * value }] } },
    bits: { reports: bits },
    length: {
      options: { shape: "1.1b", format: "q4_0" },
      bytesPerToken: { weights: 1, cache: 1 },
      rows: lengths,
    },
    "decode-1.1b-q4_k_m": { reports: [report("q4_k_m")] },
    "decode-1.1b": { reports: [report("q4_0"), report("q8_0")] },
    "decode-1.1b-q4_k": { reports: [report("q4_k")] },
    "decode-0.5b": { reports: [report("q8_0"), report("q4_0")] },
    "decode-neox-160m": { reports: [report("q8_0"), report("f32")] },
  };
}

const missed = (value: number, machine: object) =>
  judge(figures(value, machine)).flatMap(({ label, verdict }) => (verdict === GOAL_MISSED ? [label] : []));

describe("the machine decides which goals hold", () => {
  test.each([
    ["256 bits without AVX-VNNI", WIDE, "table"],
    ["AVX-VNNI", VNNI, "bits"],
    ["a forced form", { ...WIDE, forced: "nibbles" }, "bits"],
    ["128 bits", { ...VNNI, bits: 128 }, "none"],
    ["nothing known", undefined, "none"],
  ])("%s", (_name, facts, kind) => {
    expect(kindOf(facts)).toBe(kind);
  });

  test("the table's, with their numbers", () => {
    const goals = judge(figures(1, WIDE));
    const row = (label: string) => {
      const { must, aim } = goals.find((goal) => goal.label === label) ?? {};
      return [must, aim];
    };
    expect(GOALS[0].label).toBe("decode at 256, Q4_K_M");
    expect(row("decode at 256, Q4_K_M")).toEqual([1.2, 1.4]);
    expect(row("prefill of 512, Q4_0")).toEqual([1, 1.3]);
    expect(row("prefill of 512, Q8_0")).toEqual([1, 1.3]);
    expect(row("prefill of 512, Q4_K")).toEqual([1, 1.3]);
    expect(row("prefill of 8,192, Q4_0")).toEqual([1.2, 1.5]);
    expect(row("0.5B, prefill of 512, Q8_0")).toEqual([0.9, 1.1]);
    expect(row("0.5B, prefill of 512, Q4_0")).toEqual([0.9, 1.1]);
    expect(row("decode at 256, Q8_0")).toEqual([1.25, 1.4]);
    expect(row("decode at 256, Q4_0")).toEqual([1.2, 1.4]);
    expect(row("decode at 256, Q4_K")).toEqual([1.2, 1.4]);
    expect(row("decode at 4,096, Q4_0, full")).toEqual([1.6, 2]);
    expect(row("decode at 8,192, Q4_0, full")).toEqual([1.9, 2.5]);
    expect(row("neox-160m, prefill of 512, Q8_0")).toEqual([1, 1.3]);
    expect(row("attention, 32 KV heads of 128, one row, f16: GFLOPS of a core")).toEqual([13, 20]);
    expect(row("prefill of 512, Q4_0: 256 bits over 128")).toEqual([undefined, undefined]);
  });

  test("a figure below its must fails there and only there", () => {
    expect(missed(1.95, WIDE)).toEqual([]);
    expect(missed(1.15, WIDE)).toEqual([
      "decode at 256, Q4_K_M",
      "prefill of 8,192, Q4_0",
      "decode at 256, Q8_0",
      "decode at 256, Q4_0",
      "decode at 256, Q4_K",
      "decode at 4,096, Q4_0, full",
      "decode at 8,192, Q4_0, full",
      "attention, 32 KV heads of 128, one row, f16: GFLOPS of a core",
    ]);
    const bits = ["Q4_0", "Q8_0", "Q4_K"].map((format) => `prefill of 512, ${format}: 256 bits over 128`);
    expect(missed(1.65, VNNI)).toEqual(bits);
    expect(missed(1.75, VNNI)).toEqual([]);
    expect(missed(1.65, { ...WIDE, forced: "sixteen" })).toEqual(bits);
    expect(missed(0.8, { ...WIDE, bits: 128 })).toEqual([]);
  });

  test("parts that were not run are not measured, and nothing is missed", () => {
    const goals = judge({ machine: WIDE });
    expect(new Set(goals.map(({ verdict }) => verdict))).toEqual(new Set(["not measured"]));
    expect(goals.length).toBe(GOALS.length);
    expect(new Set(GOALS.map(({ label }) => label)).size).toBe(GOALS.length);
  });
});

describe("the processor", () => {
  const cpuinfo = (vendor: string, family: number, model: number, flags: string) =>
    `processor\t: 0\nvendor_id\t: ${vendor}\ncpu family\t: ${family}\nmodel\t\t: ${model}\n` +
    `model name\t: Some CPU @ 2GHz\nflags\t\t: fpu ${flags}\nbugs\t\t:\n`;

  test.each([
    [25, 17, "Zen 4"],
    [25, 97, "Zen 4"],
    [25, 1, "Zen 3"],
    [25, 80, "Zen 3"],
    [26, 2, "Zen 5"],
    [23, 49, "Zen 2"],
    [23, 1, "Zen"],
  ])("AMD family %i, model %i is %s", (family, model, generation) => {
    expect(processor(cpuinfo("AuthenticAMD", family, model, "avx2")).generation).toBe(generation);
  });

  test("its features, and those that it lacks; of another vendor no generation", () => {
    const found = processor(cpuinfo("GenuineIntel", 6, 143, "fma avx2 f16c avx512f avx512_vnni"));
    expect(found).toMatchObject({ name: "Some CPU @ 2GHz", lacks: ["AVX-VNNI"] });
    expect(found.generation).toBeUndefined();
    const line = processorLine({ ...found, cores: 2 });
    expect(line).toBe("Some CPU @ 2GHz, 2 cores: AVX2, FMA, F16C, AVX-512, AVX-512 VNNI; without AVX-VNNI");
    expect(processorLine({ name: "M", cores: 4 })).toBe("M, 4 cores: features unknown");
    expect(processor("").features).toBeUndefined();
  });
});

describe("results in the docs", () => {
  const facts: MachineFacts = {
    processor: { name: "CPU", cores: 2, generation: "Zen 4", features: ["AVX2"] },
    node: "24.21.0",
    readLimit: 41.23,
  };
  const kind = "CPU, Zen 4, no AVX-VNNI, Node 24";
  const goals = judge(figures(1.15, WIDE));
  const labels = GOALS.map(({ label }) => label);

  test("kinds of machine are told apart", () => {
    expect(kindName(facts)).toBe(kind);
    expect(kindName({ ...facts, forced: "nibbles" })).toBe(`${kind}, SLUICE_FORM=nibbles`);
    expect(kindName({ ...facts, processor: { ...facts.processor, features: ["AVX-VNNI"] } })).toContain(", AVX-VNNI");
    expect(kindName({ ...facts, processor: { name: "M", cores: 1 } })).toBe("M, Node 24");
  });

  test("a run replaces what it measured of its own kind and leaves the rest", () => {
    const kept = { date: "2025-01-01", cores: 1, node: "24", values: { [labels[0]]: { value: 3 }, old: { value: 4 } } };
    const results = withRun({ other: kept, [kind]: kept }, facts, goals, "2026-11-30T10:00:00Z");
    expect(Object.keys(results)).toEqual(["other", kind]);
    expect(results.other).toBe(kept);
    expect(results[kind]).toMatchObject({ date: "2026-11-30", cores: 2, node: "24.21.0" });
    expect(results[kind].values[labels[0]].value).toBe(1.15);
    expect(results[kind].values.old).toEqual({ value: 4 });
    // Not measured.
    expect(results[kind].values["stories260K, decode"]).toBeUndefined();
  });

  test("columns side by side, each named; what was missed is bold", () => {
    const other = { date: "2025-01-01", cores: 8, node: "24.1", values: { [labels[0]]: { value: 1.834 } } };
    const results = withRun({ other }, facts, goals, "2026-11-30");
    const table = evidenceTable(results, labels, GOAL_MISSED);
    expect(table).toContain(`| must | aim | other | ${kind} |`);
    expect(table).toContain("| decode at 256, Q4_K_M | 1.2 | 1.4 | 1.83 | **1.15** |");
    expect(table).toContain("| prefill of 512, Q4_0 | 1 | 1.3 |  | 1.15 |");
    expect(table).toContain("| prefill of 8,192, Q4_0 | 1.2 | 1.5 |  | **1.15** |");
    expect(table).toContain(`- ${kind}: 2 cores, Node 24.21.0, memory 41.2 GB/s, 2026-11-30`);
    expect(table).not.toContain("stories260K, decode |");
  });

  test("the page has the marks, and the table of the results that are kept", () => {
    const page = read("docs/evidence.md");
    const results = JSON.parse(read("docs/speed-results.json"));
    expect(withTable(page, evidenceTable(results, labels, GOAL_MISSED))).toBe(page);
    expect(() => withTable("no marks", "x")).toThrow(/expected '<!-- results/);
  });
});
