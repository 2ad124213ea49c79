/** Many sessions at once, each with its own policy, cache and sampler: each writes what it writes alone, to the last bit. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { GenerateOptions, Part, SessionOptions } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { KV_TYPES } from "../../src/tensor/dtype.js";
import { Random } from "../../src/util/random.js";
import { type Family, familyNamed } from "../support/families.js";
import { FAMILY_TOKENS, randomGguf } from "../support/random-gguf.js";
import { randomIds } from "../support/random-model.js";

const SESSIONS = 50;
const LIMIT = 700;
const NAMES = ["llama", "gemma2", "jamba", "mamba", "falcon 7b"];

/** Two prompts, each followed by some tokens. */
interface Script {
  readonly options: SessionOptions;
  readonly turns: readonly {
    readonly prompt: Int32Array;
    readonly options: GenerateOptions;
    readonly leftAfter: number;
  }[];
}

function longer(family: Family): Family {
  return { ...family, keys: { ...family.keys, context_length: LIMIT } };
}

function scriptOf(model: LocalModel, index: number): Script {
  const random = new Random(index + 1);
  const below = (count: number) => Math.floor(random.double() * count);
  const policies = ["full", "sinks:2,recent:40", "full,read=quest:128,dense=0", "recent:70"];
  const attends = model.info.attentionLayers > 0;
  const turn = () => {
    const prompt = randomIds([1, 5, 30, 170][below(4)] + below(9), FAMILY_TOKENS.length, below(1000));
    const sampled =
      below(2) === 0 ? { temperature: 0 } : { temperature: 0.9, topP: 0.9, seed: index, repetitionPenalty: 1.1 };
    const maxTokens = 1 + below(14);
    const left = below(4) === 0 ? below(maxTokens) : maxTokens;
    return { prompt, options: { ...sampled, maxTokens, ignoreEnd: true, logprobs: 1 }, leftAfter: left };
  };
  return {
    options: {
      context: attends ? policies[below(policies.length)] : "full",
      kv: attends ? KV_TYPES[below(KV_TYPES.length)] : "f32",
      contextLength: LIMIT,
      chunk: [32, 128, 256][below(3)],
    },
    turns: [turn(), turn()],
  };
}

/** What a session gives out: ids with their log-probabilities. */
async function play(model: LocalModel, { options, turns }: Script): Promise<unknown[]> {
  const session = model.session(options);
  const given: unknown[] = [];
  try {
    for (const { prompt, options: own, leftAfter } of turns) {
      let parts = 0;
      for await (const part of session.generate(prompt, own)) {
        given.push(seen(part));
        if (++parts > leftAfter) break;
      }
      const { seen: read, kept } = session.usage;
      given.push([read, kept]);
    }
  } finally {
    await session.dispose();
  }
  return given;
}

const seen = ({ id, logprob, finish, text }: Part) => ({ id, logprob, finish, text });

describe.each(NAMES)("%s", (name) => {
  let model: LocalModel;
  beforeAll(async () => {
    model = await loadLocal(randomGguf(longer(familyNamed(name))).path, { threads: 2 });
  });
  afterAll(() => model.dispose());

  it("gives each session what it has alone", { timeout: 60_000 }, async () => {
    const before = await model.metrics();
    const scripts = Array.from({ length: SESSIONS }, (_, index) => scriptOf(model, index));
    const spy = vi.spyOn(model.runner, "step");
    const together = await Promise.all(scripts.map((script) => play(model, script)));
    const widest = Math.max(...spy.mock.calls.map(([wants]) => wants.length));
    spy.mockRestore();
    expect(widest).toBeGreaterThan(SESSIONS / 2);
    const { steps, promptTokens, generatedTokens, ...now } = await model.metrics();
    expect(now).toMatchObject({ sessions: 0, waiting: 0, cacheBytes: 0, running: 0 });
    // What each wrote but the newest, and what it was given but what it took over.
    expect([before.steps, before.promptTokens]).toEqual([0, 0]);
    expect(steps).toBeLessThan(generatedTokens);
    expect(promptTokens + now.prefixTokens).toBeGreaterThan(SESSIONS);
    for (const [index, script] of scripts.entries()) {
      expect(
        together[index],
        `${index} ${script.turns.map(({ prompt }) => prompt.length)} ${JSON.stringify(script.options)}`,
      ).toEqual(await play(model, script));
    }
  });
});
