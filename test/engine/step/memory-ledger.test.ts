/** Promises of a model's memory where its layers lie in several: each has its own, and the fullest decides. */
import { describe, expect, it } from "vitest";
import { ReferenceBackend } from "../../../src/backends/reference/reference.js";
import { sessionSettings } from "../../../src/engine/session/session-options.js";
import { MemoryLedger } from "../../../src/engine/step/memory-ledger.js";
import { cacheBytesByPlace, logitBytes, stepBytesOf } from "../../../src/engine/step/memory-plan.js";
import { mixerShapes } from "../../../src/nn/mixer.js";
import type { Backend } from "../../../src/tensor/backend.js";
import { MemoryError } from "../../../src/util/errors.js";
import { randomModel, SMALL } from "../../support/random-model.js";

const SETTINGS = sessionSettings({ context: "full", contextLength: 160, kv: "f32", chunk: 4 });
/** Of one layer: ten pages of 16 tokens with keys and values of two heads of 8 numbers. */
const LAYER_BYTES = 10 * 16 * 2 * (8 + 8) * 4;

function ledger() {
  const { spec } = randomModel({ ...SMALL, layers: 4 }, 1);
  /** Bytes that are left in each memory. */
  const left = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const backend: Backend = new ReferenceBackend();
  backend.placeOf = (layer) => (layer < 3 ? 0 : 1);
  backend.placeBytesLeft = (place) => left[place];
  const model = { backend, spec, shapes: mixerShapes(spec), machineBytes: 0 };
  const made = new MemoryLedger(model, { limitBytes: Number.POSITIVE_INFINITY, advice: "Take less." });
  /** A step has activations in both. */
  const shareBytes = stepBytesOf(model, SETTINGS) / 2;
  return { left, model, made, shareBytes };
}

function refusal(action: () => void): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("a model in two memories", () => {
  it("has the cache of a layer where the layer is", () => {
    expect(cacheBytesByPlace(ledger().model, SETTINGS)).toEqual([
      { place: 0, layers: 3, allLayers: 4, cacheBytes: 3 * LAYER_BYTES },
      { place: 1, layers: 1, allLayers: 4, cacheBytes: LAYER_BYTES },
    ]);
  });

  it.each([
    [0, 3 * LAYER_BYTES],
    [1, LAYER_BYTES],
  ])("admits a session to memory %i to the last byte, and not beyond", (place, cacheBytes) => {
    const { left, made, shareBytes } = ledger();
    left[place] = cacheBytes + shareBytes - 1;
    const error = refusal(() => made.admit({}, SETTINGS));
    expect(error).toBeInstanceOf(MemoryError);
    expect(error).toMatchObject({
      details: { neededBytes: cacheBytes + shareBytes, availableBytes: cacheBytes + shareBytes - 1 },
      message: expect.stringMatching(
        new RegExp(`beside ${place === 0 ? 3 : 1} of 4 layers in one memory, .* Take less\\.`),
      ),
    });
    left[place]++;
    made.admit({}, SETTINGS);
  });

  it.each([
    [0, 3 * LAYER_BYTES],
    [1, LAYER_BYTES],
  ])("remembers what was promised of memory %i until it is given back", (place, cacheBytes) => {
    const { left, made, shareBytes } = ledger();
    const leftBytes = 2.5 * cacheBytes + shareBytes;
    left[place] = leftBytes;
    const [first, second, third] = [{}, {}, {}];
    made.admit(first, SETTINGS);
    made.admit(second, SETTINGS);
    for (let again = 0; again < 2; again++) {
      expect(refusal(() => made.admit(third, SETTINGS))).toMatchObject({
        code: "out_of_memory",
        message: expect.stringContaining("are promised to 2 other sessions"),
        details: {
          neededBytes: cacheBytes + shareBytes,
          availableBytes: leftBytes - 2 * cacheBytes,
          promisedBytes: 2 * cacheBytes,
        },
      });
    }
    // What was promised counts, not what was taken of it since.
    left[place] = 0;
    made.release(second);
    made.admit(third, SETTINGS);
  });

  it("goes by the most that was ever left, as a backend keeps the memory of steps to use it again", () => {
    const { left, made, shareBytes } = ledger();
    left[1] = LAYER_BYTES + shareBytes;
    const first = {};
    made.admit(first, SETTINGS);
    made.release(first);
    left[1] = LAYER_BYTES;
    made.admit({}, SETTINGS);
  });
});

describe("steps", () => {
  const NARROW = { ...SETTINGS, chunk: 1 };
  const CACHE_BYTES = 4 * LAYER_BYTES;

  /** The ledger of a model with room for so many caches beside the steps of 4 rows. */
  function roomFor(caches: number) {
    const { model } = ledger();
    const wideBytes = stepBytesOf(model, SETTINGS);
    const limitBytes = model.backend.memoryBytes + caches * CACHE_BYTES + wideBytes;
    return { made: new MemoryLedger(model, { limitBytes, advice: "Take less." }), wideBytes, model };
  }

  it("are counted once for all sessions: the largest", () => {
    const { made, wideBytes } = roomFor(2);
    made.admit({}, NARROW);
    made.admit({}, SETTINGS);
    expect(refusal(() => made.admit({}, NARROW))).toMatchObject({
      details: { neededBytes: CACHE_BYTES + wideBytes, availableBytes: wideBytes, promisedBytes: 2 * CACHE_BYTES },
    });
  });

  it("of a session that is gone count for those that were there with it, and for none that come after all", () => {
    const { made, wideBytes, model } = roomFor(1);
    const narrowBytes = stepBytesOf(model, NARROW);
    const [wide, narrow] = [{}, {}];
    made.admit(wide, SETTINGS);
    made.release(wide);
    made.admit(narrow, NARROW);
    expect(refusal(() => made.admit({}, NARROW))).toMatchObject({
      details: { neededBytes: CACHE_BYTES + narrowBytes, availableBytes: wideBytes },
    });
  });

  it("with the logits of many rows count from then on", () => {
    const { made, wideBytes, model } = roomFor(2);
    const [first, rows] = [{}, 100];
    made.admit(first, SETTINGS);
    made.admitLogits(first, rows);
    const largeBytes = wideBytes + logitBytes(model.spec, rows) - logitBytes(model.spec, 1);
    expect(largeBytes).toBeGreaterThan(wideBytes);
    expect(refusal(() => made.admit({}, NARROW))).toMatchObject({
      details: { neededBytes: CACHE_BYTES + largeBytes, availableBytes: CACHE_BYTES + wideBytes },
    });
    expect(refusal(() => made.admitLogits(first, 10_000))).toBeInstanceOf(MemoryError);
    // Of a session that was promised nothing there is nothing to say.
    made.admitLogits({}, 10_000);
  });

  it("a session that asks anew has one promise, not two", () => {
    const { made } = roomFor(1);
    const session = {};
    for (let again = 0; again < 3; again++) made.admit(session, SETTINGS);
    expect(refusal(() => made.admit({}, SETTINGS))).toMatchObject({ details: { promisedBytes: CACHE_BYTES } });
  });
});
