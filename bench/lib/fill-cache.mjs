/**
 * A session of Sluice as if it had read a long text: pages are taken and written as those of a restored session are, so that
 * whatever is made of them then (such as the bounds of `read=quest`) is made here too. Their bytes are random half floats in an f16 cache, no two
 * pages alike; of other types pages of a short text that was read, again and again in a random order. A token costs the
 * same whatever they hold.
 */
import { randomBits } from "./random-blocks.mjs";

const SNAPSHOT = new URL("../../dist/context/snapshot.js", import.meta.url);
const SEED = 5;
/** Tokens of the short text: four pages of 16. */
const READ_TOKENS = 64;
/** Random halves that pages are cut out of, each somewhere else. */
const POOL_BYTES = 2 ** 24;

/**
 * @param {any} model of `load` with thread: false, whose session is in this process
 * @param {any} session nothing was read by it
 * @param {{length: number, kv: string, prompt: number[]}} job prompt: of READ_TOKENS ids at least
 */
export async function fillCache(model, session, { length, kv, prompt }) {
  const { readMemory } = await import(SNAPSHOT.href);
  const take = kv === "f16" ? randomHalves() : await readPages(model, session, prompt);
  await model.runner.inTurn(async () => {
    const { memory } = session.text.reader;
    const groups = memory.cache.groups.map((group) => group.needed(length));
    await readMemory(memory, { seen: length, source: 0, groups }, { take });
  });
}

/** Signs, exponents and mantissas at random; magnitudes from 1/16 to 2. */
function randomHalves() {
  const next = randomBits(SEED);
  const halves = Uint16Array.from({ length: POOL_BYTES / 2 }, () => {
    const bits = next();
    return (bits & 0x8000) | ((11 + ((bits >>> 29) % 5)) << 10) | ((bits >>> 16) & 0x3ff);
  });
  return (bytes) => {
    const start = 2 * (next() % ((POOL_BYTES - bytes) / 2));
    return new Uint8Array(halves.buffer, start, bytes);
  };
}

/** Pages of a text that a session with the same settings read, by their size. */
async function readPages(model, { text: { settings } }, prompt) {
  const short = model.session({ context: settings.policy.text, kv: `${settings.keyType}/${settings.valueType}` });
  for await (const _ of short.generate(prompt.slice(0, READ_TOKENS), {
    temperature: 0,
    ignoreEnd: true,
    maxTokens: 1,
  }));
  const pages = new Map();
  for (const { store, table } of short.text.reader.memory.cache.groups) {
    const numbers = Array.from({ length: table.length }, (_, i) => table.page(i));
    pages.set(store.pageBytes, { count: table.length, bytes: await store.readPages(numbers) });
  }
  await short.dispose();
  const next = randomBits(SEED);
  return (size) => {
    const { count, bytes } = pages.get(size);
    const at = (next() % count) * size;
    return bytes.subarray(at, at + size);
  };
}
