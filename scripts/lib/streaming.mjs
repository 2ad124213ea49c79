// What the scripts of docs/evidence.md share: texts as ids, perplexity under a policy, tables in Markdown.
import { readFileSync } from "node:fs";
import { basename } from "node:path";

/** { ids, opening, start }: the start token, where the vocabulary puts one, and the first `tokens` of the text. */
export async function encodeBook(model, path, tokens) {
  const text = readFileSync(path, "utf8");
  const plain = await model.encode(text, { addSpecial: false, parseSpecial: false });
  const [first] = plain;
  const whole = await model.encode(text.slice(0, 100), { parseSpecial: false });
  const start = whole[0] === first ? [] : [whole[0]];
  return { ids: Int32Array.from([...start, ...plain.subarray(0, tokens)]), opening: start.length, start };
}

export function bookName(path) {
  return basename(path).replace(/\.[^.]*$/, "");
}

/**
 * Reads a text under a policy from its beginning.
 * @returns log-probabilities of the text's tokens (the first is NaN where nothing predicts it), and the median cost
 */
export async function streamText(model, { ids, opening }, context, { kv = "f32", batch = 1 } = {}) {
  const limit = context === "full" ? { contextLength: ids.length } : {};
  const session = model.session({ context, kv, ...limit });
  const logprobs = new Float64Array(ids.length - opening).fill(Number.NaN);
  const costs = [];
  try {
    for await (const { start, count, logprobs: part, elapsedMs } of session.score(ids, { batch, every: 64 })) {
      part.forEach((logprob, i) => {
        if (start + i >= opening) logprobs[start + i - opening] = logprob;
      });
      if (count > 0) costs.push(elapsedMs / count);
    }
  } finally {
    await session.dispose();
  }
  return { logprobs, msPerToken: median(costs) };
}

/** Of tokens [start, end). */
export function perplexity(logprobs, start = 0, end = logprobs.length) {
  return perplexityOf(Array.from(logprobs.subarray(start, end)));
}

export function perplexityOf(list) {
  const known = list.filter((logprob) => !Number.isNaN(logprob));
  return Math.exp(-known.reduce((sum, logprob) => sum + logprob, 0) / known.length);
}

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function formatPerplexity(value) {
  if (!Number.isFinite(value)) return "-";
  return value < 1000 ? value.toFixed(2) : Math.round(value).toLocaleString("en-US");
}

/** Lines of a table; the first column to the left, figures to the right. */
export function markdownTable(headers, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const rule = `|${headers.map((_, column) => (column === 0 ? "---" : "---:")).join("|")}|`;
  return [line(headers), rule, ...rows.map(line)].join("\n");
}
