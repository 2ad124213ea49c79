/**
 * Files that Sluice exported, in Sluice and in llama.cpp: the same ids of texts, the same probabilities. Without --model a
 * small random llama is exported in every type first. llama.cpp runs each file as it is and with its weights expanded to f32.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openLlamaCpp, openSluice } from "./lib/distributions.mjs";
import { readOptions, usageError, wholeNumber } from "./lib/options.mjs";
import { saveJson, table } from "./lib/report.mjs";
import { importSluice } from "./lib/sluice.mjs";

const HELP = `Usage: npm run bench -- --export [options]

  --model FILE     a GGUF that Sluice exported; without it a small random llama is made and exported in each type
  --quants LIST    types of the random llama (f32,f16,q8_0,q4_0)
  --tokens N       tokens whose next-token probabilities are compared (300)
  --text FILE      where they come from, and what is tokenised (docs/architecture.md)
  --threads N      threads of each engine (2)
  --json FILE      all figures

The exit code is 1 when tokens differ or probabilities differ by more than the type's tolerance.
`;

/**
 * Largest difference of a log-probability above -12, and mean divergence in nats, of a float32 program beside llama.cpp,
 * which rounds activations to f16 where weights are, to 8 bits where they have blocks. Roundings of layers are independent:
 * differences grow with the root of their number, divergences, which are squares, with the number. With the weights
 * expanded to f32 nothing is rounded; there Sluice's reference backend is asked, as the fast one takes 16 bits.
 */
const TOLERANCES = {
  f32: () => ({ logprob: 0.001, kl: 1e-6 }),
  f16: (layers) => ({ logprob: 0.02 * Math.sqrt(layers), kl: 5e-6 * layers }),
  quantised: (layers) => ({ logprob: 0.3 * Math.sqrt(layers), kl: 2e-3 * layers }),
};

/** Architectures whose GELU llama.cpp looks up in a table of f16, and what that costs. */
const TABLE_GELU = {
  gemma2: 0.03,
  gemma3: 0.03,
  bloom: 0.01,
  falcon: 0.01,
  gpt2: 0.01,
  gptneox: 0.01,
  mpt: 0.01,
  starcoder: 0.01,
};

const LEAST_LOGPROB = -12;

/** Texts on which tokenizers like to differ. */
const ODD_TEXTS = [
  "",
  " ",
  "   leading and trailing   ",
  "It's we'll they've I'M DON'T",
  "3.14159 12345678 1,000,000",
  "tabs\tand\r\nlines\n\n\nof all kinds\n",
  "naïve café Ærøskøbing Привет 日本語 한국어 العربية",
  "emoji \u{1f600}\u{1f469}\u200d\u{1f4bb} and marks e\u0301",
  "<s> </s> <|endoftext|> [INST]",
  "snake_case camelCase {json: [1, 2]} // comment",
];

function readRunOptions() {
  const values = readOptions(HELP, {
    model: { type: "string" },
    quants: { type: "string", default: "f32,f16,q8_0,q4_0" },
    tokens: { type: "string", default: "300" },
    text: { type: "string", default: fileURLToPath(new URL("../docs/architecture.md", import.meta.url)) },
    threads: { type: "string", default: "2" },
  });
  return {
    ...values,
    quants: values.quants.split(","),
    tokens: wholeNumber("tokens", values.tokens, 2),
    threads: wholeNumber("threads", values.threads),
  };
}

/** Exports the random llama in each type. @returns {Promise<string[]>} the files */
async function exportRandom(folder, quants, text) {
  const { exportGguf, GGUF_QUANTS, saveFile } = await import("../dist/train/export/index.js");
  const { byteLevelKeys, randomLlama } = await import("./lib/random-llama.mjs");
  const wrong = quants.find((quant) => !Object.hasOwn(GGUF_QUANTS, quant));
  if (wrong !== undefined) usageError(`--quants: expected some of ${Object.keys(GGUF_QUANTS)}, found '${wrong}'`);
  const tokenizerKeys = byteLevelKeys(text);
  const model = randomLlama(tokenizerKeys.get("tokenizer.ggml.tokens").length);
  const paths = [];
  for (const quant of quants) {
    const path = join(folder, `random-llama-${quant}.gguf`);
    await saveFile(path, await exportGguf({ model, quant, tokenizerKeys }));
    paths.push(path);
  }
  return paths;
}

/** The same model with its weights expanded to f32. */
async function expandToF32(path, folder) {
  const { openCheckpoint } = await import("../dist/formats/index.js");
  const { dequantiseRow } = await import("../dist/quant/index.js");
  const { exportGguf, saveFile } = await import("../dist/train/export/index.js");
  const checkpoint = await openCheckpoint(path, platform());
  const tensors = [...checkpoint.tensors.values()].map(({ name, dtype, rows, cols, bytes, read }) => ({
    name,
    rows,
    cols,
    exact: rows === 1,
    read: async () => {
      const stored = new Uint8Array(bytes);
      await read(0, stored);
      const values = new Float32Array(rows * cols);
      dequantiseRow(dtype, stored, 0, values.length, values);
      return values;
    },
  }));
  const { architecture, metadata } = checkpoint;
  const expanded = join(folder, "expanded.gguf");
  await saveFile(
    expanded,
    await exportGguf({ model: { architecture, metadata, tensors, tokenizer: undefined }, quant: "f32" }),
  );
  await checkpoint.close();
  return expanded;
}

/** Kullback-Leibler divergence of a row of log-probabilities from another, and the largest difference of likely ones. */
function rowDifference(expected, found) {
  let kl = 0;
  let largest = 0;
  for (let id = 0; id < expected.length; id++) {
    kl += Math.exp(expected[id]) * (expected[id] - found[id]);
    if (expected[id] > LEAST_LOGPROB) largest = Math.max(largest, Math.abs(expected[id] - found[id]));
  }
  return { kl, largest };
}

