/**
 * What reading less costs in quality. `node scripts/quest-quality.mjs [MODEL] [--parts passkeys,mass,perplexity,duo]
 * [--budgets 32,64,128,256,512] [--length 1500] [--trials 100] [--book FILE] [--gates FILE] [--duo-trials 50]
 * [--random-seeds 1,2] [--threads N] [--docs] [--json FILE]`, with the bundled model and *The Time Machine*, which it has not
 * learned. Tables in Markdown; --docs writes them into docs/evidence.md.
 *
 * passkeys: a number hidden in a prompt of `length` tokens at depths from 0 to 1, answered under `full,read=quest:N`, under sinks and a
 * window of the same N tokens, and, on the reference backend, with the N tokens' pages chosen by true attention. Prompts are
 * read whole under all but the window, as the policy says, so the first digit is written with everything in sight.
 * mass: the share of true attention probability that those pages hold, in layers that choose.
 * perplexity: of the second half of stretches of the book as long as the model was trained for, token by token.
 * duo (with --gates): passkeys by the share of heads that stream, chosen by the gates, and chosen at random.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadLocal } from "sluice/engine";
import "sluice";
import { withTable } from "../bench/lib/evidence.mjs";
import { SnapshotReader, SnapshotWriter } from "../dist/engine/session/snapshot-file.js";
import {
  answerPasskeys,
  inMixedOrder,
  isPasskey,
  PageStudy,
  passkeyPrompt,
  passkeyTrials,
  readText,
} from "../dist/eval/index.js";
import { stretches } from "./lib/attention.mjs";
import { formatPerplexity, markdownTable, perplexityOf } from "./lib/streaming.mjs";
import { shareText } from "./lib/wilson.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const MARKS = {
  begin: "<!-- results: node scripts/quest-quality.mjs --docs -->",
  end: "<!-- end of quest-quality -->",
};
const SEED = 1;
/** The sinks of the windows beside it, and the least that gates' streaming heads keep here. */
const SINKS = 4;
const DUO_SIZES = "sinks:16,recent:64";
const STREAMING_SHARES = [0, 0.25, 0.5, 0.75];
/** Tokens of the book that are read behind a text of `length` tokens for the shares of probability. */
const MASS_TOKENS = 48;
const STRETCHES = 4;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    parts: { type: "string" },
    budgets: { type: "string", default: "32,64,128,256,512" },
    length: { type: "string", default: "1500" },
    trials: { type: "string", default: "100" },
    book: { type: "string", default: join(root, "../shared/text/the-time-machine.txt") },
    gates: { type: "string" },
    "duo-trials": { type: "string", default: "50" },
    "random-seeds": { type: "string", default: "1,2" },
    threads: { type: "string" },
    docs: { type: "boolean", default: false },
    json: { type: "string" },
  },
});
const [path = join(root, "assets/sluice-tiny.gguf")] = positionals;
const parts = new Set((values.parts ?? `passkeys,mass,perplexity${values.gates ? ",duo" : ""}`).split(","));
const budgets = values.budgets.split(",").map(Number);
const length = Number(values.length);
const threads = values.threads && Number(values.threads);
const quest = (budget) => `full,read=quest:${budget}`;
const window = (budget) => `sinks:${SINKS},recent:${budget - SINKS}`;
const contextLength = length + 64;

/** @returns the questions and, of each, the most tokens of an answer: one more than it has */
function makeQuestions({ tokenizer }, count) {
  const filler = tokenizer.encode(readFileSync(join(root, "assets/the-time-machine-opening.txt"), "utf8"), {
    addSpecial: false,
    parseSpecial: false,
  });
  const firstToken = tokenizer.addsBos ? tokenizer.bosId : undefined;
  return inMixedOrder(passkeyTrials(SEED, count)).map((trial) => {
    return { trial, prompt: passkeyPrompt(trial, { tokenizer, length, filler, firstToken }) };
  });
}

/** A saved session with another policy that keeps the same. */
function withContext(saved, context) {
  const file = new SnapshotReader(saved);
  const { options, ...header } = file.header;
  const writer = new SnapshotWriter({ ...header, options: { ...options, context } }, file.left);
  writer.put(file.take(file.left));
  return writer.finish();
}

