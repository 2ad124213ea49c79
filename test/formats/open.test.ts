/** Opening a model from a file or a folder of any layout. */
import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/formats/open.js";
import { dequantiseRow } from "../../src/quant/index.js";
import { FormatError, NotFoundError, UnsupportedError } from "../../src/util/errors.js";
import { MemoryFiles } from "../support/memory-files.js";
import { writeGguf } from "../support/write-gguf.js";
import { GGUF_NAMES, hfFolder, shardedHfFolder } from "./sample-hf.js";

const gguf = writeGguf({ metadata: { "general.architecture": "llama", "tokenizer.ggml.model": "llama" } });

async function refused(
  contents: Record<string, Uint8Array | string>,
  location: string,
  type: new (message: string) => Error,
  message: string,
) {
  const files = new MemoryFiles(contents);
  const opening = openCheckpoint(location, files);
  await expect(opening).rejects.toThrow(type);
  await expect(opening).rejects.toThrow(message);
  expect(files.openCount).toBe(0);
}

describe("GGUF", () => {
  test.each(["m/model.gguf", "m", "m/"])("from %s", async (location) => {
    const files = new MemoryFiles({ "m/model.gguf": gguf, "m/README.md": "hello" });
    const checkpoint = await openCheckpoint(location, files);
    expect(checkpoint).toMatchObject({
      format: "gguf",
      architecture: "llama",
      location: "m/model.gguf",
      ropeLayout: undefined,
    });
    expect(checkpoint.tokenizer?.kind).toBe("gguf");
    await checkpoint.close();
    expect(files.openCount).toBe(0);
  });

  test("by its magic, whatever its name", async () => {
    const checkpoint = await openCheckpoint("blobs/sha256-0123", new MemoryFiles({ "blobs/sha256-0123": gguf }));
    expect(checkpoint.format).toBe("gguf");
  });
});

describe("Hugging Face", () => {
  test.each<[string, string, Record<string, Uint8Array | string>]>([
    ["a folder", "hf", hfFolder()],
    ["a file in it", "hf/model.safetensors", hfFolder()],
    ["a folder of shards", "hf", shardedHfFolder()],
    ["one shard of an index", "hf/model-00002-of-00002.safetensors", shardedHfFolder()],
  ])("%s", async (_, location, contents) => {
    const files = new MemoryFiles(contents);
    const checkpoint = await openCheckpoint(location, files);
    expect(checkpoint).toMatchObject({ format: "safetensors", architecture: "llama", location, ropeLayout: "halves" });
    expect([...checkpoint.tensors.keys()]).toEqual(GGUF_NAMES);
    const entry = checkpoint.tensors.get("blk.0.attn_v.weight");
    expect(entry).toMatchObject({ name: "blk.0.attn_v.weight", dtype: "f16", rows: 4, cols: 8 });
    const bytes = new Uint8Array(entry?.bytes ?? 0);
    await entry?.read(0, bytes);
    const row = new Float32Array(8);
    dequantiseRow("f16", bytes, 16, 8, row);
    expect([...row]).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
    await checkpoint.close();
    expect(files.openCount).toBe(0);
  });

  test("the tokenizer's files, the template from its own file first", async () => {
    const files = new MemoryFiles({ ...hfFolder(), "hf/chat_template.jinja": "{{ messages }}" });
    expect((await openCheckpoint("hf", files)).tokenizer).toEqual({
      kind: "hf",
      tokenizerJson: { model: { type: "BPE" } },
      startId: 1,
      endIds: [2],
      tokenizerConfig: { bos_token: "<s>", chat_template: "{{ messages }}" },
      specialTokensMap: {},
    });
    const { "hf/tokenizer.json": _, ...rest } = hfFolder();
    expect((await openCheckpoint("hf", new MemoryFiles(rest))).tokenizer).toBeUndefined();
  });

  test("a tied head is left out", async () => {
    const { tensors } = await openCheckpoint("hf", new MemoryFiles(hfFolder({ tie_word_embeddings: true })));
    expect(tensors.has("output.weight")).toBe(false);
  });
});

