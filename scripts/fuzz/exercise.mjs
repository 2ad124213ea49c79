// What a user does with a model that was just opened: encodes, chats, writes a little, saves and goes on.
import { SAMPLE_TEXTS } from "./vocabularies.mjs";

const CONTEXTS = ["full", "full", "recent:8", "sinks:2,recent:6", "recompute:8", "sinks:1,recent:5,evict=2"];
const CACHES = ["f32", "f16", "q8", "q8/f16"];

/** Loads in place and uses it. Errors go to the caller, who judges them. */
export async function exerciseModel(library, location, random) {
  const backend = random.chance(0.08) ? "wasm" : "reference";
  const model = await library.load(location, { thread: false, backend, threads: 1, wide: false });
  try {
    await exerciseTokenizer(model, random);
    const session = sessionOf(library, model, {
      context: random.pick(CONTEXTS),
      kv: random.pick(CACHES),
      chunk: random.pick([1, 4, 256]),
    });
    await writeOn(
      session.generate("the cat sat", { maxTokens: 3, temperature: random.pick([0, 0.8]), seed: 1, logprobs: 1 }),
    );
    if (model.info.hasChatTemplate && random.chance(0.3))
      await writeOn(session.chat("hi", { maxTokens: 2, temperature: 0 }));
    if (random.chance(0.1)) {
      const again = await model.restore(await session.save());
      await writeOn(again.generate("a", { maxTokens: 1, temperature: 0 }));
    }
    await session.dispose();
  } finally {
    await model.dispose();
  }
}

/** Not every policy makes sense for every model; the whole text always does. */
function sessionOf(library, model, options) {
  try {
    return model.session(options);
  } catch (error) {
    if (!(error instanceof library.PolicyError || error instanceof library.ArgumentError)) throw error;
    return model.session({ ...options, context: "full" });
  }
}

async function exerciseTokenizer(model, random) {
  const ids = await model.encode(random.pick(SAMPLE_TEXTS).slice(0, 300));
  await model.decode(ids, { special: random.chance(0.5) });
  await model.tokenTexts(ids.subarray(0, 5));
}

/** Takes at most some parts, whose numbers must be numbers. */
export async function writeOn(parts, most = 12) {
  let count = 0;
  for await (const { text, logprob } of parts) {
    if (typeof text !== "string") throw new Error(`a part has the text ${text}`);
    if (logprob !== undefined && !(logprob <= 1e-4 && Number.isFinite(logprob)))
      throw new Error(`a part has the log-probability ${logprob}`);
    if (++count >= most) break;
  }
}
