/**
 * stories260K in both engines: the arithmetic of a token is a few microseconds, so what is seen is the overhead per token
 * and per operation. Greedy from the start token, as in the model's expected text; the ids must be the same.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { collect, compare, decodeRate } from "./lib/compare.mjs";
import { readOptions, usageError, wholeNumber, wholeNumbers } from "./lib/options.mjs";
import { summariseOthers } from "./lib/other-load.mjs";
import { figure, median, saveJson, spread, table } from "./lib/report.mjs";

const HELP = `Usage: npm run bench -- small [options]

  --model FILE     ../shared/models/stories260K.gguf
  --tokens N       tokens decoded after the first, at most 500 (200)
  --threads LIST   threads of each engine, one table row each (1,2)
  --rounds N       rounds of three runs each; medians are shown (3)
  --quick          one round, not repeated when disturbed
  --json FILE      all figures
`;

const values = readOptions(HELP, {
  model: { type: "string", default: fileURLToPath(new URL("../../shared/models/stories260K.gguf", import.meta.url)) },
  tokens: { type: "string", default: "200" },
  threads: { type: "string", default: "1,2" },
  rounds: { type: "string", default: "3" },
  quick: { type: "boolean", default: false },
});
if (!existsSync(values.model)) usageError(`There is no model at ${values.model}: give one with --model FILE.`);
const tokens = wholeNumber("tokens", values.tokens);
if (tokens > 500) usageError(`--tokens: the model was trained for 512 tokens, found ${tokens}`);
const rounds = values.quick ? 1 : wholeNumber("rounds", values.rounds);

const timed = { name: "timed", prompt: [1], generate: tokens + 1 };
const runs = [{ ...timed, name: "warm-up" }, timed, timed, timed];
const rows = [];
for (const threads of wholeNumbers("threads", values.threads)) {
  const job = { model: values.model, threads, contextSize: 512, runs, repeat: !values.quick };
  const results = await compare(job, rounds, `${threads} thread${threads > 1 ? "s" : ""}`);
  const rates = Object.values(results).map((all) => collect(all, "timed", decodeRate));
  const ids = Object.values(results).map((all) => all[0].runs[1].ids.join(" "));
  const others = Object.values(results).flatMap((all) => all.map((result) => result.others));
  rows.push({ threads, sluice: rates[0], llamaCpp: rates[1], sameIds: ids[0] === ids[1], others });
}
const lines = rows.map(({ threads, sluice, llamaCpp, sameIds }) => [
  String(threads),
  spread(sluice),
  figure(1e6 / median(sluice)),
  spread(llamaCpp),
  figure(1e6 / median(llamaCpp)),
  figure(median(sluice) / median(llamaCpp)),
  sameIds ? "yes" : "NO",
]);
const head = ["threads", "Sluice tokens/s", "us/token", "llama.cpp tokens/s", "us/token", "ratio", "same ids"];
process.stdout.write(`\n${table(head, lines)}`);
const busy = rows.map(({ threads, others }) => ({ threads, ...summariseOthers(others, threads) }));
for (const { threads, line } of busy) process.stdout.write(`${threads} threads: ${line}`);
const disturbed = busy.some((one) => one.disturbed);
saveJson(values.json, { model: values.model, tokens, disturbed, rows });
process.exitCode = rows.every(({ sameIds }) => sameIds) ? 0 : 1;
