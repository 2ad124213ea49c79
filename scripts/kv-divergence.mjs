// How far caches of smaller types take next-token probabilities from those with a cache of f32, on the reference backend: the
// definition of what each type keeps, and no other rounding. Mean and 99th percentile of the Kullback-Leibler divergence in
// nats over the positions of a text, as tables in Markdown: of every model, and of one by position.
// npm run build, then: node scripts/kv-divergence.mjs [--tokens N] [--positions N] [--models FOLDER] [--only NAME]
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { parsePolicy, SequenceMemory, Step } from "sluice/context";
import { loadLocal } from "sluice/engine";
import "sluice";
import { KV_FORMATS } from "../dist/quant/kv/index.js";
import { markdownTable } from "./lib/streaming.mjs";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const shared = path("../../shared/golden");
const { values: options } = parseArgs({
  options: {
    /** Of the trained models' texts in the first table, and in that by position. */
    tokens: { type: "string", default: "500" },
    positions: { type: "string", default: "2048" },
    models: { type: "string", default: existsSync(shared) ? shared : path("../test/golden") },
    only: { type: "string" },
  },
});

/** Types of keys and values. The last is not in the engine: what 4 bits are without the rotation of keys. */
const CACHES = ["f16", "q8", "f16/q4", "q8/q4", "q4/q8", "q4", "q4 unrotated"];
const CHUNK = 128;

function typesOf(cache) {
  const [keyType, valueType = keyType] = cache.split(" ")[0].split("/");
  return { keyType, valueType };
}

/** Log-probabilities of the vocabulary after every token. */
async function distributions({ runner: { backend, decoder } }, ids, cache) {
  const settings = { policy: parsePolicy("full"), limit: ids.length, ...typesOf(cache) };
  const memory = new SequenceMemory(backend, decoder.shapes, settings);
  const rows = [];
  for (let at = 0; at < ids.length; at += CHUNK) {
    const part = ids.slice(at, at + CHUNK);
    backend.beginStep([{ rows: part.length, few: 0 }]);
    memory.begin(part.length);
    const states = new Step(backend, decoder.shapes);
    const segments = [{ start: 0, count: part.length, state: memory }];
    states.begin(segments);
    const logits = decoder.forward(backend, { ids: backend.input(part), rows: part.length, segments, states });
    const values = await backend.read(logits);
    memory.collected();
    for (let i = 0; i < part.length; i++)
      rows.push(logSoftmax(values.subarray(i * logits.cols, (i + 1) * logits.cols)));
  }
  memory.dispose();
  return rows;
}

function logSoftmax(logits) {
  const most = logits.reduce((a, b) => Math.max(a, b));
  const total = most + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - most), 0));
  return Float64Array.from(logits, (x) => x - total);
}

/** The divergence at every position, for each cache. */
async function divergences(model, ids) {
  const exact = await distributions(model, ids, "f32");
  const found = new Map();
  const { q4 } = KV_FORMATS;
  for (const cache of CACHES) {
    KV_FORMATS.q4 = cache.endsWith("unrotated") ? { ...q4, round: (row) => q4.round(row, "values") } : q4;
    const rows = await distributions(model, ids, cache);
    found.set(
      cache,
      exact.map((row, i) => row.reduce((sum, p, id) => sum + Math.exp(p) * (p - rows[i][id]), 0)),
    );
  }
  KV_FORMATS.q4 = q4;
  return found;
}

function cell(all) {
  const sorted = [...all].sort((a, b) => a - b);
  const mean = all.reduce((a, b) => a + b, 0) / all.length;
  return [mean, sorted[Math.floor(0.99 * sorted.length)]].map((x) => x.toExponential(1)).join(", ");
}

const encoded = (text, count) => (model) => Int32Array.from(model.tokenizer.encode(text)).slice(0, count);
const opening = readFileSync(path("../assets/the-time-machine-opening.txt"), "utf8");

/** What a model writes by itself: a text of its kind, as long as it was trained for. */
async function written(model) {
  const session = model.session({ context: "full", kv: "f32" });
  const prompt = [...(await model.encode("Once upon a time"))];
  const ids = [];
  for await (const { id } of session.generate(prompt, { maxTokens: 480, seed: 1, ignoreEnd: true })) ids.push(id);
  await session.dispose();
  return Int32Array.from([...prompt, ...ids].filter((id) => id !== undefined)).slice(0, Number(options.tokens));
}

const trained = [
  ["sluice-tiny", path("../assets/sluice-tiny.gguf"), encoded(opening, Number(options.tokens))],
  ["stories260K", path("../../shared/models/stories260K.gguf"), written],
];
const golden = readdirSync(options.models)
  .filter((name) => name.endsWith(".gguf"))
  .map((name) => {
    const file = join(options.models, name);
    const ids = () =>
      Int32Array.from(JSON.parse(readFileSync(file.replace(/\.gguf$/, ".json"), "utf8")).runs[0].tokens);
    return [name.replace(/\.gguf$/, ""), file, ids];
  });

const rows = [];
for (const [name, file, idsOf] of [...trained, ...golden]) {
  if (!existsSync(file) || (options.only && !name.startsWith(options.only))) continue;
  try {
    const model = await loadLocal(file, { backend: "reference" });
    const ids = await idsOf(model);
    const found = await divergences(model, ids);
    rows.push([name, String(ids.length), ...CACHES.map((cache) => cell(found.get(cache)))]);
    await model.dispose();
  } catch (error) {
    if (error.code !== "unsupported") throw error;
  }
}
console.log(markdownTable(["model", "tokens", ...CACHES], rows));

const [, file, idsOf] = [...trained[0].slice(0, 2), encoded(opening, Number(options.positions))];
const model = await loadLocal(file, { backend: "reference" });
const found = await divergences(model, idsOf(model));
const parts = [];
for (let from = 0, to = 128; from < Number(options.positions); from = to, to *= 2) {
  parts.push([`${from} to ${to}`, ...CACHES.map((cache) => cell(found.get(cache).slice(from, to)))]);
}
await model.dispose();
console.log(`\n${markdownTable(["sluice-tiny, positions", ...CACHES], parts)}`);
