/** One call of many parts: every part's numbers and pages are those of the part alone, bit for bit, on every backend. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ReferenceBackend } from "../../src/backends/reference/reference.js";
import type { Backend } from "../../src/tensor/backend.js";
import { toleranceOf } from "./attention-cases.js";
import { DEVICES, type Device, difference, WASM_DEVICES } from "./devices.js";
import {
  alone,
  attendRagged,
  drawRagged,
  numbersOf,
  type Ragged,
  type RaggedResult,
  type RaggedShape,
  type SequenceShape,
  UNTOUCHED,
  untouchedNumbers,
} from "./ragged-cases.js";

const shape: RaggedShape = { kvHeads: 5, group: 2, keyWidth: 20, valueWidth: 12 };
const decoding: SequenceShape = { rows: 1, past: 30, ranges: 2, sets: 1 };
const many = (count: number, of: (index: number) => Partial<SequenceShape>): SequenceShape[] =>
  Array.from({ length: count }, (_, index) => ({ ...decoding, ...of(index) }));

const CASES: readonly (readonly [string, RaggedShape, readonly SequenceShape[]])[] = [
  ["one sequence, one set of heads", shape, [decoding]],
  ["one sequence, scattered heads", shape, [{ ...decoding, sets: 2, rows: 20 }]],
  ["32 sequences that decode", shape, many(32, (i) => ({ past: i * 3 }))],
  ["32 parts of 1 to 70 rows", { ...shape, group: 3 }, many(16, (i) => ({ rows: 1 + ((i * 29) % 70), sets: 2 }))],
  ["up to four ranges", shape, many(8, (i) => ({ rows: 1 + i, ranges: 4, sets: 2 }))],
  ["long ranges beside short ones", shape, many(6, (i) => ({ past: i % 2 ? 1200 : 9, rows: 1 + i, sets: 2 }))],
  ["long ranges among so many items that threads have enough", shape, many(24, (i) => ({ past: i % 3 ? 9 : 1200 }))],
  ["long ranges, sinks, soft cap", { ...shape, sinks: true, softcap: 3 }, many(4, (i) => ({ past: 1030 + 300 * i }))],
  ["ALiBi and rotated keys", { ...shape, bias: "linear", layout: "halves" }, many(7, (i) => ({ rows: 9 * i + 1 }))],
  ["a table of biases", { ...shape, bias: "table", layout: "interleaved" }, many(9, () => ({ ranges: 3, sets: 3 }))],
];

async function withBackend<R>({ create }: Device, body: (ops: Backend) => Promise<R>): Promise<R> {
  const ops = await create();
  try {
    return await body(ops);
  } finally {
    await ops.dispose();
  }
}

/** Results of all parts at once and of each by itself. */
async function bothWays(device: Device, ragged: Ragged) {
  return withBackend(device, async (ops) => {
    const together = await attendRagged(ops, ragged);
    const single: RaggedResult[] = [];
    for (const part of ragged.parts) single.push(await attendRagged(ops, alone(ragged, part)));
    return { together, single };
  });
}

/** Compared whole: an expectation for each of so many numbers takes minutes. */
const sameBits = (some: ArrayBufferView, others: ArrayBufferView): boolean =>
  Buffer.from(some.buffer, some.byteOffset, some.byteLength).equals(
    Buffer.from(others.buffer, others.byteOffset, others.byteLength),
  );

function expectSameBits(ragged: Ragged, { out, pages }: RaggedResult, single: readonly RaggedResult[]): void {
  ragged.parts.forEach((part, i) => {
    const [found, expected] = [numbersOf(ragged, part, out, part.first), numbersOf(ragged, part, single[i].out, 0)];
    expect(sameBits(found, expected), `part ${i}`).toBe(true);
    const equal = pages[i].map((page, at) => sameBits(page, single[i].pages[0][at]));
    expect(equal, `pages of part ${i}`).toEqual(pages[i].map(() => true));
  });
  expect(out.filter((x) => x === UNTOUCHED).length).toBe(untouchedNumbers(ragged));
}

function expectClose(ragged: Ragged, found: RaggedResult, reference: RaggedResult): void {
  ragged.parts.forEach((part, i) => {
    const [some, others] = [found, reference].map(({ out }) => numbersOf(ragged, part, out, part.first));
    const { keyType, valueType } = part;
    const tolerance = toleranceOf({ keyType, valueType, layout: ragged.shape.layout });
    expect(difference(some, others), `part ${i}`).toBeLessThan(tolerance);
  });
}

const onReference = (ragged: Ragged) => attendRagged(new ReferenceBackend(), ragged);

describe.each(CASES)("%s", (_, problem, sequences) => {
  const ragged = drawRagged(problem, sequences, 11);
  let reference: Promise<RaggedResult> | undefined;
  test.each(DEVICES)("$label: the bits of each part alone, close to the reference", async (device) => {
    const { together, single } = await bothWays(device, ragged);
    expectSameBits(ragged, together, single);
    reference ??= onReference(ragged);
    expectClose(ragged, together, await reference);
  });
});

describe("any parts", () => {
  const sequence = fc.record({
    rows: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 70 })),
    past: fc.integer({ min: 0, max: 60 }),
    ranges: fc.integer({ min: 0, max: 4 }),
    sets: fc.integer({ min: 1, max: 2 }),
  });
  const long = fc.record({
    rows: fc.integer({ min: 1, max: 2 }),
    past: fc.integer({ min: 1000, max: 1500 }),
    ranges: fc.integer({ min: 1, max: 3 }),
    sets: fc.integer({ min: 1, max: 2 }),
  });
  const shapes = fc.record({
    kvHeads: fc.integer({ min: 1, max: 4 }),
    group: fc.constantFrom(1, 2, 3, 5),
    keyWidth: fc.integer({ min: 2, max: 9 }).map((n) => n * 4),
    valueWidth: fc.integer({ min: 1, max: 9 }).map((n) => n * 4),
    layout: fc.constantFrom(undefined, "halves" as const, "interleaved" as const),
    softcap: fc.constantFrom(undefined, 5),
    bias: fc.constantFrom(undefined, "linear" as const, "table" as const),
    sinks: fc.boolean(),
  });
  const sequences = fc
    .tuple(fc.array(sequence, { minLength: 1, maxLength: 10 }), fc.array(long, { maxLength: 2 }))
    .map(([short, others]) => [...others, ...short]);

  test("have the bits of each alone, on any number of threads", async () => {
    await fc.assert(
      fc.asyncProperty(shapes, sequences, fc.nat(), async (problem, list, seed) => {
        const ragged = drawRagged(problem, list, seed);
        const reference = await onReference(ragged);
        for (let i = 0; i < WASM_DEVICES.length; i += 2) {
          const { together, single } = await bothWays(WASM_DEVICES[i], ragged);
          expectSameBits(ragged, together, single);
          expectClose(ragged, together, reference);
          const threads = await withBackend(WASM_DEVICES[i + 1], (ops) => attendRagged(ops, ragged));
          expect(sameBits(threads.out, together.out)).toBe(true);
          expectSameBits(ragged, threads, single);
        }
      }),
      { numRuns: 6 },
    );
  });
});
