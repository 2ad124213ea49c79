/** GGUF models in several files: the set is complete and consistent, or an error names what is not. */
import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/formats/open.js";
import { requireTensor } from "../../src/formats/require-tensor.js";
import { FormatError, NotFoundError, UnsupportedError } from "../../src/util/errors.js";
import { MemoryFiles } from "../support/memory-files.js";
import { type GgufValue, writeGguf } from "../support/write-gguf.js";
import { patched, withSections } from "./sample-gguf.js";

const name = (number: number, total = 3) => `m/tiny-0000${number}-of-0000${total}.gguf`;
const u16 = (value: number): GgufValue => ({ type: "u16", value });

interface ShardSpec {
  readonly no: number;
  readonly tensor: string;
  readonly count?: number;
  readonly tensors?: number;
}

function shard({ no, tensor, count = 3, tensors = 3 }: ShardSpec): Uint8Array {
  const metadata: Record<string, GgufValue> = {
    "split.no": u16(no),
    "split.count": u16(count),
    "split.tensors.count": { type: "i32", value: tensors },
  };
  if (no === 0) metadata["general.architecture"] = "llama";
  const values = new Float32Array(4).fill(no);
  return writeGguf({ metadata, tensors: [{ name: tensor, dtype: "f32", rows: 1, cols: 4, values }] });
}

function set(): Record<string, Uint8Array> {
  return {
    [name(1)]: shard({ no: 0, tensor: "a" }),
    [name(2)]: shard({ no: 1, tensor: "b" }),
    [name(3)]: shard({ no: 2, tensor: "c" }),
  };
}

async function refused(
  files: MemoryFiles,
  location: string,
  type: new (message: string) => Error,
  message: string | RegExp,
) {
  const opening = openCheckpoint(location, files);
  await expect(opening).rejects.toThrow(type);
  await expect(opening).rejects.toThrow(message);
  expect(files.openCount).toBe(0);
}

describe("a set of shards", () => {
  test.each(["m", name(1), name(2), name(3)])("opens whole from %s", async (location) => {
    const files = new MemoryFiles(set());
    const checkpoint = await openCheckpoint(location, files);
    expect(checkpoint.architecture).toBe("llama");
    expect([...checkpoint.tensors.keys()]).toEqual(["a", "b", "c"]);
    const values = new Float32Array(4);
    for (const [index, entry] of [...checkpoint.tensors.values()].entries()) {
      await entry.read(0, new Uint8Array(values.buffer));
      expect([...values]).toEqual(Array(4).fill(index));
    }
    await checkpoint.close();
    expect(files.openCount).toBe(0);
  });

  test("names a missing shard", async () => {
    const { [name(2)]: _, ...rest } = set();
    await refused(new MemoryFiles(rest), name(1), NotFoundError, `Shard 2 of 3 is missing: ${name(2)}`);
    await refused(new MemoryFiles(rest), "m", NotFoundError, name(2));
  });

  test("refuses two shards that were swapped", async () => {
    const { [name(2)]: second, [name(3)]: third } = set();
    const files = new MemoryFiles({ ...set(), [name(2)]: third, [name(3)]: second });
    await refused(files, name(1), FormatError, /split.no is 2 \(expected 1\)/);
  });

  test("refuses a shard of another set", async () => {
    const files = new MemoryFiles({ ...set(), [name(3)]: shard({ no: 2, tensor: "c", count: 4 }) });
    await refused(files, name(1), FormatError, /split.count 4/);
  });

  test("refuses a wrong number of tensors", async () => {
    const files = new MemoryFiles({ ...set(), [name(1)]: shard({ no: 0, tensor: "a", tensors: 5 }) });
    await refused(files, name(1), FormatError, "hold 3 tensors, expected 5");
  });

  test("refuses a tensor that is in two shards", async () => {
    const files = new MemoryFiles({ ...set(), [name(3)]: shard({ no: 2, tensor: "a" }) });
    await refused(files, name(1), FormatError, '"a" is in two shards');
  });

  test("refuses a shard whose name hides the others, and a whole model named as a shard", async () => {
    await refused(
      new MemoryFiles({ "x.gguf": shard({ no: 0, tensor: "a" }) }),
      "x.gguf",
      FormatError,
      "one of 3 shards",
    );
    const whole = writeGguf({ metadata: { "general.architecture": "llama" } });
    await refused(new MemoryFiles({ [name(1)]: whole }), name(1), FormatError, "named as one of 3 shards");
  });

  test("closes everything when a later shard is broken", async () => {
    const files = new MemoryFiles({ ...set(), [name(3)]: set()[name(3)].slice(0, 60) });
    await refused(files, name(1), FormatError, name(3));
  });
});

describe("what a model needs", () => {
  const { bytes, starts } = withSections({
    metadata: { "general.architecture": "llama" },
    tensors: [{ name: "t", dtype: "f32", rows: 1, cols: 4, values: new Float32Array(4) }],
  });

  test("a tensor of a type that is not read, by name and type; one that is missing", async () => {
    const foreign = patched(bytes, (starts.get("tensor t") ?? 0) + 8 + 1 + 4 + 8, [40]);
    const checkpoint = await openCheckpoint("f.gguf", new MemoryFiles({ "f.gguf": foreign }));
    expect(() => requireTensor(checkpoint, "t")).toThrow(UnsupportedError);
    expect(() => requireTensor(checkpoint, "t")).toThrow(/"t" is stored as nvfp4 \(ggml type 40\)/);
    expect(() => requireTensor(checkpoint, "u")).toThrow(FormatError);
    expect(() => requireTensor(checkpoint, "u")).toThrow(/"u".* is missing/);
  });

  test("an architecture", async () => {
    const files = new MemoryFiles({ "f.gguf": writeGguf({ metadata: { "general.name": "x" } }) });
    await refused(files, "f.gguf", FormatError, "general.architecture");
  });
});
