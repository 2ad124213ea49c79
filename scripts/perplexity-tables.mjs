/**
 * `node scripts/perplexity-tables.mjs MODEL TEXT... [--tokens 20000] [--window 512] [--sinks 1,2,4,8] [--samples 64]
 * [--full-lengths 4] [--batch 1] [--threads N] [--json FILE]`: the perplexity of each text, token by token, under a plain
 * window, with sinks, with recomputation and, beyond the trained length, with everything kept; as tables in Markdown. The
 * cache is f32. The first window, which all policies see alike, is left out. Recomputation costs a window for every token, so
 * it reads samples of 16 tokens, spread evenly, and stands beside four sinks on the same tokens. A model with a start token is
 * also recomputed with it in front of each window, as it was trained. Times are medians; with a batch they mean little.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { load } from "sluice";
import {
  bookName,
  encodeBook,
  formatPerplexity,
  markdownTable,
  median,
  perplexity,
  perplexityOf,
  streamText,
} from "./lib/streaming.mjs";

const SAMPLE_TOKENS = 16;
const COMPARED_SINKS = 4;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tokens: { type: "string", default: "20000" },
    window: { type: "string", default: "512" },
    sinks: { type: "string", default: "1,2,4,8" },
    samples: { type: "string", default: "64" },
    "full-lengths": { type: "string", default: "4" },
    batch: { type: "string", default: "1" },
    threads: { type: "string" },
    json: { type: "string" },
  },
});
const [reference, ...texts] = positionals;
if (texts.length === 0) throw new Error("Name a model and at least one text.");
const number = (name) => {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`--${name} must be a whole number above 0; found ${values[name]}.`);
};
const [window, samples, batch, lengths] = ["window", "samples", "batch", "full-lengths"].map(number);
const sinks = values.sinks.split(",").map(Number);
const withSinks = (count) => `sinks:${count},recent:${window - count}`;
const policies = [`recent:${window}`, ...sinks.map(withSinks)];

/** Where samples begin, from the first full window on. */
function sampleStarts(tokens) {
  const last = tokens - SAMPLE_TOKENS;
  const count = Math.min(samples, Math.floor((last - window) / SAMPLE_TOKENS) + 1);
  return Array.from({ length: Math.max(0, count) }, (_, at) =>
    Math.round(window + (at * (last - window)) / Math.max(1, count - 1)),
  );
}

/** Under recompute:N a token depends on the N before it alone, so a sample is read after those, and nothing else. */
async function recomputed(model, { ids, opening }, starts) {
  const session = model.session({ context: `recompute:${window}`, kv: "f32" });
  const found = { logprobs: [], costs: [] };
  for (const start of starts) {
    const at = opening + start;
    await session.reset();
    for await (const _ of session.generate(ids.subarray(at - window, at), { maxTokens: 0 }));
    for await (const part of session.score(ids.subarray(at, at + SAMPLE_TOKENS), { batch: 1, every: 1 })) {
      if (part.count === 0) continue;
      found.logprobs.push(...part.logprobs);
      // The first score is known before its token is read.
      found.costs.push(part.elapsedMs / part.count);
    }
  }
  await session.dispose();
  return { perplexity: perplexityOf(found.logprobs), msPerToken: median(found.costs) };
}

/** The same with the start token in place of the oldest token of each window. */
async function recomputedBehindStart(model, { ids, opening, start }, starts) {
  const session = model.session({ context: "full", kv: "f32", contextLength: window + 1 });
  const logprobs = [];
  for (const sample of starts) {
    for (let at = opening + sample; at < opening + sample + SAMPLE_TOKENS; at++) {
      await session.reset();
      const text = Int32Array.from([...start, ...ids.subarray(at - window + 1, at + 1)]);
      let last;
      for await (const part of session.score(text, { batch: 256, every: 256 })) last = part.logprobs.at(-1) ?? last;
      logprobs.push(last);
    }
  }
  await session.dispose();
  return perplexityOf(logprobs);
}