/** Answers of a session that was saved before it wrote anything. */
async function answerFrom(model, saved, context, { trial, prompt }) {
  const session = await model.restore(withContext(saved, context));
  let generated = "";
  const options = { maxTokens: prompt.answerIds.length + 1, temperature: 0 };
  for await (const { text } of session.generate([], options)) generated += text;
  await session.dispose();
  return isPasskey(generated, trial.passkey);
}

async function answersUnder(model, context, questions, more = {}) {
  const session = model.session({ context, ...more });
  let right = 0;
  for await (const { correct } of answerPasskeys(session, questions)) if (correct) right++;
  await session.dispose();
  return right;
}

/** Greedy on the reference backend. */
async function answerByStudy(study, model, read, budget, { trial, prompt }) {
  const ids = [];
  await study.goOn(read, quest(budget), (logits) => {
    if (ids.length > prompt.answerIds.length) return undefined;
    const id = logits.indexOf(Math.max(...logits));
    ids.push(id);
    return id;
  });
  return isPasskey(await model.decode(ids), trial.passkey);
}

async function passkeys({ wasm, reference }) {
  const questions = makeQuestions(wasm, Number(values.trials));
  const zeros = () => Object.fromEntries(budgets.map((budget) => [budget, 0]));
  const right = { quest: zeros(), best: zeros(), window: zeros() };
  let full = 0;
  let asked = 0;
  for (const question of questions) {
    const session = wasm.session({ context: "full", contextLength });
    for await (const _ of session.generate(question.prompt.ids, { maxTokens: 0 }));
    const saved = await session.save();
    await session.dispose();
    const read = await readText(wasm, question.prompt.ids);
    if (await answerFrom(wasm, saved, "full", question)) full++;
    for (const budget of budgets) {
      if (await answerFrom(wasm, saved, quest(budget), question)) right.quest[budget]++;
      const study = new PageStudy(reference, { best: true });
      if (await answerByStudy(study, wasm, read, budget, question)) right.best[budget]++;
    }
    if (++asked % 10 === 0) process.stderr.write(`passkeys: ${asked} of ${questions.length}\n`);
  }
  for (const budget of budgets) right.window[budget] = await answersUnder(wasm, window(budget), questions);
  const trials = questions.length;
  const rows = budgets.map((budget) => [
    String(budget),
    ...["quest", "best", "window"].map((kind) => shareText(right[kind][budget], trials)),
  ]);
  const caption = `Passkeys in ${length} tokens, ${trials} depths, right answers [95%]; \`full\`: ${shareText(full, trials)}.`;
  const head = ["tokens read", "`read=quest`", "by true attention", `\`sinks:${SINKS},recent:\`N-${SINKS}`];
  return { caption, table: markdownTable(head, rows), figures: { trials, full, right } };
}

async function mass({ wasm, reference }) {
  const texts = stretches(wasm, values.book, length + MASS_TOKENS, STRETCHES);
  const reads = [];
  for (const ids of texts) {
    reads.push({ read: await readText(wasm, ids.subarray(0, length)), rest: ids.subarray(length) });
  }
  const figures = {};
  for (const budget of budgets) {
    const study = new PageStudy(reference, { best: false });
    for (const { read, rest } of reads) {
      let at = 0;
      await study.goOn(read, quest(budget), () => rest[at++]);
    }
    figures[budget] = study.shares;
    process.stderr.write(`attention: budget ${budget}\n`);
  }
  const percent = (share) => `${(100 * share).toFixed(1)}%`;
  const rows = budgets.map((budget) => {
    const { chosen, best, newest } = figures[budget];
    return [String(budget), percent(chosen), percent(best), percent(newest)];
  });
  const caption =
    `True attention probability on the pages read, mean over heads, layers that choose and ${MASS_TOKENS} tokens behind each of ` +
    `${STRETCHES} stretches of ${length}.`;
  const head = ["tokens read", "`read=quest`", "by true attention", "first page and newest"];
  return { caption, table: markdownTable(head, rows), figures };
}

