/**
 * What the whole benchmark is judged by: ratios Sluice / llama.cpp (above 1 Sluice is the better one) unless the label says
 * otherwise, each with the least that must be and the aim. Which musts hold depends on the machine: see kindOf.
 */
import { median } from "./report.mjs";

/** The ratio of a row of a `decode` report. */
function decodeRow(format, key) {
  return ({ reports }) =>
    reports.find((report) => report.format === format)?.rows.find((row) => row.key === key)?.ratio;
}

function lengthRow(length, key) {
  return ({ rows }) => rows.find((row) => row.length === length)?.[key];
}

/** Each engine's fastest thread count: llama.cpp is best with one here. */
function smallRatio({ rows }) {
  const best = (engine) => Math.max(...rows.map((row) => median(row[engine])));
  return best("sluice") / best("llamaCpp");
}

/**
 * Bytes that decoding reads per second (weights and cache per token, times tokens per second) beside what the machine
 * reads: one entry per model and length.
 * @param {Record<string, object>} figures of the parts that were run
 * @returns {{what: string, gigabytes: Record<string, number>, share: Record<string, number>}[]}
 */
export function readShares(figures) {
  const limit = figures.kernels?.limits.readLimit ?? Number.NaN;
  const entry = (what, gigabytes) => ({
    what,
    gigabytes,
    share: Object.fromEntries(Object.entries(gigabytes).map(([engine, rate]) => [engine, rate / limit])),
  });
  const reports = Object.values(figures).flatMap((part) => part.reports ?? []);
  const short = reports.flatMap(({ shape, format, reads = [] }) =>
    reads.map(({ key, gigabytes }) => entry(`${shape} ${format}, decode at ${key.slice("decode@".length)}`, gigabytes)),
  );
  if (!figures.length) return short;
  const { options, bytesPerToken, rows } = figures.length;
  const long = rows.map(({ length, decode }) => {
    const bytes = bytesPerToken.weights + bytesPerToken.cache * length;
    const rates = Object.entries(decode).map(([engine, all]) => [engine, (bytes * median(all)) / 1e9]);
    return entry(`${options.shape} ${options.format}, decode at ${length}, in turn`, Object.fromEntries(rates));
  });
  return [...short, ...long];
}

/** Sluice's share of the machine's read rate in decode. */
function readShare(what) {
  return (_, figures) => readShares(figures).find((one) => one.what === what)?.share.sluice;
}

/** GFLOPS of the slower of both lengths of the cache. */
function multiHead({ kernels }) {
  return kernels?.multiHead && Math.min(...kernels.multiHead.map(({ gflops }) => gflops));
}

function bitsRow(format) {
  return ({ reports }) => reports.find((report) => report.format === format)?.ratio;
}

/**
 * Which musts a machine has, by what `machine` says of it:
 * - `table`: 256-bit vectors without AVX-VNNI, as most servers, in the forms that it picks itself: the table of ratios.
 * - `bits`: with AVX-VNNI, or with forms forced: what 256 bits bring over 128 in prefill.
 * - `none`: no 256-bit vectors (Node 20 and 22, other processors): figures and aims alone.
 * @param {{bits?: number, forced?: string, processor?: {features?: string[]}} | undefined} facts
 * @returns {"table" | "bits" | "none"}
 */
export function kindOf(facts) {
  if (facts === undefined) return "none";
  if (facts.forced !== undefined) return "bits";
  if (facts.bits !== 256) return "none";
  return facts.processor?.features?.includes("AVX-VNNI") ? "bits" : "table";
}

/**
 * @typedef {object} Goal
 * @property {string} label
 * @property {string} part whose figures it needs
 * @property {(figures: object, all: Record<string, object>) => number | undefined} value
 * @property {number} [must]
 * @property {"table" | "bits"} [on] the kind of machine that has the must; without it all have it
 * @property {number} [aim]
 * @property {boolean} [atMost] smaller is better
 */

/** A row of the table of ratios: must and aim on machines without AVX-VNNI. */
const ratio = (label, part, value, must, aim) => ({ label, part, value, must, on: "table", aim });

/** Decode and prefill of another family's shape, in both formats. */
function familyGoals(shape, prefills) {
  const keys = [
    ["decode at 256", "decode@256"],
    ...prefills.map((length) => [`prefill of ${length}`, `prefill@${length}`]),
  ];
  return ["f32", "q8_0"].flatMap((format) =>
    keys.map(([what, key]) => ({
      label: `${shape}, ${what}, ${format.toUpperCase()}`,
      part: `decode-${shape}`,
      value: decodeRow(format, key),
      aim: 1,
    })),
  );
}

/** The verdict that makes the whole benchmark fail. */
export const GOAL_MISSED = "goal not reached";

/** The part and the row of a format of the 1.1B model. */
const decodeAt = (part, format, must) =>
  ratio(`decode at 256, ${format.toUpperCase()}`, part, decodeRow(format, "decode@256"), must, 1.4);
