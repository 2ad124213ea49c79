/** Folders whose files leave something out or say too much: the start token, tokens beyond the embedding. */
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import { createTokenizer } from "../../src/tokenizer/create-tokenizer.js";
import { hasShared } from "../support/shared-vocabularies.js";
import { hfJson } from "../support/tiny-vocabularies.js";

const source = (json: object, more: object = {}) =>
  ({ kind: "hf", tokenizerJson: json, tokenizerConfig: {}, specialTokensMap: {}, ...more }) as const;
const single = (...texts: string[]) => ({
  type: "TemplateProcessing",
  single: [...texts.map((id) => ({ SpecialToken: { id, type_id: 0 } })), { Sequence: { id: "A", type_id: 0 } }],
});

describe("the start token", () => {
  it("is what the post-processor puts first, where no file names it", () => {
    const tokenizer = createTokenizer(source(hfJson({ post_processor: single("<|end|>") })));
    expect([...tokenizer.encode("x")]).toEqual([259, 120]);
    expect([tokenizer.bosId, tokenizer.addsBos, [...tokenizer.prefix]]).toEqual([259, true, [259]]);
  });

  it("several tokens in front are all part of a session's beginning", () => {
    const tokenizer = createTokenizer(source(hfJson({ post_processor: single("<tool>", "<|end|>") })));
    expect([...tokenizer.encode("x")]).toEqual([260, 259, 120]);
    expect([...tokenizer.prefix]).toEqual([260, 259]);
  });

  it("of config.json is known, and put only where the post-processor does", () => {
    const tokenizer = createTokenizer(source(hfJson(), { startId: 259 }));
    expect([tokenizer.bosId, tokenizer.addsBos, [...tokenizer.encode("x")]]).toEqual([259, false, [120]]);
  });

  it("post-processors that aren't known are refused, not skipped", () => {
    expect(() => createTokenizer(source(hfJson({ post_processor: { type: "Nonesuch" } })))).toThrow(/"Nonesuch"/);
  });
});

describe("tokens beyond the embedding", () => {
  const extra = [
    { id: 259, content: "<|end|>", special: true, normalized: false },
    { id: 260, content: "<image>", special: true, normalized: false },
  ];

  it("that were added are left out, and said", () => {
    const tokenizer = createTokenizer(source(hfJson({ added_tokens: extra })), 260);
    expect(tokenizer.vocabSize).toBe(260);
    expect([...tokenizer.encode("<image>")].every((id) => id < 259)).toBe(true);
    expect(tokenizer.notes).toEqual([
      expect.stringContaining('1 token beyond the 260 rows of the embedding ("<image>")'),
    ]);
    expect(createTokenizer(source(hfJson({ added_tokens: extra })), 261).notes).toEqual([]);
  });

  it("that the model itself lists mean that the files do not fit", () => {
    expect(createTokenizer(source(hfJson({ added_tokens: extra })), 200).vocabSize).toBe(259);
  });
});

describe.skipIf(!hasShared)("folders of ../shared/field", () => {
  const open = (name: string) =>
    loadLocal(fileURLToPath(new URL(`../../../shared/field/${name}`, import.meta.url)), { threads: 1 });

  it("bos-from-template: a session begins as encode does", async () => {
    const model = await open("bos-from-template");
    expect([...model.tokenizer.encode("Once")].slice(0, 1)).toEqual([1]);
    const session = model.session();
    for await (const part of session.generate("Once", { maxTokens: 1, temperature: 0 })) expect(part).toBeDefined();
    // The token that was written is not read yet.
    expect(session.text.seen).toBe(model.tokenizer.encode("Once").length);
    await model.dispose();
  });

  it("extra-added-token: loads, and says what was left out", async () => {
    const model = await open("extra-added-token");
    expect(model.tokenizer.vocabSize).toBe(512);
    expect(model.info.notes.join()).toContain("<image_soft_token>");
    await model.dispose();
  });
});