async function measureBook(model, path) {
  const text = await encodeBook(model, path, number("tokens"));
  const tokens = text.ids.length - text.opening;
  if (tokens < 2 * window) throw new Error(`${path} has ${tokens} tokens; at least two windows are needed.`);
  const result = { book: bookName(path), tokens, policies: {}, full: [] };
  const starts = sampleStarts(tokens);
  for (const context of policies) {
    const { logprobs, msPerToken } = await streamText(model, text, context, { batch });
    result.policies[context] = { perplexity: perplexity(logprobs, window), msPerToken };
    if (context !== withSinks(COMPARED_SINKS)) continue;
    const sampled = starts.flatMap((start) => [...logprobs.subarray(start, start + SAMPLE_TOKENS)]);
    result.streamedOnSamples = perplexityOf(sampled);
  }
  result.recompute = await recomputed(model, text, starts);
  if (text.opening > 0) result.recomputeBehindStart = await recomputedBehindStart(model, text, starts);
  const { trainedContext, positions } = model.info;
  const most = Math.min(text.ids.length, lengths * trainedContext, positions ?? Number.POSITIVE_INFINITY);
  const full = await streamText(model, { ...text, ids: text.ids.subarray(0, most) }, "full", { batch });
  result.fullMsPerToken = full.msPerToken;
  for (let start = 0; start < most - text.opening; start += trainedContext) {
    result.full.push(perplexity(full.logprobs, start, start + trainedContext));
  }
  return result;
}

function tables(results, { trainedContext }) {
  const cells = (name, list) => [name, ...list.map(formatPerplexity)];
  const sampled = ["recomputeBehindStart" in results[0] ? `recompute:${window} behind the start token` : undefined];
  const main = markdownTable(
    ["book", ...policies],
    results.map(({ book, policies: of }) =>
      cells(
        book,
        policies.map((name) => of[name].perplexity),
      ),
    ),
  );
  const samplesTable = markdownTable(
    ["book, samples", withSinks(COMPARED_SINKS), `recompute:${window}`, ...sampled.filter(Boolean)],
    results.map(({ book, streamedOnSamples, recompute, recomputeBehindStart: behind }) =>
      cells(book, [streamedOnSamples ?? Number.NaN, recompute.perplexity, ...(behind === undefined ? [] : [behind])]),
    ),
  );
  const stretches = Math.max(...results.map(({ full }) => full.length));
  const edges = Array.from({ length: stretches + 1 }, (_, at) => (at * trainedContext).toLocaleString("en-US"));
  const full = markdownTable(
    [`book, full (trained for ${edges[1]})`, ...edges.slice(1).map((end, at) => `${edges[at]} to ${end}`)],
    results.map(({ book, full: of }) =>
      cells(
        book,
        Array.from({ length: stretches }, (_, at) => of[at] ?? Number.NaN),
      ),
    ),
  );
  const ms = (figures) => median(figures).toFixed(3);
  const times = markdownTable(
    ["", "full", ...policies, `recompute:${window}`],
    [
      [
        "ms/token",
        ms(results.map(({ fullMsPerToken }) => fullMsPerToken)),
        ...policies.map((name) => ms(results.map(({ policies: of }) => of[name].msPerToken))),
        ms(results.map(({ recompute }) => recompute.msPerToken)),
      ],
    ],
  );
  return [main, samplesTable, full, times].join("\n\n");
}

const model = await load(reference, values.threads ? { threads: number("threads") } : {});
const results = [];
for (const path of texts) {
  results.push(await measureBook(model, path));
  console.error(`${results.at(-1).book}: done`);
}
console.log(tables(results, model.info));
if (values.json)
  writeFileSync(values.json, `${JSON.stringify({ model: model.info, window, batch, results }, null, 2)}\n`);
await model.dispose();
