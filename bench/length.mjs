/**
 * Speed against context length: the 1.1B model reads a prompt of each length, then both engines, which stay in memory,
 * decode a few tokens in turn, several rounds. llama.cpp's prefills are kept from run to run (lib/peer-states.mjs).
 */

import { startEngine } from "./lib/child.mjs";
import { agreement, decodeRate, order, undisturbed } from "./lib/compare.mjs";
import { readOptions, usageError, wholeNumber, wholeNumbers } from "./lib/options.mjs";
import { summariseOthers } from "./lib/other-load.mjs";
import { peerStates, restoreState } from "./lib/peer-states.mjs";
import { figure, median, saveJson, spread, table } from "./lib/report.mjs";
import { bytesPerToken, makeModel, randomPrompt, SHAPES, warmPageCache } from "./make-model.mjs";

const HELP = `Usage: npm run bench -- length [options]

  --shape NAME     1.1b or 0.5b (1.1b)
  --format NAME    q4_0, q8_0 or q4_k (q4_0)
  --lengths LIST   tokens of context, ascending (256,1024,2048,4096,8192)
  --tokens N       tokens decoded a round (16)
  --threads N      threads of each engine (2)
  --rounds N       rounds at each length; medians are shown (3)
  --quick          256,1024,2048; nothing is repeated when disturbed
  --json FILE      all figures
`;
const WARM_UP_TOKENS = 64;
/** Longer prefills are not repeated when disturbed: they take minutes. */
const LONGEST_REPEATED = 2048;

function readJobOptions() {
  const values = readOptions(HELP, {
    shape: { type: "string", default: "1.1b" },
    format: { type: "string", default: "q4_0" },
    lengths: { type: "string" },
    tokens: { type: "string", default: "16" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
    quick: { type: "boolean", default: false },
  });
  const lengths = wholeNumbers("lengths", values.lengths ?? `256,1024,2048${values.quick ? "" : ",4096,8192"}`);
  if (lengths.some((length, i) => i > 0 && length <= lengths[i - 1]))
    usageError("--lengths: expected ascending lengths");
  return {
    shape: values.shape,
    format: values.format,
    lengths,
    tokens: wholeNumber("tokens", values.tokens),
    threads: wholeNumber("threads", values.threads),
    rounds: wholeNumber("rounds", values.rounds),
    repeat: !values.quick,
    json: values.json,
  };
}

/** Both engines read the prompt (llama.cpp from its state), then decode in turn. */
async function measureLength(engines, prompt, state, { rounds, tokens, threads, repeat }) {
  const { length } = prompt;
  process.stderr.write(`${length} tokens: prefill ...\n`);
  const prefill = { name: `prefill ${length}`, prompt, generate: 1, top: 40 };
  const again = { threads, repeat: repeat && length <= LONGEST_REPEATED };
  const read = await undisturbed(() => engines.sluice.run(prefill), again);
  await restoreState(engines["llama.cpp"], state);
  const results = { sluice: [], "llama.cpp": [] };
  for (let round = 0; round < rounds; round++) {
    for (const name of order(round)) {
      const run = { name: `decode at ${length}`, keep: true, prompt: [], generate: tokens + 1 };
      results[name].push(await undisturbed(() => engines[name].run(run), { threads, repeat }));
    }
  }
  const decode = Object.fromEntries(Object.entries(results).map(([name, runs]) => [name, runs.map(decodeRate)]));
  const prefillRates = { sluice: length / (read.prefillMs / 1000), "llama.cpp": length / (state.prefillMs / 1000) };
  return {
    length,
    decode,
    decodeRatio: median(decode.sluice) / median(decode["llama.cpp"]),
    prefill: prefillRates,
    prefillRatio: prefillRates.sluice / prefillRates["llama.cpp"],
    peerPrefillDate: state.date,
    agreement: agreement(read.top, state.top),
    others: summariseOthers(
      [state, read, ...Object.values(results).flat()].map((run) => run.others),
      threads,
    ),
  };
}

function print({ shape, format, context }, rows, usage) {
  const { weights, cache } = context;
  const reads = ({ length, decode }, name) => ((weights + cache * length) * median(decode[name])) / 1e9;
  const lines = rows.map((row) => [
    String(row.length),
    spread(row.decode.sluice),
    spread(row.decode["llama.cpp"]),
    figure(row.decodeRatio),
    `${figure(reads(row, "sluice"))} / ${figure(reads(row, "llama.cpp"))}`,
    figure(row.prefill.sluice),
    figure(row.prefill["llama.cpp"]),
    figure(row.prefillRatio),
    row.agreement.sane ? figure(row.agreement.maxDifference) : "NOT THE SAME MODEL",
  ]);
  const head = ["context", "decode: Sluice", "llama.cpp", "ratio", "GB/s read"];
  head.push("prefill: Sluice", "llama.cpp", "ratio", "log-probability difference");
  process.stdout.write(`\n${shape} ${format}, tokens/s\n${table(head, lines)}`);
  const mega = Object.entries(usage).map(([name, { peakBytes }]) => `${name} ${(peakBytes / 1e6).toFixed(0)} MB`);
  process.stdout.write(`peak resident memory: ${mega.join(", ")}\n`);
  process.stdout.write(`llama.cpp's prefills were measured on ${rows.map((row) => row.peerPrefillDate)[0]} or later\n`);
  for (const row of rows) process.stdout.write(`${row.length}: ${row.others.line}`);
}

const options = readJobOptions();
const { shape, format, lengths, threads, tokens, rounds, repeat } = options;
const model = makeModel(shape, format);
warmPageCache(model);
const prompt = randomPrompt(lengths.at(-1), 8192, SHAPES[shape].vocabulary);
// Twice the rounds, since each may be repeated; the check of a restored state; the end of a page.
const contextSize = lengths.at(-1) + 2 * rounds * (tokens + 1) + 64;
const setup = { model, threads, contextSize };
const states = await peerStates(setup, prompt, lengths, { renew: repeat });

const engines = {};
for (const name of order(0)) engines[name] = await startEngine(name, setup);
await engines.sluice.run({ name: "warm-up", prompt: prompt.slice(0, WARM_UP_TOKENS), generate: 8 });
const rows = [];
for (const state of states) rows.push(await measureLength(engines, prompt.slice(0, state.tokens), state, options));
const usage = {};
for (const name of order(0)) usage[name] = await engines[name].end();

const context = bytesPerToken(shape, format);
print({ shape, format, context }, rows, usage);
const disturbed = rows.some(({ others }) => others.disturbed);
saveJson(options.json, { options, disturbed, bytesPerToken: context, rows, usage });
process.exitCode = rows.every(({ agreement: { sane } }) => sane) ? 0 : 1;