describe("refusals", () => {
  const folder = hfFolder();
  const sharded = shardedHfFolder();
  const lacking = (contents: Record<string, Uint8Array | string>, name: string) =>
    Object.fromEntries(Object.entries(contents).filter(([path]) => path !== name));
  const indexed = (map: unknown) => ({
    ...sharded,
    "hf/model.safetensors.index.json": JSON.stringify({ weight_map: map }),
  });

  test("a location with nothing", () => refused({}, "gone.gguf", NotFoundError, "gone.gguf"));
  test("a folder with nothing that fits", () =>
    refused({ "m/a.txt": "", "m/b.bin": "" }, "m", NotFoundError, "a.txt, b.bin"));
  test("a folder with several models lists them", () =>
    refused(
      { "m/a.gguf": gguf, "m/b.gguf": gguf },
      "m",
      NotFoundError,
      "2 GGUF models; name one of them: m/a.gguf, m/b.gguf",
    ));
  test("the folder of a training run is its model, whatever exports lie beside it", async () => {
    const run = {
      "run/config.json": '{"name": "tiny"}',
      "run/log.jsonl": "",
      "run/tiny.gguf": gguf,
      "run/tiny-q8_0.gguf": gguf,
    };
    const opened = await openCheckpoint("run", new MemoryFiles(run));
    expect(opened.location).toBe("run/tiny.gguf");
    await opened.close();
    // A folder that only looks like one names its models.
    for (const changed of [
      { "run/config.json": "{}" },
      { "run/config.json": '{"name": 7}' },
      { "run/config.json": "7" },
    ]) {
      await refused({ ...run, ...changed }, "run", NotFoundError, "run/tiny-q8_0.gguf, run/tiny.gguf");
    }
  });
  test("a file of another kind", () =>
    refused({ "pytorch_model.bin": "PK\x03\x04" }, "pytorch_model.bin", FormatError, "zip"));
  test("an empty file", () => refused({ "m.gguf": "" }, "m.gguf", FormatError, "empty"));
  test("safetensors without config.json", () =>
    refused(lacking(folder, "hf/config.json"), "hf/model.safetensors", NotFoundError, "no config.json"));
  test("config.json that is not JSON", () =>
    refused({ ...folder, "hf/config.json": "{" }, "hf", FormatError, "not valid JSON"));
  test("config.json that is a list", () =>
    refused({ ...folder, "hf/config.json": "[]" }, "hf", FormatError, "JSON object"));
  test("config.json that is not UTF-8", () =>
    refused({ ...folder, "hf/config.json": Uint8Array.of(0x7b, 0xff) }, "hf", FormatError, "UTF-8"));
  test("tokenizer.json that is cut", () =>
    refused({ ...folder, "hf/tokenizer.json": '{"model": ' }, "hf", FormatError, "tokenizer.json is not valid JSON"));
  test("an unknown architecture", () => refused(hfFolder({ model_type: "bert" }), "hf", UnsupportedError, '"bert"'));
  test("truncated weights", () =>
    refused(
      { ...folder, "hf/model.safetensors": folder["hf/model.safetensors"].slice(0, -4) },
      "hf",
      FormatError,
      "truncated",
    ));
  test("a missing shard", () =>
    refused(lacking(sharded, "hf/model-00002-of-00002.safetensors"), "hf", NotFoundError, "model-00002-of-00002"));
  test("an index that places a tensor wrongly", () =>
    refused(indexed({ ghost: "model-00001-of-00002.safetensors" }), "hf", FormatError, '"ghost"'));
  test("an index that reaches out of its folder", () =>
    refused(indexed({ t: "../../secret.safetensors" }), "hf", FormatError, "of its folder"));
  test("an index without a map", () => refused(indexed(7), "hf", FormatError, "weight_map"));
  test("the same tensor in two files", () =>
    refused(
      { ...sharded, "hf/model-00002-of-00002.safetensors": sharded["hf/model-00001-of-00002.safetensors"] },
      "hf",
      FormatError,
      "in another file",
    ));
  test("several weight files without an index", () =>
    refused(lacking(sharded, "hf/model.safetensors.index.json"), "hf", FormatError, "Name the one to open"));
});
