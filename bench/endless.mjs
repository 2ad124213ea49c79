/**
 * A token under `sinks:4,recent:1020` must cost at place 100,000 what it costs at 2,000. Two sessions of one model, one at
 * each place, decode in turn, so that whatever else happens on the machine happens to both. The model has the 1.1B
 * shape's heads and groups but two layers: reading 100,000 tokens takes a minute rather than an hour, and what could grow
 * with the place (page tables, ranges, rotations) is a larger share of its token, not a smaller one.
 */

import { timeRun } from "./lib/child.mjs";
import { decodeRate, undisturbed } from "./lib/compare.mjs";
import { gatesOption } from "./lib/gates.mjs";
import { readOptions, wholeNumber } from "./lib/options.mjs";
import { summariseOthers } from "./lib/other-load.mjs";
import { figure, median, saveJson, spread, table } from "./lib/report.mjs";
import { importSluice } from "./lib/sluice.mjs";
import { makeModel, randomPrompt, SHAPES } from "./make-model.mjs";

const HELP = `Usage: npm run bench -- endless [options]

  --context TEXT   what the sessions keep (sinks:4,recent:1020)
  --gates FILE     gates of the policy duo:gates; or one number that all heads have (0: all stream)
  --near N         place of the first session (2000)
  --far N          place of the second (100000)
  --tokens N       tokens decoded a round (100)
  --rounds N       rounds; the median of their ratios counts (41)
  --threads N      threads of the kernels (2)
  --quick          21 rounds, not repeated when disturbed
  --json FILE      all figures
`;
const LARGEST_RATIO = 1.03;
const SHAPE = "two-layers";

const options = readOptions(HELP, {
  context: { type: "string", default: "sinks:4,recent:1020" },
  gates: { type: "string" },
  near: { type: "string", default: "2000" },
  far: { type: "string", default: "100000" },
  tokens: { type: "string", default: "100" },
  rounds: { type: "string", default: "41" },
  threads: { type: "string", default: "2" },
  quick: { type: "boolean", default: false },
});
const threads = wholeNumber("threads", options.threads);
const tokens = wholeNumber("tokens", options.tokens);
const rounds = options.quick ? 21 : wholeNumber("rounds", options.rounds);

async function* idsOf(parts) {
  for await (const { id } of parts) if (id !== undefined) yield id;
}

/** A session that has read `place` tokens, and how long that took. */
async function open(model, place) {
  const session = model.session({ context: options.context, kv: "f16" });
  const prompt = randomPrompt(place, 1, SHAPES[SHAPE].vocabulary);
  const start = performance.now();
  for await (const _ of session.generate(prompt, { temperature: 0, ignoreEnd: true, maxTokens: 1 }));
  const seconds = (performance.now() - start) / 1000;
  process.stderr.write(`read ${place} tokens in ${seconds.toFixed(1)} s\n`);
  return { place, session, prefillRate: place / seconds, runs: [] };
}

async function decode({ session, place }) {
  const run = { name: `decode at ${place}`, prompt: [], generate: tokens + 1 };
  const parts = session.generate([], { temperature: 0, ignoreEnd: true, maxTokens: run.generate });
  return { ...(await timeRun(run, idsOf(parts))), cpuMs: 0 };
}

const { load } = await importSluice();
const path = makeModel(SHAPE, "q4_0");
const model = await load(path, {
  threads,
  thread: false,
  prefixBytes: 0,
  ...(await gatesOption(load, path, options.gates)),
});
const places = [];
for (const name of ["near", "far"]) places.push(await open(model, wholeNumber(name, options[name])));
for (let round = 0; round <= rounds; round++) {
  for (const place of round % 2 === 1 ? [...places].reverse() : places) {
    const run = await undisturbed(() => decode(place), { threads, repeat: !options.quick && round > 0 });
    // The first round only warms up.
    if (round > 0) place.runs.push(run);
  }
}

const [near, far] = places;
const times = places.map(({ runs }) => runs.map((run) => 1000 / decodeRate(run)));
// Of the two turns of a round, since the machine changes more from round to round than within one.
const ratio = median(times[1].map((far, round) => far / times[0][round]));
const lines = places.map(({ place, session, prefillRate }, i) => [
  String(place),
  spread(times[i]),
  String(session.usage.kept),
  figure(prefillRate),
]);
process.stdout.write(`\n${near.session.context}, ${SHAPE} q4_0, ${threads} threads\n`);
process.stdout.write(table(["place", "ms per token", "tokens kept", "prefill, tokens/s"], lines));
process.stdout.write(
  `a token at ${far.place} over one at ${near.place}: ${ratio.toFixed(3)} (limit ${LARGEST_RATIO})\n`,
);
const busy = summariseOthers(
  places.flatMap(({ runs }) => runs.map(({ others }) => others)),
  threads,
);
process.stdout.write(busy.line);
saveJson(options.json, {
  context: near.session.context,
  ratio,
  disturbed: busy.disturbed,
  msPerToken: Object.fromEntries(places.map(({ place }, i) => [place, times[i]])),
});
await model.dispose();
process.exitCode = ratio <= LARGEST_RATIO ? 0 : 1;
