/** Retrieval tasks: exact lengths, answers that are in the text, weights where they belong, the same again for a seed. */
import { describe, expect, it } from "vitest";
import { createTokenizer } from "../../../src/tokenizer/create-tokenizer.js";
import type { Tokenizer } from "../../../src/tokenizer/tokenizer.js";
import { trainBytePair } from "../../../src/tokenizer/train/byte-pair.js";
import { ggufTokenizerKeys } from "../../../src/tokenizer/train/tokenizer-json.js";
import { CycleTask } from "../../../src/train/data/retrieval/cycle.js";
import { encodeParts } from "../../../src/train/data/retrieval/encoded-text.js";
import { sentenceFiller, textFiller } from "../../../src/train/data/retrieval/filler.js";
import { haystackSample } from "../../../src/train/data/retrieval/haystack.js";
import { LinesTask } from "../../../src/train/data/retrieval/lines.js";
import { KeyValueTask } from "../../../src/train/data/retrieval/pairs.js";
import { PasskeyTask } from "../../../src/train/data/retrieval/passkey.js";
import { RepeatTask } from "../../../src/train/data/retrieval/repeat.js";
import type { RetrievalOptions } from "../../../src/train/data/retrieval/task-options.js";
import { randomFor, type Sample, type SampleSource } from "../../../src/train/data/sample.js";
import { tokensInMemory } from "../../../src/train/data/token-sequence.js";
import { ArgumentError } from "../../../src/util/errors.js";
import { CHAPTER } from "../../support/chapter.js";
import { fromMetadata, scoreMergeMetadata } from "../../support/tiny-vocabularies.js";

const tokenizer = createTokenizer({
  kind: "gguf",
  metadata: ggufTokenizerKeys(
    await trainBytePair([CHAPTER], { vocabularySize: 600, specialTokens: ["<|endoftext|>"] }),
  ),
});
const prose = tokenizer.encode(CHAPTER);
const filler = textFiller(tokensInMemory(prose));
const options: RetrievalOptions = { seed: 11, tokenizer, filler };

const text = ({ ids }: Sample) => tokenizer.decode(ids);

/** Texts of the stretches of targets that have a weight. */
function stretches({ ids, weights }: Sample, weight: number, reader: Tokenizer = tokenizer): string[] {
  const found: string[] = [];
  let from = -1;
  for (let t = 0; t <= weights.length; t++) {
    const inside = weights[t] === weight;
    if (inside && from < 0) from = t;
    if (inside || from < 0) continue;
    found.push(reader.decode(ids.subarray(from + 1, t + 1)));
    from = -1;
  }
  return found;
}

const LENGTHS = [192, 257, 1024];
const tasks: readonly (readonly [string, SampleSource])[] = [
  ["passkey", new PasskeyTask(options)],
  ["pairs", new KeyValueTask(options)],
  ["lines", new LinesTask(options)],
  ["repeat", new RepeatTask({ seed: 11, filler })],
];

describe.each(tasks)("%s", (_name, task) => {
  it("fills samples exactly, with ids of the vocabulary and weights of all kinds", async () => {
    for (const length of LENGTHS) {
      for (let n = 0; n < 30; n++) {
        const { ids, weights } = await task.sample(n, length);
        expect([ids.length, weights.length]).toEqual([length + 1, length]);
        expect(ids.every((id) => id >= 1 && id < 600)).toBe(true);
        expect(new Set(weights)).toEqual(new Set([0, 1, 4].filter((weight) => weights.includes(weight))));
        expect(weights.includes(4)).toBe(true);
      }
    }
  });

  it("is a pure function of seed and number", async () => {
    const sample = await task.sample(5, 256);
    await task.sample(6, 256);
    expect(await task.sample(5, 256)).toEqual(sample);
    expect((await task.sample(6, 256)).ids).not.toEqual(sample.ids);
  });

  it("refuses lengths without room, or fills them", async () => {
    const made = await task.sample(0, 8).catch((error: unknown) => error);
    if (made instanceof Error) expect(made).toBeInstanceOf(ArgumentError);
    else expect(made).toMatchObject({ ids: { length: 9 } });
  });
});

