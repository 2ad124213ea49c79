/**
 * Prefill in 256-bit vectors over the same in 128 (SLUICE_FORM), Sluice alone, in turn, each run in a process of its own. On
 * processors with AVX-VNNI, or with other products forced (SLUICE_FORM=nibbles), this is what tells whether the wide forms
 * pay.
 */
import { startEngine } from "./lib/child.mjs";
import { prefillRate, undisturbed } from "./lib/compare.mjs";
import { readOptions, usageError, wholeNumber } from "./lib/options.mjs";
import { summariseOthers } from "./lib/other-load.mjs";
import { figure, median, saveJson, spread, table } from "./lib/report.mjs";
import { importSluice } from "./lib/sluice.mjs";
import { makeModel, randomPrompt, SHAPES, warmPageCache } from "./make-model.mjs";

const HELP = `Usage: npm run bench -- bits [options]

  --shape NAME     1.1b or 0.5b (1.1b)
  --formats LIST   q4_0,q8_0,q4_k (all three); q4_k only for 1.1b
  --prefill N      tokens of the prompt (512)
  --threads N      threads (2)
  --rounds N       rounds; medians are shown (3)
  --quick          one round, not repeated when disturbed
  --json FILE      all figures

Needs 256-bit vectors (Node 24 or 26 on x64 with AVX2). SLUICE_FORM=nibbles (or sixteen, bytes) forces the products of both.
`;

const values = readOptions(HELP, {
  shape: { type: "string", default: "1.1b" },
  formats: { type: "string", default: "q4_0,q8_0,q4_k" },
  prefill: { type: "string", default: "512" },
  threads: { type: "string", default: "2" },
  rounds: { type: "string", default: "3" },
  quick: { type: "boolean", default: false },
});
if (!Object.hasOwn(SHAPES, values.shape)) usageError(`--shape: expected ${Object.keys(SHAPES).join(", ")}`);
const length = wholeNumber("prefill", values.prefill);
const threads = wholeNumber("threads", values.threads);
const rounds = values.quick ? 1 : wholeNumber("rounds", values.rounds);
const repeat = !values.quick;
/** Without bits of its own. */
const forced = (process.env.SLUICE_FORM ?? "").split(",").filter((word) => word !== "" && !/^\d+$/.test(word));

/** One process: a prompt to warm up, then the one that counts. */
async function prefill(model, bits) {
  process.env.SLUICE_FORM = [...forced, bits].join(",");
  const engine = await startEngine("sluice", { model, threads, contextSize: length + 64 });
  const { vocabulary } = SHAPES[values.shape];
  await engine.run({ name: "warm-up", prompt: randomPrompt(64, 1, vocabulary), generate: 1 });
  const run = await engine.run({ name: "prefill", prompt: randomPrompt(length, length, vocabulary), generate: 1 });
  return { ...run, ...(await engine.end()) };
}

async function measure(format) {
  const model = makeModel(values.shape, format);
  warmPageCache(model);
  const rates = { 128: [], 256: [] };
  const others = [];
  for (let round = 0; round < rounds; round++) {
    for (const bits of round % 2 === 0 ? [128, 256] : [256, 128]) {
      process.stderr.write(`${values.shape} ${format}: round ${round + 1} of ${rounds}, ${bits} bits ...\n`);
      const result = await undisturbed(() => prefill(model, bits), { threads, repeat });
      rates[bits].push(prefillRate(result));
      others.push(result.others);
    }
  }
  const load = summariseOthers(others, threads);
  return { format, rates, ratio: median(rates[256]) / median(rates[128]), others: load };
}

const { enableWideVectors } = await importSluice();
const wide = await enableWideVectors();
const reports = [];
if (wide.on) for (const format of values.formats.split(",")) reports.push(await measure(format));
if (!wide.on) process.stdout.write(`no 256-bit vectors to compare: ${wide.message}\n`);
else {
  const lines = reports.map(({ format, rates, ratio }) => [
    format,
    spread(rates[128]),
    spread(rates[256]),
    figure(ratio),
  ]);
  const head = [`${values.shape}, prefill of ${length}, tokens/s`, "128 bits", "256 bits", "ratio"];
  process.stdout.write(`\n${table(head, lines)}`);
  for (const { format, others } of reports) process.stdout.write(`${format}: ${others.line}`);
}
saveJson(values.json, {
  shape: values.shape,
  prefill: length,
  forced: forced.join(","),
  disturbed: reports.some(({ others }) => others.disturbed),
  reports,
});