const prefillOf = (part, format) =>
  ratio(`prefill of 512, ${format.toUpperCase()}`, part, decodeRow(format, "prefill@512"), 1, 1.3);
const smallPrefill = (format) =>
  ratio(`0.5B, prefill of 512, ${format.toUpperCase()}`, "decode-0.5b", decodeRow(format, "prefill@512"), 0.9, 1.1);
const NEOX = "neox-160m, prefill of 512, Q8_0";

/** @type {Goal[]} */
export const GOALS = [
  decodeAt("decode-1.1b-q4_k_m", "q4_k_m", 1.2),
  prefillOf("decode-1.1b", "q4_0"),
  prefillOf("decode-1.1b", "q8_0"),
  prefillOf("decode-1.1b-q4_k", "q4_k"),
  ratio("prefill of 8,192, Q4_0", "length", lengthRow(8192, "prefillRatio"), 1.2, 1.5),
  smallPrefill("q8_0"),
  smallPrefill("q4_0"),
  decodeAt("decode-1.1b", "q8_0", 1.25),
  decodeAt("decode-1.1b", "q4_0", 1.2),
  decodeAt("decode-1.1b-q4_k", "q4_k", 1.2),
  ratio("decode at 4,096, Q4_0, full", "length", lengthRow(4096, "decodeRatio"), 1.6, 2),
  ratio("decode at 8,192, Q4_0, full", "length", lengthRow(8192, "decodeRatio"), 1.9, 2.5),
  ratio(NEOX, "decode-neox-160m", decodeRow("q8_0", "prefill@512"), 1, 1.3),
  ratio("attention, 32 KV heads of 128, one row, f16: GFLOPS of a core", "kernels", multiHead, 13, 20),
  ...["q4_0", "q8_0", "q4_k"].map((format) => ({
    label: `prefill of 512, ${format.toUpperCase()}: 256 bits over 128`,
    part: "bits",
    value: bitsRow(format),
    must: 1.7,
    on: "bits",
  })),
  {
    label: "decode at 256, Q8_0, share of memory read",
    part: "decode-1.1b",
    value: readShare("1.1b q8_0, decode at 256"),
    aim: 0.9,
  },
  { label: "load from page cache, Q8_0", part: "decode-1.1b", value: decodeRow("q8_0", "load"), must: 0.7, aim: 1 },
  { label: "load from page cache, Q4_0", part: "decode-1.1b", value: decodeRow("q4_0", "load"), must: 0.7, aim: 1 },
  {
    label: "two layers of the 1.1B, sinks:4,recent:1020: token at 100,000 over one at 2,000 (at most)",
    part: "endless",
    value: ({ ratio: found }) => found,
    must: 1.03,
    atMost: true,
  },
  { label: "stories260K, decode", part: "small", value: smallRatio, must: 0.5 },
  {
    label: "stories260K, a million tokens: growth of memory in use, or resident after idle seconds, in MB (at most)",
    part: "million",
    value: ({ growthBytes, residentGrowthBytes }) => Math.max(growthBytes, residentGrowthBytes) / 1e6,
    must: 10,
    atMost: true,
  },
  {
    label: "stories260K, a million tokens: token of the last tenth over one of the second (at most)",
    part: "million",
    value: ({ ratio: found }) => found,
    must: 1.05,
    atMost: true,
  },
  ...familyGoals("neox-160m", [512]).filter(({ label }) => label !== NEOX),
  ...familyGoals("mamba-130m", [512, 2048]),
];

/**
 * @param {Record<string, object>} figures of the parts that were run; `machine`: what they are of
 * @returns {{label: string, part: string, value: number | undefined, must?: number, aim?: number, verdict: string, disturbed: boolean}[]}
 */
export function judge(figures) {
  const measure = ({ part, value }) => figures[part] && value(figures[part], figures);
  return judgeGoals(GOALS, measure, kindOf(figures.machine)).map((judged) => ({
    ...judged,
    disturbed: figures[judged.part]?.disturbed ?? false,
  }));
}

/**
 * Each goal with what was measured and a verdict.
 * @template {Omit<Goal, "value">} G
 * @param {readonly G[]} goals
 * @param {(goal: G) => number | undefined} measure
 * @param {"table" | "bits" | "none"} kind of the machine
 */
export function judgeGoals(goals, measure, kind) {
  return goals.map((goal) => {
    const { label, part, on, aim, atMost = false } = goal;
    const value = measure(goal);
    const must = on === undefined || on === kind ? goal.must : undefined;
    const reaches = (limit) => limit !== undefined && (atMost ? value <= limit : value >= limit);
    const verdict = () => {
      if (!Number.isFinite(value)) return "not measured";
      if (reaches(aim)) return "hoped for, reached";
      if (must === undefined) return aim === undefined ? "" : "hoped for, not reached";
      return reaches(must) ? "goal reached" : GOAL_MISSED;
    };
    return { label, part, value, must, aim, verdict: verdict() };
  });
}