describe("passkeys", () => {
  const single = new PasskeyTask({ ...options, needles: [1, 1] });

  it("hide one number, say it twice and ask for it", async () => {
    for (let n = 0; n < 20; n++) {
      const sample = await single.sample(n, 256);
      const found = text(sample).match(/\nThe pass key is (\d{5})\. Remember it\. (\d{5}) is the pass key\.\n/);
      const asked = text(sample).match(/\nWhat is the pass key\? The pass key is (\d{5})\./);
      expect(found?.[1]).toBe(found?.[2]);
      expect(asked?.[1]).toBe(found?.[1]);
      const key = found?.[1] ?? "";
      expect(stretches(sample, 4)).toEqual([key, key]);
      expect(stretches(sample, 0)).toEqual([key]);
    }
  });

  it("lie at all depths, and questions stand at the end in half of the samples", async () => {
    const depths: number[] = [];
    let atEnd = 0;
    for (let n = 0; n < 200; n++) {
      const sample = text(await single.sample(n, 400));
      depths.push(sample.indexOf("\nThe pass key is") / sample.indexOf("\nWhat is the pass key?"));
      if (/The pass key is \d{5}\.\n$/.test(sample)) atEnd++;
    }
    // Uniform: 50 expected in each quarter, standard deviation 6; the needle's own text takes the end of the last.
    for (let quarter = 0; quarter < 4; quarter++) {
      expect(depths.filter((depth) => Math.floor(4 * depth) === quarter).length).toBeGreaterThan(20);
    }
    expect(Math.abs(atEnd - 100)).toBeLessThan(40);
  });

  it("have names where there are several, and each is asked for once", async () => {
    const sample = await new PasskeyTask({ ...options, needles: [5, 5] }).sample(2, 1200);
    const hidden = [...text(sample).matchAll(/\nThe pass key of (\w+) is (\d{5})\. Remember it\. \2 is .* of \1\.\n/g)];
    const asked = [...text(sample).matchAll(/\nWhat is the pass key of (\w+)\? The pass key of \1 is (\d{5})\./g)];
    const pairs = (matches: RegExpMatchArray[]) => matches.map(([, name, key]) => `${name} ${key}`).sort();
    expect(new Set(pairs(hidden)).size).toBe(5);
    expect(pairs(asked)).toEqual(pairs(hidden));
  });

  it("are as many as fit", async () => {
    const many = new PasskeyTask({ ...options, needles: [50, 50] });
    const needles = (length: number) =>
      many.sample(0, length).then((sample) => text(sample).split("Remember it").length);
    expect(await needles(1200)).toBeGreaterThan(await needles(300));
    await expect(many.sample(0, 40)).rejects.toThrow(ArgumentError);
  });

  it("are left out where they are too long, as long as one fits", async () => {
    const needle = (id: number, tokens: number) => {
      const half = { ids: new Array<number>(tokens / 2).fill(id), weights: new Array<number>(tokens / 2).fill(1) };
      return { text: half, question: half };
    };
    const needles = [needle(1, 10), needle(2, 30), needle(3, 10)];
    const haystack = { filler: textFiller(tokensInMemory([9])), needles, fillerWeight: 1 };
    const { ids } = await haystackSample(haystack, 24, randomFor(1));
    expect([1, 2, 3].map((id) => ids.filter((other) => other === id).length)).toEqual([10, 0, 10]);
    await expect(haystackSample({ ...haystack, needles: [needle(1, 30)] }, 24, randomFor(1))).rejects.toThrow(
      "30 tokens",
    );
  });

  it("are drawn anew where none fits", async () => {
    let length = 40;
    const fits = (n: number) =>
      single.sample(n, length).then(
        () => true,
        () => false,
      );
    while (!(await fits(0))) length++;
    // Room for one without a name, and for none with one.
    const some = new PasskeyTask({ ...options, needles: [1, 6] });
    for (let n = 0; n < 40; n++) expect(text(await some.sample(n, length))).toContain("\nThe pass key is ");
  });

  it("take the weights that are given", async () => {
    const weights = { text: 0.5, noise: 0.25, answer: 2 };
    const sample = await new PasskeyTask({ ...options, needles: [1, 1], weights }).sample(0, 256);
    expect(new Set(sample.weights)).toEqual(new Set([0.5, 0.25, 2]));
  });
});

describe("keys and values", () => {
  it("have each question's answer in the text, once", async () => {
    for (let n = 0; n < 20; n++) {
      const sample = await new KeyValueTask(options).sample(n, 700);
      const pairs = [...text(sample).matchAll(/\nThe value of (\w+) is (\w+)\.\n/g)];
      const questions = [...text(sample).matchAll(/\nWhat is the value of (\w+)\? The value of (\w+) is (\w+)\./g)];
      const values = new Map(pairs.map(([, key, value]) => [key, value]));
      expect(values.size).toBe(pairs.length);
      expect(questions.length).toBeGreaterThan(0);
      for (const [, key, again, value] of questions) expect([again, value]).toEqual([key, values.get(key)]);
      const answers = stretches(sample, 4).map((answer) => answer.trim());
      expect(answers).toEqual(questions.flatMap(([, key, , value]) => [key, value]));
    }
  });

  it("ask for pairs anywhere in the text", async () => {
    let last = 0;
    for (let n = 0; n < 60; n++) {
      const whole = text(await new KeyValueTask({ ...options, needles: [3, 3] }).sample(n, 300));
      const key = /\nWhat is the value of (\w+)/.exec(whole)?.[1];
      const keys = [...whole.matchAll(/\nThe value of (\w+)/g)].map(([, name]) => name);
      if (keys.indexOf(key ?? "") === 2) last++;
    }
    expect(last).toBeGreaterThan(5);
  });
});

