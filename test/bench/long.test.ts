/** What the benchmark of long caches is judged by, its part of the docs, and the states that it makes for llama.cpp. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { withTable } from "../../bench/lib/evidence.mjs";
import { GOAL_MISSED } from "../../bench/lib/goals.mjs";
import { judgeLong, LONG_MARKS, LONG_ROWS, longEvidence, type Measured } from "../../bench/lib/long-report.mjs";
import { cellBytes, parseState, stateBytes } from "../../bench/lib/made-states.mjs";

const WIDE = { bits: 256, processor: { features: ["AVX2"] } };

/** Rows with the tokens/s and cache bytes given by name and length. */
function rows(rates: Readonly<Record<string, readonly number[]>>, bytes = 1): Measured[] {
  const lengths = [8192, 32_768, 131_072];
  return Object.entries(rates).flatMap(([name, all]) =>
    all.map((rate, i) => ({
      name,
      length: lengths[i],
      rates: [rate, rate * 3, rate / 3],
      cacheBytes: name.startsWith("duo") ? bytes : 2,
    })),
  );
}

const reached = {
  full: [10, 4, 1],
  "full,read=quest:1024": [20, 20, 10],
  "duo of half": [15, 6.4, 2],
  "full, q4": [12, 4.1, 2],
  "llama.cpp f16": [10, 4, 1],
};

describe("verdicts", () => {
  const missed = (measured: Measured[], facts = WIDE) =>
    judgeLong(measured, facts).flatMap(({ label, verdict }) => (verdict === GOAL_MISSED ? [label] : []));

  test("what reaches its limit has not missed it", () => {
    expect(missed(rows(reached))).toEqual([]);
    expect(judgeLong(rows(reached), WIDE).map(({ value }) => value)).toEqual([2, 5, 2, 2, 1.6, 1.025]);
  });

  test("each limit can be missed", () => {
    const one = (name: string, rates: number[]) => missed(rows({ ...reached, [name]: rates }));
    expect(one("full,read=quest:1024", [19.9, 20, 10])).toEqual(["read=quest:1024 at 8,192, over llama.cpp f16"]);
    expect(one("full,read=quest:1024", [20, 19.9, 10])).toEqual(["read=quest:1024 at 32,768, over llama.cpp f16"]);
    expect(one("full,read=quest:1024", [20, 20, 9.9])).toEqual([
      "read=quest:1024: a token at 131,072 over one at 8,192 (at most)",
    ]);
    expect(one("duo of half", [15, 6.3, 2])).toEqual(["duo of half at 32,768: speed over full"]);
    expect(one("full, q4", [15, 3.9, 2])).toEqual(["q4 at 32,768: speed over f16"]);
    expect(missed(rows(reached, 1.1))).toEqual(["duo of half at 32,768: cache of full over its own"]);
  });

  test("beside llama.cpp only with 256 bits and without AVX-VNNI", () => {
    const slow = rows({ ...reached, "full,read=quest:1024": [1, 1, 1] });
    expect(missed(slow)).toHaveLength(2);
    expect(missed(slow, { ...WIDE, bits: 128 })).toEqual([]);
  });

  test("a row that was refused is not measured, and has no figures in the docs", () => {
    const some = rows(reached).map((row) =>
      row.name === "full, q4" ? { ...row, rates: undefined, refused: "x" } : row,
    );
    const goals = judgeLong(some, WIDE);
    expect(goals.at(-1)?.verdict).toBe("not measured");
    const about = { kind: "CPU", node: "24", threads: 2, date: "2026-12-01T00:00:00Z", disturbed: false };
    const text = longEvidence(some, goals, about);
    expect(text).toContain("| `full, q4` |  |  |  |  |  |  |  |  |  |");
    expect(text).toContain("| `full,read=quest:1024` | 20.0 | 2.00 | 0 | 20.0 | 5.00 | 0 | 10.0 | 10.0 | 0 |");
    const page = readFileSync(new URL("../../docs/evidence.md", import.meta.url), "utf8");
    expect(withTable(page, text, LONG_MARKS)).toContain(text);
  });

  test("rows are told apart by their names", () => {
    expect(new Set(LONG_ROWS.map(({ name }) => name)).size).toBe(LONG_ROWS.length);
  });
});

describe("states of llama.cpp", () => {
  const random = (bytes: number, seed: number) =>
    Buffer.from(Array.from({ length: bytes }, (_, i) => (i * seed) % 251));
  const state = {
    tokens: Int32Array.of(7, 8, 9),
    tensors: [8, 8, 6, 6].map((rowBytes, i) => ({
      type: 1,
      rows: [1, 2, 3].map((row) => random(rowBytes, 5 * row + i)),
    })),
  };
  const bytesOf = (...args: Parameters<typeof stateBytes>) => Buffer.concat([...stateBytes(...args)]);

  test("what is written is what is read", () => {
    const bytes = bytesOf(state, state.tokens);
    expect(bytes.length).toBe(12 + 3 * 4 + 8 + 3 * 12 + 8 + 4 * 12 + 3 * cellBytes(state));
    const read = parseState(bytes);
    expect(read.tokens).toEqual(state.tokens);
    expect(read.tensors).toEqual(state.tensors);
    expect(() => parseState(bytes.subarray(0, -1))).toThrow(/expected bytes/);
    bytes[4]++;
    expect(() => parseState(bytes)).toThrow(/expected version 3, found 4/);
  });

  test("a longer one has the rows that it is told, in batches", () => {
    // More than a call has room for as arguments.
    const length = 130_000;
    const tokens = Int32Array.from({ length }, (_, i) => i);
    const { tensors } = parseState(bytesOf(state, tokens, (place) => place % 3));
    for (const [i, { rows: found }] of tensors.entries()) {
      expect(found.length).toBe(length);
      expect(found.every((row, place) => row.equals(state.tensors[i].rows[place % 3]))).toBe(true);
    }
  });
});
