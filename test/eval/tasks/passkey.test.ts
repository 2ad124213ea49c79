/** Passkey prompts: exact lengths, depths, the training task's wording, and what counts as an answer. */
import { describe, expect, it } from "vitest";
import { inMixedOrder, isPasskey, passkeyPrompt, passkeyTrials } from "../../../src/eval/tasks/passkey.js";
import { createTokenizer } from "../../../src/tokenizer/create-tokenizer.js";
import { trainBytePair } from "../../../src/tokenizer/train/byte-pair.js";
import { ggufTokenizerKeys } from "../../../src/tokenizer/train/tokenizer-json.js";
import { textFiller } from "../../../src/train/data/retrieval/filler.js";
import { PasskeyTask } from "../../../src/train/data/retrieval/passkey.js";
import { tokensInMemory } from "../../../src/train/data/token-sequence.js";
import { ArgumentError } from "../../../src/util/errors.js";
import { CHAPTER } from "../../support/chapter.js";

const END = "<|endoftext|>";
const tokenizer = createTokenizer({
  kind: "gguf",
  metadata: ggufTokenizerKeys(await trainBytePair([CHAPTER], { vocabularySize: 600, specialTokens: [END] })),
});
const filler = tokenizer.encode(CHAPTER);

describe("trials", () => {
  it("spread depths evenly and follow from the seed", () => {
    const trials = passkeyTrials(1, 5);
    expect(trials.map(({ depth }) => depth)).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(trials.every(({ passkey }) => /^[1-9]\d{4}$/.test(passkey))).toBe(true);
    expect(new Set(passkeyTrials(1, 100).map(({ passkey }) => passkey)).size).toBeGreaterThan(95);
    expect(passkeyTrials(1, 5)).toEqual(trials);
    expect(passkeyTrials(2, 5)).not.toEqual(trials);
    expect(passkeyTrials(1, 1)[0].depth).toBe(0.5);
  });
});

describe("the order of trials", () => {
  it("is the same set, and every beginning of it is spread over all depths", () => {
    const trials = passkeyTrials(1, 25);
    const mixed = inMixedOrder(trials);
    expect(new Set(mixed)).toEqual(new Set(trials));
    expect(mixed).toHaveLength(25);
    expect(inMixedOrder(trials)).toEqual(mixed);
    for (let count = 5; count <= 25; count++) {
      const below = mixed.slice(0, count).filter(({ depth }) => depth < 0.5).length;
      expect(Math.abs(below / count - 0.5)).toBeLessThanOrEqual(0.2);
    }
    expect(inMixedOrder([0, 1, 2, 3, 4, 5, 6])).toEqual([0, 4, 2, 6, 1, 5, 3]);
    expect([inMixedOrder([]), inMixedOrder([7])]).toEqual([[], [7]]);
  });
});

describe("prompts", () => {
  it.each([100, 511, 1500])("of %d tokens have just so many, with the passkey at its depth", (length) => {
    for (const trial of passkeyTrials(3, 11)) {
      const { ids, answer } = passkeyPrompt(trial, { tokenizer, length, filler, firstToken: 0 });
      expect([ids.length, ids[0], answer]).toEqual([length, 0, trial.passkey]);
      const text = tokenizer.decode(ids);
      const needle = `\nThe pass key is ${answer}. Remember it. ${answer} is the pass key.\n`;
      const question = "\nWhat is the pass key? The pass key is";
      expect(text.endsWith(question)).toBe(true);
      const before = tokenizer.encode(text.slice(0, text.indexOf(needle))).length;
      const hay = length - 1 - tokenizer.encode(needle).length - tokenizer.encode(question).length;
      expect(Math.abs(before - trial.depth * hay)).toBeLessThanOrEqual(2);
    }
  });

  it("and answers together read as the training task's samples", async () => {
    const task = new PasskeyTask({ seed: 1, tokenizer, filler: textFiller(tokensInMemory(filler)), needles: [1, 1] });
    const [trial] = passkeyTrials(1, 1);
    const { ids, answerIds } = passkeyPrompt(trial, { tokenizer, length: 300, filler });
    const withKey = [...ids.subarray(-12), ...answerIds].map((id) => tokenizer.tokenText(id)).join("");
    let compared = 0;
    for (let n = 0; n < 10; n++) {
      const sample = (await task.sample(n, 300)).ids;
      if (!tokenizer.decode(sample).endsWith(".\n")) continue;
      const tail = Array.from(sample.subarray(-withKey.length - 2, -2), (id) => tokenizer.tokenText(id)).join("");
      const hidden = (text: string) => text.replace(/\d{5}$/, "#");
      expect(hidden(tail).endsWith(hidden(withKey))).toBe(true);
      compared++;
    }
    expect(compared).toBeGreaterThan(1);
    expect(tokenizer.decode(answerIds)).toBe(` ${trial.passkey}`);
  });

  it("need room", () => {
    const [trial] = passkeyTrials(1, 1);
    expect(() => passkeyPrompt(trial, { tokenizer, length: 20, filler })).toThrow(ArgumentError);
    expect(() => passkeyPrompt(trial, { tokenizer, length: 200, filler: [] })).toThrow(ArgumentError);
  });
});

describe("answers", () => {
  it.each([
    [" 48213", true],
    ["48213.", true],
    [" 48213. What", true],
    [" 482135", false],
    [" 4821", false],
    [" 48214", false],
    [" the 48213", false],
    ["", false],
  ])("%j: %s", (generated, right) => {
    expect(isPasskey(generated, "48213")).toBe(right);
  });
});