function compareRows(expected, found, ids) {
  if (expected.length !== found.length || expected[0].length !== found[0].length) {
    throw new Error(
      `${found.length} x ${found[0].length} probabilities, llama.cpp ${expected.length} x ${expected[0].length}`,
    );
  }
  const rows = expected.map((row, t) => rowDifference(row, found[t]));
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const nll = (all) => mean(ids.slice(1).map((id, t) => -all[t][id]));
  return {
    largest: rows.reduce((most, { largest }) => Math.max(most, largest), 0),
    meanKl: mean(rows.map(({ kl }) => kl)),
    mostLikely: mean(expected.map((row, t) => Number(argmax(row) === argmax(found[t])))),
    nll: { llamaCpp: nll(expected), sluice: nll(found) },
  };
}

const argmax = (row) => row.reduce((best, value, id) => (value > row[best] ? id : best), 0);

/** The first of the texts whose ids differ. */
async function tokenDifference(sluice, llamaCpp, texts) {
  for (const text of texts) {
    const [ours, theirs] = [await sluice.encode(text), await llamaCpp.encode(text)];
    if (ours.join() !== theirs.join())
      return { text: text.slice(0, 60), ours: ours.slice(0, 30), theirs: theirs.slice(0, 30) };
  }
  return undefined;
}

function toleranceOf({ architecture, layers }, kinds) {
  const blocks = kinds.some((dtype) => dtype !== "f32" && dtype !== "f16");
  const kind = blocks ? "quantised" : kinds.includes("f16") ? "f16" : "f32";
  const { logprob, kl } = TOLERANCES[kind](layers);
  return { logprob: Math.max(logprob, TABLE_GELU[architecture] ?? 0), kl };
}

/** llama.cpp's ids of the text, and its probabilities behind each. */
async function askLlamaCpp(path, text, { tokens, threads }, ask) {
  const llamaCpp = await openLlamaCpp(path, threads, tokens + 8);
  try {
    const ids = (await llamaCpp.encode(text)).slice(0, tokens);
    return { ids, rows: await llamaCpp.logprobs(ids), ...(await ask?.(llamaCpp)) };
  } finally {
    await llamaCpp.close();
  }
}

async function exactRows(path, ids) {
  const reference = await openSluice(path, { backend: "reference", threads: 1 });
  try {
    return await reference.logprobs(ids);
  } finally {
    await reference.close();
  }
}

async function check(path, text, folder, options) {
  const sluice = await openSluice(path, { backend: "wasm", threads: options.threads, precise: true });
  try {
    const { trainedContext, dtypes } = sluice.info;
    const limited = { ...options, tokens: Math.min(options.tokens, trainedContext) };
    const texts = [...ODD_TEXTS, ...text.split("\n").slice(0, 200), text];
    const asIs = await askLlamaCpp(path, text, limited, async (llamaCpp) => ({
      differs: await tokenDifference(sluice, llamaCpp, texts),
    }));
    const rows = await sluice.logprobs(asIs.ids);
    const exact = await exactRows(path, asIs.ids);
    const expanded = await askLlamaCpp(await expandToF32(path, folder), text, limited);
    const { differs } = asIs;
    const results = [
      {
        weights: "as stored",
        ...compareRows(asIs.rows, rows, asIs.ids),
        tolerance: toleranceOf(sluice.info, Object.keys(dtypes)),
      },
      {
        weights: "in f32",
        ...compareRows(expanded.rows, exact, asIs.ids),
        tolerance: toleranceOf(sluice.info, ["f32"]),
      },
    ].map((one) => ({ ...one, agrees: one.largest <= one.tolerance.logprob && one.meanKl <= one.tolerance.kl }));
    return { file: basename(path), dtypes, tokens: asIs.ids.length, differs, results };
  } finally {
    await sluice.close();
  }
}

function report(checks) {
  const lines = checks.flatMap(({ file, tokens, differs, results }) =>
    results.map(({ weights, largest, meanKl, mostLikely, nll, tolerance, agrees }) => [
      file,
      weights,
      String(tokens),
      differs ? "NO" : "yes",
      `${largest.toFixed(5)} (${tolerance.logprob.toPrecision(1)})`,
      `${meanKl.toExponential(1)} (${tolerance.kl.toExponential(0)})`,
      `${(100 * mostLikely).toFixed(1)}%`,
      nll.llamaCpp.toFixed(4),
      nll.sluice.toFixed(4),
      agrees ? "yes" : "NO",
    ]),
  );
  const difference = ["largest (limit)", "mean KL (limit)", "same best", "nll llama.cpp", "Sluice", "agrees"];
  process.stdout.write(`\n${table(["file", "llama.cpp's weights", "tokens", "same ids", ...difference], lines)}`);
  for (const { file, differs } of checks) {
    if (!differs) continue;
    const { text, ours, theirs } = differs;
    process.stdout.write(`${file}: ${JSON.stringify(text)}: Sluice [${ours}], llama.cpp [${theirs}]\n`);
  }
}

const options = readRunOptions();
const { platform } = await importSluice();
const text = readFileSync(options.text, "utf8");
const folder = mkdtempSync(join(tmpdir(), "sluice-export-"));
try {
  const paths = options.model === undefined ? await exportRandom(folder, options.quants, text) : [options.model];
  const results = [];
  for (const path of paths) results.push(await check(path, text, folder, options));
  report(results);
  saveJson(options.json, { results });
  const good = ({ differs, results: all }) => !differs && all.every(({ agrees }) => agrees);
  process.exitCode = results.every(good) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
