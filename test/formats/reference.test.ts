/** References to models: local places, and what is fetched from a hub for each form. */
import { describe, expect, test } from "vitest";
import { quantLabel } from "../../src/formats/hub-files.js";
import { openCheckpoint } from "../../src/formats/open.js";
import { parseHubReference, resolveReference } from "../../src/formats/reference.js";
import { ArgumentError, CancelledError, NotFoundError, UnsupportedError } from "../../src/util/errors.js";
import type { Hub, HubFetchOptions } from "../../src/util/platform.js";
import { MemoryFiles } from "../support/memory-files.js";
import { hfFolder, shardedHfFolder } from "./sample-hf.js";

/** A hub of one repository that "downloads" into cache/. */
class FakeHub implements Hub {
  readonly fetched: string[] = [];
  listings = 0;
  constructor(
    readonly contents: Readonly<Record<string, Uint8Array | string>>,
    readonly into: MemoryFiles,
  ) {}

  async list(repo: string) {
    this.listings += 1;
    if (repo !== "user/repo") throw new NotFoundError(`There is no repository ${repo}.`);
    return Object.entries(this.contents).map(([path, content]) => ({ path, size: content.length }));
  }

  async fetch(repo: string, path: string, options?: HubFetchOptions) {
    const content = this.contents[path];
    if (repo !== "user/repo" || content === undefined) throw new NotFoundError(`${repo} has no ${path}.`);
    this.fetched.push(path);
    options?.onProgress?.(Math.floor(content.length / 2), content.length);
    this.into.contents.set(`cache/${path}`, typeof content === "string" ? new TextEncoder().encode(content) : content);
    return `cache/${path}`;
  }
}

function withHub(contents: Readonly<Record<string, Uint8Array | string>>) {
  const files = new MemoryFiles();
  const hub = new FakeHub(contents, files);
  const platform = { open: files.open.bind(files), list: files.list.bind(files), hub };
  return { platform, hub };
}

/** A repository of files of eight bytes. */
function withFiles(paths: readonly string[]) {
  return withHub(Object.fromEntries(paths.map((path) => [path, "12345678"])));
}

describe("local places", () => {
  const files = new MemoryFiles({ "m/a.gguf": "x" });
  test("stay as they are", async () => {
    expect(await resolveReference("m/a.gguf", files)).toBe("m/a.gguf");
    expect(await resolveReference("m", files)).toBe("m");
    expect(await resolveReference("https://host/model.gguf", files)).toBe("https://host/model.gguf");
  });
  test("must be there", async () => {
    await expect(resolveReference("user/repo", files)).rejects.toThrow(NotFoundError);
    await expect(resolveReference("user/repo", files)).rejects.toThrow("hf:user/repo");
  });
  test("a hub reference where there is no hub", async () => {
    await expect(resolveReference("hf:user/repo", files)).rejects.toThrow(UnsupportedError);
  });
});

test("the forms of a hub reference", () => {
  expect(parseHubReference("model.gguf")).toBeUndefined();
  expect(parseHubReference("hf:user/repo")).toEqual({ repo: "user/repo" });
  expect(parseHubReference("hf:user/re.po-1:Q4_K_M")).toEqual({ repo: "user/re.po-1", quant: "Q4_K_M" });
  expect(parseHubReference("hf:user/repo/sub/f.gguf")).toEqual({ repo: "user/repo", file: "sub/f.gguf" });
  const bad = ["hf:", "hf:repo", "hf:user/", "hf:user/repo/", "hf:user/repo:", "hf:user/repo/f.bin", "hf:../repo"];
  for (const reference of [
    ...bad,
    "hf:user/..",
    "hf:user/repo/../f.gguf",
    "hf:user/repo//f.gguf",
    "hf:user/repo:a b",
  ]) {
    expect(() => parseHubReference(reference), reference).toThrow(ArgumentError);
  }
});

test.each([
  ["tiny.Q4_K_M.gguf", "Q4_K_M"],
  ["qwen2.5-0.5b-instruct-q8_0.gguf", "Q8_0"],
  ["sub/Tiny-IQ4_NL-00001-of-00003.gguf", "IQ4_NL"],
  ["model-fp16.gguf", "F16"],
  ["model-bf16.gguf", "BF16"],
  ["q2-model.gguf", undefined],
  ["Q8_0.gguf", "Q8_0"],
])("the quantisation of %s is %s", (path, label) => {
  expect(quantLabel(path)).toBe(label);
});

