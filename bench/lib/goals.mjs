/**
 * What the whole benchmark is judged by: ratios Sluice / llama.cpp (above 1 Sluice is the better one) unless the label says
 * otherwise, each with the least that must be and the aim.
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
  const short = reports.flatMap(({ shape, format, reads }) =>
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

/**
 * @typedef {object} Goal
 * @property {string} label
 * @property {string} part whose figures it needs
 * @property {(figures: object, all: Record<string, object>) => number | undefined} value
 * @property {number} [must]
 * @property {number} [aim]
 * @property {boolean} [atMost] smaller is better
 */

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

/** @type {Goal[]} */
export const GOALS = [
  { label: "decode at 256, Q8_0", part: "decode-1.1b", value: decodeRow("q8_0", "decode@256"), must: 1, aim: 1.25 },
  {
    label: "decode at 256, Q8_0, share of memory read",
    part: "decode-1.1b",
    value: readShare("1.1b q8_0, decode at 256"),
    aim: 0.9,
  },
  { label: "decode at 256, Q4_0", part: "decode-1.1b", value: decodeRow("q4_0", "decode@256"), must: 1, aim: 1.3 },
  { label: "decode at 4,096, Q4_0, full", part: "length", value: lengthRow(4096, "decodeRatio"), must: 2, aim: 2.5 },
  { label: "decode at 8,192, Q4_0, full", part: "length", value: lengthRow(8192, "decodeRatio"), must: 2.8, aim: 4 },
  { label: "prefill of 512, Q4_0", part: "decode-1.1b", value: decodeRow("q4_0", "prefill@512"), must: 0.7, aim: 1 },
  { label: "prefill of 512, Q8_0", part: "decode-1.1b", value: decodeRow("q8_0", "prefill@512"), must: 0.7, aim: 1 },
  { label: "prefill of 8,192, Q4_0", part: "length", value: lengthRow(8192, "prefillRatio"), must: 1, aim: 1.5 },
  { label: "load from page cache, Q8_0", part: "decode-1.1b", value: decodeRow("q8_0", "load"), must: 0.7, aim: 1 },
  { label: "load from page cache, Q4_0", part: "decode-1.1b", value: decodeRow("q4_0", "load"), must: 0.7, aim: 1 },
  {
    label: "two layers of the 1.1B, sinks:4,recent:1020: token at 100,000 over one at 2,000 (at most)",
    part: "endless",
    value: ({ ratio }) => ratio,
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
    value: ({ ratio }) => ratio,
    must: 1.05,
    atMost: true,
  },
  ...familyGoals("neox-160m", [512]),
  ...familyGoals("mamba-130m", [512, 2048]),
];

/**
 * @param {Record<string, object>} figures of the parts that were run
 * @returns {{label: string, part: string, value: number | undefined, must?: number, aim?: number, verdict: string, disturbed: boolean}[]}
 */
export function judge(figures) {
  return GOALS.map(({ label, part, value: measure, must, aim, atMost = false }) => {
    const value = figures[part] && measure(figures[part], figures);
    const reaches = (goal) => goal !== undefined && (atMost ? value <= goal : value >= goal);
    const verdict = () => {
      if (!Number.isFinite(value)) return "not measured";
      if (reaches(aim)) return "hoped for, reached";
      if (must === undefined) return "hoped for, not reached";
      return reaches(must) ? "goal reached" : GOAL_MISSED;
    };
    return { label, part, value, must, aim, verdict: verdict(), disturbed: figures[part]?.disturbed ?? false };
  });
}
