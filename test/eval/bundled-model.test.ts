/** The model that the package ships does what its card says, in a few trials of each kind. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Model } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import { attentionMass } from "../../src/eval/attention-mass.js";
import { passkeyPrompt, passkeyTrials } from "../../src/eval/tasks/passkey.js";
import { accuracyOf, answerPasskeys } from "../../src/eval/tasks/passkey-run.js";
import { openCheckpoint } from "../../src/formats/index.js";
import { createTokenizer } from "../../src/tokenizer/create-tokenizer.js";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.js";
import { testPlatform } from "../support/test-platform.js";

const asset = (name: string) => fileURLToPath(new URL(`../../assets/${name}`, import.meta.url));
const PATH = asset("sluice-tiny.gguf");
const TEXT = readFileSync(asset("the-time-machine-opening.txt"), "utf8");
const WINDOW = 512;

let model: Model;
let tokenizer: Tokenizer;
beforeAll(async () => {
  const checkpoint = await openCheckpoint(PATH, testPlatform);
  if (!checkpoint.tokenizer) throw new Error("no tokenizer");
  tokenizer = createTokenizer(checkpoint.tokenizer);
  await checkpoint.close();
  model = await loadLocal(PATH, { backend: "wasm", threads: 1 });
});
afterAll(() => model.dispose());

async function passkeys(context: string) {
  const filler = tokenizer.encode(TEXT, { addSpecial: false });
  const trials = passkeyTrials(3, 6);
  const questions = trials.map((trial) => ({
    trial,
    prompt: passkeyPrompt(trial, { tokenizer, length: 1500, filler, firstToken: tokenizer.bosId }),
  }));
  const session = model.session({ context, contextLength: 2048 });
  const outcomes = [];
  for await (const outcome of answerPasskeys(session, questions)) outcomes.push(outcome);
  await session.dispose();
  return outcomes;
}

test("it finds passkeys in 1,500 tokens, and those within the horizon of a window", async () => {
  expect(accuracyOf(await passkeys("full"))).toEqual({ correct: 6, trials: 6 });
  // Depths 0, 0.2 .. 1: the newest 508 tokens begin at 0.66.
  const found = (await passkeys("sinks:4,recent:508")).map(({ correct }) => correct);
  expect(found).toEqual([false, false, false, false, true, true]);
});

test("one of its heads has a sink, without which a window predicts worse", async () => {
  const reference = await loadLocal(PATH, { backend: "reference" });
  const ids = Int32Array.from(await reference.encode(TEXT.slice(0, 1200)));
  const { layers, uniform } = await attentionMass(reference, [ids.subarray(0, 200)]);
  expect(layers[4].heads[0].places[0]).toBeGreaterThan(20 * uniform);
  await reference.dispose();

  const lossOf = async (context: string) => {
    const session = model.session({ context, kv: "f32" });
    let [sum, count] = [0, 0];
    for await (const { start, logprobs } of session.score(TEXT.slice(0, 14_000), { batch: 1 })) {
      logprobs.forEach((logprob, i) => {
        if (start + i < WINDOW) return;
        sum -= logprob;
        count++;
      });
    }
    await session.dispose();
    return sum / count;
  };
  const [window, sink] = [await lossOf(`recent:${WINDOW}`), await lossOf(`sinks:1,recent:${WINDOW - 1}`)];
  expect(window - sink).toBeGreaterThan(0.005);
});