describe("lines", () => {
  it("fill the sample and are asked for in LongEval's form", async () => {
    for (let n = 0; n < 10; n++) {
      const sample = await new LinesTask({ ...options, needles: [3, 3] }).sample(n, 1500);
      const lines = [...text(sample).matchAll(/^line ([a-z]+-[a-z]+): REGISTER_CONTENT is <(\d{1,5})>$/gm)];
      const questions = [...text(sample).matchAll(/in line ([a-z-]+)\? The REGISTER_CONTENT in line \1 is <(\d+)>\./g)];
      const numbers = new Map(lines.map(([, name, number]) => [name, number]));
      expect(numbers.size).toBe(lines.length);
      expect(lines.length).toBeGreaterThan(20);
      expect(questions).toHaveLength(3);
      for (const [, name, number] of questions) expect(number).toBe(numbers.get(name));
      expect(text(sample).endsWith(">.")).toBe(true);
      expect(text(sample).indexOf("\nBelow is a record")).toBeLessThan(150);
    }
  });
});

describe("repeated spans", () => {
  it("come again token by token, of which all but the first count", async () => {
    const task = new RepeatTask({ seed: 1, filler, symbols: [1, 2, 3], span: [10, 10], gap: [5, 20] });
    for (let n = 0; n < 20; n++) {
      const { ids, weights } = await task.sample(n, 200);
      let at = 0;
      let spans = 0;
      while (at + 20 <= 201 && (at === 0 || weights[at - 1] === 0)) {
        const again = weights.indexOf(4, at);
        expect(ids.subarray(again, again + 10)).toEqual(ids.subarray(at, at + 10));
        expect(again - at - 10).toBeLessThanOrEqual(20);
        expect([...weights.subarray(again, again + 9)]).toEqual(new Array(9).fill(4));
        expect(weights[again - 1]).toBe(0);
        at = again + 10;
        spans++;
      }
      expect(spans).toBeGreaterThan(3);
    }
  });
});

describe("strings that go round", () => {
  const symbols = [11, 12, 13, 14, 15, 16, 17];

  it("count from their second turn on, where each token stands a turn earlier too", async () => {
    const task = new CycleTask({ seed: 3, filler, symbols, period: [5, 5], turns: [3, 3] });
    for (let n = 0; n < 20; n++) {
      const { ids, weights } = await task.sample(n, 60);
      ids.forEach((id, at) => {
        const again = at % 15 >= 5;
        if (again) expect(id).toBe(ids[at - 5]);
        if (at > 0) expect(weights[at - 1]).toBe(again ? 1 : 0);
      });
    }
  });

  it("go round in short samples as well", async () => {
    const task = new CycleTask({ seed: 3, filler, symbols });
    for (const length of [1, 8, 16, 32, 128]) {
      let learned = 0;
      for (let n = 0; n < 50; n++) {
        const { ids, weights } = await task.sample(n, length);
        expect([ids.length, weights.length]).toEqual([length + 1, length]);
        learned += weights.reduce((sum, weight) => sum + weight, 0) / length / 50;
      }
      if (length > 8) expect(learned, `${length}`).toBeGreaterThan(0.4);
    }
  });
});

describe("filler", () => {
  it("of text goes on at the beginning after its end", async () => {
    const ids = await textFiller(tokensInMemory([1, 2, 3])).take(8, randomFor(1));
    for (let i = 1; i < 8; i++) expect(ids[i]).toBe((ids[i - 1] % 3) + 1);
    expect(() => textFiller(tokensInMemory([]))).toThrow(ArgumentError);
  });

  it("of sentences has the count asked for", async () => {
    const neutral = sentenceFiller(tokenizer);
    for (const count of [0, 1, 7, 300]) expect(await neutral.take(count, randomFor(2))).toHaveLength(count);
    expect(tokenizer.decode(await neutral.take(300, randomFor(2)))).toMatch(/\. [A-Z]\w+ /);
    expect(() => sentenceFiller(tokenizer, [])).toThrow(ArgumentError);
  });
});

describe("parts of a text", () => {
  it("have the ids of the whole text; a token over a border belongs to the later part", () => {
    const weights = { text: 1, noise: 0, answer: 4 };
    const pieces = fromMetadata(scoreMergeMetadata());
    const { ids, weights: found } = encodeParts(
      pieces,
      [
        ["text", "a th"],
        ["answer", "e the"],
      ],
      weights,
    );
    expect(ids).toEqual([...pieces.encode("a the the", { addSpecial: false })]);
    expect(Array.from(ids, (id, i) => `${pieces.tokenText(id)} ${found[i]}`)).toEqual(["▁a 1", "▁the 4", "▁the 4"]);
  });
});
