/** Studies of the pages that are read: what is known of them without choosing, and a choice taken literally. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { PageStudy, readText } from "../../src/eval/page-study.js";
import { ArgumentError } from "../../src/util/errors.js";
import { tinyFile } from "../support/tiny-gguf.js";

const LENGTH = 150;
const text = Int32Array.from({ length: LENGTH }, (_, i) => (37 + i * 11 + (i % 7) * 5) % 280);

describe("a study of pages", () => {
  let model: LocalModel;
  beforeAll(async () => {
    model = await loadLocal(tinyFile(), { backend: "reference" });
  });
  afterAll(() => model.dispose());

  /** The logits behind each of the tokens that follow, the text's own included. */
  async function logitsBehind(study: PageStudy, context: string, ids: readonly number[]) {
    const all: Float32Array[] = [];
    await study.goOn(await readText(model, text), context, (logits) => {
      all.push(logits.slice());
      return ids[all.length - 1];
    });
    return all;
  }

  const ids = [5, 77, 130];

  it("goes on as a session does that has read the text", async () => {
    const study = new PageStudy(model);
    const found = await logitsBehind(study, "full", ids);
    const expected: Float32Array[] = [];
    for (let count = 0; count <= ids.length; count++) {
      expected.push((await readText(model, Int32Array.from([...text, ...ids.slice(0, count)]))).logits);
    }
    expect(found).toEqual(expected);
    // Nothing was chosen.
    expect(study.shares.count).toBe(0);
  });

  it("counts every choice: layers, KV heads, tokens; the best holds at least as much as any other with the same ends", async () => {
    const study = new PageStudy(model);
    await logitsBehind(study, "full,read=quest:48,dense=1", ids);
    const { chosen, best, newest, count } = study.shares;
    expect(count).toBe(ids.length * model.runner.decoder.shapes.attention[1].kvHeads);
    for (const share of [chosen, best, newest]) expect(share > 0 && share < 1).toBe(true);
    expect(best).toBeGreaterThanOrEqual(chosen);
  });

  it("reads the best pages where that is asked for, and then those hold what was read", async () => {
    const [own, best] = [new PageStudy(model), new PageStudy(model, { best: true })];
    const context = "full,read=quest:48,dense=0";
    const [plain, oracle] = [await logitsBehind(own, context, ids), await logitsBehind(best, context, ids)];
    expect(oracle[0]).toEqual(plain[0]);
    expect(oracle[1]).not.toEqual(plain[1]);
    // The first layer sees the same queries in both, so its best pages are those that the other knew of.
    expect(best.shares.best).toBeGreaterThan(own.shares.chosen);
  });

  it("of all probability the whole text holds everything", async () => {
    const zero = await loadLocal(tinyFile({ zeros: /attn_q/ }), { backend: "reference" });
    const study = new PageStudy(zero);
    const at = { count: 0 };
    await study.goOn(await readText(zero, text), "full,read=quest:48,dense=0", () => ids[at.count++]);
    // All places get the same: of 10 pages (the last has 7, 8, 9 tokens) 3 are read, the open one among them.
    const expected = [151, 152, 153].reduce((sum, length) => sum + (32 + length - 144) / length, 0) / 3;
    for (const share of [study.shares.chosen, study.shares.best, study.shares.newest]) {
      expect(share).toBeCloseTo(expected, 10);
    }
    await zero.dispose();
  });

  it("needs the reference backend", async () => {
    const wasm = await loadLocal(tinyFile(), { threads: 1 });
    expect(() => new PageStudy(wasm)).toThrow(ArgumentError);
    await wasm.dispose();
  });

  it("a text that the Wasm backend read goes on like one of its own, up to rounding", async () => {
    const wasm = await loadLocal(tinyFile(), { threads: 1, precise: true });
    const [own, other] = [await readText(model, text), await readText(wasm, text)];
    await wasm.dispose();
    expect(other.facts).toEqual(own.facts);
    const behind = async (read: typeof own) => {
      let last = new Float32Array(0);
      let count = 0;
      await new PageStudy(model).goOn(read, "full", (logits) => {
        last = logits.slice();
        return ids[count++];
      });
      return last;
    };
    const [expected, found] = [await behind(own), await behind(other)];
    for (const [i, logit] of expected.entries()) expect(found[i]).toBeCloseTo(logit, 3);
  });
});
