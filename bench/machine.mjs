/**
 * What figures are of, the first lines of every benchmark: the processor and its features, V8 and the forms in which Sluice's
 * kernels run on it, and the rate at which the memory is read, measured now by all threads together.
 */
import { measureLimits } from "./lib/limits.mjs";
import { readOptions, wholeNumber } from "./lib/options.mjs";
import { processor, processorLine } from "./lib/processor.mjs";
import { figure, saveJson } from "./lib/report.mjs";
import { importSluice } from "./lib/sluice.mjs";

const HELP = `Usage: npm run bench -- machine [options]

  --threads N      threads that read memory together (2)
  --json FILE      the same as figures

SLUICE_FORM in the environment forces forms (CONTRIBUTING.md).
`;

const FORMATS = ["q8_0", "q4_0", "q4_k", "q5_k", "q6_k", "f16"];

const options = readOptions(HELP, { threads: { type: "string", default: "2" } });
const threads = wholeNumber("threads", options.threads);

/** By format: what few tokens and many meet its weights in; and the bits of the vectors. */
async function formsInUse(createWasmBackend) {
  const backend = await createWasmBackend({ threads: 1, maxMemoryBytes: 2 ** 27 });
  const weights = FORMATS.map((dtype) => backend.allocWeight({ name: dtype, dtype, rows: 16, cols: 256 }).weight);
  backend.weightsLoaded();
  const all = weights.map((weight) => backend.formsOf(weight));
  await backend.dispose();
  const forms = Object.fromEntries(FORMATS.map((dtype, i) => [dtype, { few: all[i].few, many: all[i].many }]));
  return { forms, bits: all[0].bits };
}

const { enableWideVectors } = await importSluice();
const wide = await enableWideVectors();
const { createWasmBackend } = await import("../dist/backends/index.js");
const { forms, bits } = await formsInUse(createWasmBackend);
const forced = process.env.SLUICE_FORM || undefined;
const limits = await measureLimits({ threads, rounds: 5, arithmetic: false });
const cpu = processor();

const by = (key) => Object.entries(forms).map(([format, names]) => `${format.toUpperCase()} ${names[key]}`);
const why = wide.on || bits === 256 ? "" : ` (${wide.message})`;
process.stdout.write(`${processorLine(cpu)}\n`);
process.stdout.write(`Node ${process.versions.node}, V8 ${process.versions.v8}, ${process.platform} ${process.arch}\n`);
process.stdout.write(`vectors and attention: ${bits} bits${why}${forced ? `; SLUICE_FORM=${forced}` : ""}\n`);
process.stdout.write(`products of few tokens: ${by("few").join(", ")}\n`);
process.stdout.write(`products of many tokens: ${by("many").join(", ")}\n`);
process.stdout.write(`memory: ${figure(limits.readLimit)} GB/s read by ${threads} threads, measured now\n`);
const { node, v8 } = process.versions;
saveJson(options.json, { processor: cpu, node, v8, forms, bits, forced, threads, readLimit: limits.readLimit });