describe("GGUF of a hub", () => {
  const repo = ["README.md", "t.F16.gguf", "t.Q2_K.gguf", "t.Q4_K_M.gguf", "t.Q8_0.gguf", "mmproj-t-Q4_K_M.gguf"];

  test.each([
    ["hf:user/repo", "t.Q4_K_M.gguf"],
    ["hf:user/repo:q8_0", "t.Q8_0.gguf"],
    ["hf:user/repo:FP16", "t.F16.gguf"],
    ["hf:user/repo/t.Q2_K.gguf", "t.Q2_K.gguf"],
  ])("%s takes %s", async (reference, path) => {
    const { platform, hub } = withFiles(repo);
    expect(await resolveReference(reference, platform)).toBe(`cache/${path}`);
    expect(hub.fetched).toEqual([path]);
  });

  test("a named file needs no listing", async () => {
    const { platform, hub } = withFiles(repo);
    await resolveReference("hf:user/repo/t.Q2_K.gguf", platform);
    expect(hub.listings).toBe(0);
  });

  test("the second preference, and a single file of any name", async () => {
    const second = withFiles(["t.F16.gguf", "t.Q8_0.gguf"]);
    expect(await resolveReference("hf:user/repo", second.platform)).toBe("cache/t.Q8_0.gguf");
    const single = withFiles(["anything.gguf"]);
    expect(await resolveReference("hf:user/repo", single.platform)).toBe("cache/anything.gguf");
  });

  const shards = [1, 2, 3].map((n) => `q4/t-Q4_K_M-0000${n}-of-00003.gguf`);
  test.each(["hf:user/repo", "hf:user/repo:Q4_K_M", `hf:user/repo/${shards[1]}`])(
    "all shards for %s",
    async (reference) => {
      const { platform, hub } = withFiles([...shards.toReversed(), "t.Q2_K.gguf"]);
      const location = await resolveReference(reference, platform);
      expect(hub.fetched.toSorted()).toEqual(shards);
      expect(location).toBe(`cache/${reference.endsWith(".gguf") ? shards[1] : shards[0]}`);
    },
  );

  test("what is missing is said with what there is", async () => {
    const { platform } = withFiles(repo);
    const list = "t.F16.gguf, t.Q2_K.gguf, t.Q4_K_M.gguf, t.Q8_0.gguf";
    await expect(resolveReference("hf:user/repo:Q6_K", platform)).rejects.toThrow(NotFoundError);
    await expect(resolveReference("hf:user/repo:Q6_K", platform)).rejects.toThrow(list);
    await expect(resolveReference("hf:user/repo/gone.gguf", platform)).rejects.toThrow(NotFoundError);
    await expect(resolveReference("hf:user/repo/gone.gguf", platform)).rejects.toThrow("t.Q4_K_M.gguf");
    await expect(resolveReference("hf:user/gone", platform)).rejects.toThrow(NotFoundError);
    const other = withFiles(["README.md", "model.bin"]);
    await expect(resolveReference("hf:user/repo", other.platform)).rejects.toThrow(
      /has no model: .*README.md, model.bin/,
    );
    // What is there is not what is missing.
    for (const [names, message] of [
      [["config.json", "README.md"], /has a config.json, but no weights: .* it has config.json, README.md/],
      [["model.safetensors"], /has weights \(model.safetensors\), but no config.json/],
      [[], /it is empty/],
    ] as const) {
      await expect(resolveReference("hf:user/repo", withFiles(names).platform)).rejects.toThrow(message);
    }
  });

  test("several that fit are not guessed between", async () => {
    const { platform } = withFiles(["a/t.Q4_K_M.gguf", "b/t.Q4_K_M.gguf"]);
    await expect(resolveReference("hf:user/repo", platform)).rejects.toThrow(ArgumentError);
    await expect(resolveReference("hf:user/repo", platform)).rejects.toThrow("hf:user/repo/a/t.Q4_K_M.gguf");
  });

  test("progress runs over all files and never back", async () => {
    const { platform } = withFiles(shards);
    const seen: (readonly [number, number])[] = [];
    await resolveReference("hf:user/repo", platform, { onProgress: (done, total) => seen.push([done, total]) });
    expect(seen).toEqual([4, 8, 12, 16, 20, 24].map((done) => [done, 24]));
  });

  test("cancelled", async () => {
    const { platform, hub } = withFiles(repo);
    const cancel = AbortSignal.abort();
    await expect(resolveReference("hf:user/repo", platform, { signal: cancel })).rejects.toThrow(CancelledError);
    expect(hub.fetched).toEqual([]);
  });
});

describe("safetensors of a hub", () => {
  const inRepo = (folder: Record<string, Uint8Array | string>) =>
    Object.fromEntries(Object.entries(folder).map(([path, content]) => [path.replace(/^hf\//, ""), content]));

  test.each([
    ["one file", inRepo(hfFolder())],
    ["shards", inRepo(shardedHfFolder())],
  ])("%s, complete enough to open", async (_, contents) => {
    const { platform, hub } = withHub({ ...contents, "notes.md": "", "original/params.json": "{}" });
    const location = await resolveReference("hf:user/repo", platform);
    expect(location).toBe("cache");
    expect([...new Set(hub.fetched)].toSorted()).toEqual(Object.keys(contents).toSorted());
    const checkpoint = await openCheckpoint(location, platform);
    expect(checkpoint.architecture).toBe("llama");
    expect(checkpoint.tokenizer?.kind).toBe("hf");
    await checkpoint.close();
  });

  test("a shard that the index names and the repository lacks", async () => {
    const { "model-00002-of-00002.safetensors": _, ...rest } = inRepo(shardedHfFolder());
    const { platform } = withHub(rest);
    await expect(resolveReference("hf:user/repo", platform)).rejects.toThrow(
      /lacks the weights file model-00002-of-00002/,
    );
  });

  test("a quantisation is not to be had", async () => {
    const { platform } = withHub(inRepo(hfFolder()));
    await expect(resolveReference("hf:user/repo:Q4_0", platform)).rejects.toThrow(/no GGUF file of Q4_0; it has none/);
  });
});
