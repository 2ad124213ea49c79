/** Which layers have a window, how wide, and how they turn: by the keys, and by what the architecture has without them. */
import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/util/errors.js";
import { type Family, familyNamed } from "../support/families.js";
import { familySpec } from "../support/random-gguf.js";

const WIDTH = "attention.sliding_window";
const PATTERN = "attention.sliding_window_pattern";

/** The family without `without`, and with `keys`. */
function changed(name: string, keys: Family["keys"], without: readonly string[] = []): Family {
  const family = familyNamed(name);
  const kept = Object.entries(family.keys).filter(([key]) => !without.includes(key));
  return { ...family, keys: { ...Object.fromEntries(kept), ...keys } };
}

const layersOf = (family: Family) =>
  familySpec(family).layers.map(({ mixer: { body } }) => (body.kind === "attention" ? body : undefined));
const windows = (family: Family) => layersOf(family).map((layer) => layer?.window ?? 0);
const bases = (family: Family) => layersOf(family).map((layer) => layer?.rope?.base);

describe("windows by layer", () => {
  it.each<[string, Family["keys"], readonly string[], readonly number[]]>([
    ["gemma3", {}, [], [11, 11, 11, 11, 11, 0]],
    ["gemma3", {}, [WIDTH], [0, 0, 0, 0, 0, 0]],
    ["gemma3", { [WIDTH]: 0 }, [], [0, 0, 0, 0, 0, 0]],
    ["gemma3", { [PATTERN]: 3 }, [], [11, 11, 0, 11, 11, 0]],
    ["gemma3", { [PATTERN]: 1 }, [], [0, 0, 0, 0, 0, 0]],
    ["gemma3", { [PATTERN]: 0 }, [], [11, 11, 11, 11, 11, 11]],
    ["gemma3", { [PATTERN]: [true, false, true, true, false, false] }, [], [11, 0, 11, 11, 0, 0]],
    ["gemma3", { [PATTERN]: Int32Array.of(0, 1, 0, 1, 0, 1) }, [], [0, 11, 0, 11, 0, 11]],
    ["gemma3", { [PATTERN]: 3 }, [WIDTH], [0, 0, 0, 0, 0, 0]],
    ["gemma2", {}, [], [11, 0]],
    ["gemma2", {}, [WIDTH], [4096, 0]],
    ["gemma2", { [WIDTH]: 0 }, [], [0, 0]],
    ["gemma2", { [PATTERN]: [false, true] }, [], [0, 11]],
    ["gpt-oss", {}, [], [11, 0]],
    ["gpt-oss", { [WIDTH]: 0 }, [], [0, 0]],
    ["gpt-oss", { [WIDTH]: 1_000_000 }, [], [1_000_000, 0]],
    ["gpt-oss", { [PATTERN]: 0 }, [], [11, 11]],
    ["mistral", {}, [], [13, 13]],
    ["mistral", {}, [WIDTH], [0, 0]],
    ["mistral", { [WIDTH]: 0 }, [], [0, 0]],
    ["mistral", { [PATTERN]: 2 }, [], [13, 0]],
    ["sluice, window and sinks", { [WIDTH]: 0 }, [], [0, 0]],
    ["phi3 with a window", {}, [], [20, 20]],
    ["phi3 with a window", { [WIDTH]: 7 }, ["attention.window"], [0, 0]],
    ["llama", { [WIDTH]: 7 }, [], [0, 0]],
    ["qwen2", { "attention.window": 9, "attention.window_pattern": [false, true] }, [], [0, 9]],
  ])("%s with %j, without %j", (name, keys, without, expected) => {
    expect(windows(changed(name, keys, without))).toEqual(expected);
  });
});

describe("bases by layer", () => {
  it.each<[string, Family["keys"], readonly string[], readonly number[]]>([
    ["gemma3", { "rope.freq_base": 5e5, [PATTERN]: 3 }, [], [1e4, 1e4, 5e5, 1e4, 1e4, 5e5]],
    ["gemma3", { "rope.freq_base": 5e5, "rope.freq_base_swa": 7e3, [PATTERN]: 6 }, [], [7e3, 7e3, 7e3, 7e3, 7e3, 5e5]],
    ["gemma3", { "rope.freq_base": 5e5, "rope.freq_base_swa": 7e3 }, [WIDTH], [5e5, 5e5, 5e5, 5e5, 5e5, 5e5]],
    ["gemma3", { "rope.freq_base": 5e5, [WIDTH]: 0 }, [], [5e5, 5e5, 5e5, 5e5, 5e5, 5e5]],
    // As llama.cpp has it where the file says nothing.
    ["gemma3", {}, [], [1e4, 1e4, 1e4, 1e4, 1e4, 1e4]],
    ["gemma2", { "rope.freq_base_swa": 500 }, [], [500, 1e4]],
    ["gpt-oss", { "rope.freq_base_swa": 500 }, [], [500, 1e4]],
  ])("%s with %j, without %j", (name, keys, without, expected) => {
    expect(bases(changed(name, keys, without))).toEqual(expected);
  });

  it("layers of gemma3 with a window are not scaled, those of gemma2 are", () => {
    const scaling = { "rope.scaling.type": "linear", "rope.scaling.factor": 8 };
    const kinds = (name: string, keys: Family["keys"] = {}) =>
      layersOf(changed(name, { ...scaling, ...keys })).map((layer) => layer?.rope?.scaling.kind);
    expect(kinds("gemma3")).toEqual(["none", "none", "none", "none", "none", "linear"]);
    expect(kinds("gemma3", { [WIDTH]: 0 })).toEqual(new Array(6).fill("linear"));
    expect(kinds("gemma2")).toEqual(["linear", "linear"]);
  });
});

describe("refused", () => {
  it.each<[string, Family["keys"], string]>([
    ["gemma3", { [WIDTH]: -1 }, "a whole number"],
    ["gemma3", { [WIDTH]: 2.5 }, "a whole number"],
    ["gemma3", { [WIDTH]: Int32Array.of(1, 2, 3, 4, 5, 6) }, "must be a number"],
    ["gemma3", { [PATTERN]: -2 }, "a whole number"],
    ["gemma3", { [PATTERN]: [true, false] }, "a list of 6"],
    ["gemma3", { [PATTERN]: [2, 0, 0, 0, 0, 0] }, "true or false for each layer; found 2"],
    ["gemma3", { [PATTERN]: "3" }, "must be a number"],
  ])("%s with %j", (name, keys, message) => {
    expect(() => familySpec(changed(name, keys))).toThrow(FormatError);
    expect(() => familySpec(changed(name, keys))).toThrow(message);
  });

  it("gpt-oss without a window, which all of its models have", () => {
    expect(() => familySpec(changed("gpt-oss", {}, [WIDTH]))).toThrow(FormatError);
  });
});