async function perplexityUnder(model, texts, context) {
  const logprobs = [];
  for (const ids of texts) {
    const session = model.session({
      context,
      kv: "f32",
      ...(context.startsWith("full") && { contextLength: ids.length }),
    });
    for await (const { start, logprobs: some } of session.score(ids, { batch: 1, every: 64 })) {
      some.forEach((logprob, i) => {
        if (start + i >= ids.length / 2) logprobs.push(logprob);
      });
    }
    await session.dispose();
  }
  return perplexityOf(logprobs);
}

async function perplexities({ wasm }) {
  const texts = stretches(wasm, values.book, wasm.info.trainedContext, STRETCHES);
  const full = await perplexityUnder(wasm, texts, "full");
  const figures = { full };
  for (const budget of budgets) {
    figures[budget] = {
      quest: await perplexityUnder(wasm, texts, quest(budget)),
      window: await perplexityUnder(wasm, texts, window(budget)),
    };
    process.stderr.write(`perplexity: budget ${budget}\n`);
  }
  const rows = budgets.map((budget) => [
    String(budget),
    ...["quest", "window"].map((kind) => formatPerplexity(figures[budget][kind])),
  ]);
  const caption =
    `Perplexity of the second half of ${STRETCHES} stretches of ${texts[0].length} tokens, token by token; \`full\`: ` +
    `${formatPerplexity(full)}.`;
  const head = ["tokens read", "`read=quest`", `\`sinks:${SINKS},recent:\`N-${SINKS}`];
  return { caption, table: markdownTable(head, rows), figures };
}

/** A number from [0, 1) for each head: the quantile then picks heads at random. */
function randomGates({ attention }, seed) {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return { layers: attention.map(({ kvHeads }) => Array.from({ length: kvHeads }, next)) };
}

async function duo({ wasm }) {
  if (!values.gates) throw new Error("--gates FILE: the part duo needs gates, such as `sluice gates` finds.");
  const seeds = values["random-seeds"].split(",").map(Number);
  const named = Object.fromEntries(
    seeds.map((seed) => [`random${seed}`, randomGates(wasm.runner.decoder.shapes, seed)]),
  );
  const options = { backend: "wasm", gates: { found: values.gates, ...named }, ...(threads && { threads }) };
  const model = await loadLocal(path, options);
  const questions = makeQuestions(model, Number(values["duo-trials"]));
  const trials = questions.length;
  const figures = {};
  for (const share of STREAMING_SHARES) {
    const under = (name) => answersUnder(model, `duo:${name}@${share},${DUO_SIZES}`, questions, { contextLength });
    const found = await under("found");
    const random = [];
    // Without heads that stream all are alike.
    for (const seed of share === 0 ? [] : seeds) random.push(await under(`random${seed}`));
    figures[share] = { found, random };
    process.stderr.write(`duo: ${share} of the heads stream\n`);
  }
  await model.dispose();
  const rows = Object.entries(figures).map(([share, { found, random }]) => {
    const right = random.reduce((sum, one) => sum + one, 0);
    return [share, shareText(found, trials), shareText(right, trials * random.length)];
  });
  const caption = `Passkeys in ${length} tokens, ${trials} depths, under \`duo:NAME@SHARE,${DUO_SIZES}\`, right answers [95%].`;
  const head = ["share of heads that stream", "by the gates", `at random (${seeds.length} draws)`];
  return { caption, table: markdownTable(head, rows), figures };
}

const PARTS = { passkeys, mass, perplexity: perplexities, duo };
const unknown = [...parts].find((name) => !Object.hasOwn(PARTS, name));
if (unknown !== undefined) throw new Error(`--parts: there is no '${unknown}'; expected ${Object.keys(PARTS)}.`);
const models = {
  wasm: await loadLocal(path, { backend: "wasm", ...(threads && { threads }) }),
  reference: await loadLocal(path, { backend: "reference" }),
};
const results = {};
for (const [name, run] of Object.entries(PARTS)) if (parts.has(name)) results[name] = await run(models);
await models.wasm.dispose();
await models.reference.dispose();
const text = Object.values(results)
  .map(({ caption, table }) => `${caption}\n\n${table}\n`)
  .join("\n");
process.stdout.write(`\n${text}`);
if (values.docs) {
  const page = join(root, "docs/evidence.md");
  writeFileSync(page, withTable(readFileSync(page, "utf8"), text, MARKS));
}
if (values.json) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
