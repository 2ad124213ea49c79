/**
 * What `long` measures, what must be reached, and its part of docs/evidence.md.
 */
import { judgeGoals, kindOf } from "./goals.mjs";
import { median } from "./report.mjs";

/** Its table in docs/evidence.md stands between these. */
export const LONG_MARKS = { begin: "<!-- results: npm run bench -- long --docs -->", end: "<!-- end of long -->" };

const PEER = "llama.cpp f16";
const QUEST = "full,read=quest:1024";
const DUO = "duo of half";

/**
 * @typedef {object} Row
 * @property {string} name
 * @property {string} kv type of the cache
 * @property {string} [context] Sluice's policy
 * @property {boolean} [gated] its gates, `half`, are given
 * @property {boolean} [peer] llama.cpp
 */

/** @type {readonly Row[]} */
export const LONG_ROWS = [
  { name: "full", context: "full", kv: "f16" },
  { name: QUEST, context: QUEST, kv: "f16" },
  { name: DUO, context: "duo:half,sinks:64,recent:256", kv: "f16", gated: true },
  { name: `${DUO},read=quest:1024`, context: "duo:half,sinks:64,recent:256,read=quest:1024", kv: "f16", gated: true },
  { name: "sinks:4,recent:1020", context: "sinks:4,recent:1020", kv: "f16" },
  { name: "full, q8", context: "full", kv: "q8" },
  { name: "full, q4", context: "full", kv: "q4" },
  { name: PEER, kv: "f16", peer: true },
  { name: "llama.cpp q8_0", kv: "q8_0", peer: true },
];

/**
 * @typedef {object} Measured
 * @property {string} name of the row
 * @property {number} length
 * @property {number[]} [rates] tokens/s
 * @property {number} [cacheBytes]
 * @property {number} [read] tokens that the newest step read
 * @property {string} [refused] why there are none
 */

/** Milliseconds of a token. @param {Measured | undefined} row */
export const cost = (row) => (row?.rates ? 1000 / median(row.rates) : undefined);

/**
 * Must and aim hold where `on` says so (goals.mjs, kindOf), on all machines where it says nothing.
 * @type {readonly {label: string, value: (at: (name: string, length: number) => Measured | undefined) => number, must: number, aim?: number, on?: string, atMost?: boolean}[]}
 */
const GOALS = [
  {
    label: "read=quest:1024 at 8,192, over llama.cpp f16",
    value: (at) => cost(at(PEER, 8192)) / cost(at(QUEST, 8192)),
    must: 2,
    on: "table",
  },
  {
    label: "read=quest:1024 at 32,768, over llama.cpp f16",
    value: (at) => cost(at(PEER, 32_768)) / cost(at(QUEST, 32_768)),
    must: 5,
    aim: 8,
    on: "table",
  },
  {
    label: "read=quest:1024: a token at 131,072 over one at 8,192 (at most)",
    value: (at) => cost(at(QUEST, 131_072)) / cost(at(QUEST, 8192)),
    must: 2,
    atMost: true,
  },
  {
    label: "duo of half at 32,768: cache of full over its own",
    value: (at) => at("full", 32_768)?.cacheBytes / at(DUO, 32_768)?.cacheBytes,
    must: 1.9,
  },
  {
    label: "duo of half at 32,768: speed over full",
    value: (at) => cost(at("full", 32_768)) / cost(at(DUO, 32_768)),
    must: 1.6,
  },
  {
    label: "q4 at 32,768: speed over f16",
    value: (at) => cost(at("full", 32_768)) / cost(at("full, q4", 32_768)),
    must: 1,
  },
];

/**
 * @param {readonly Measured[]} rows
 * @param {object} facts of the machine
 */
export function judgeLong(rows, facts) {
  const at = (name, length) => rows.find((row) => row.name === name && row.length === length);
  return judgeGoals(
    GOALS.map((goal) => ({ ...goal, part: "long" })),
    (goal) => goal.value(at),
    kindOf(facts),
  );
}

const shown = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
const line = (cells) => `| ${cells.join(" | ")} |`;
const markdown = (head, rows) =>
  [line(head), line(head.map((_, i) => (i === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");

/** The section's tables. @param {readonly Measured[]} rows */
export function longEvidence(rows, goals, { kind, node, threads, date, disturbed }) {
  const lengths = [...new Set(rows.map(({ length }) => length))];
  const names = [...new Set(rows.map(({ name }) => name))];
  const of = (name, length) => rows.find((row) => row.name === name && row.length === length);
  const heads = lengths.flatMap((length) => [`${length.toLocaleString("en-US")}: tokens/s`, "x llama.cpp f16", "MB"]);
  const cells = (name) =>
    lengths.flatMap((length) => {
      const row = of(name, length);
      const peer = cost(of(PEER, length));
      if (!row?.rates) return ["", "", ""];
      return [shown(median(row.rates)), peer ? shown(peer / cost(row)) : "", (row.cacheBytes / 1e6).toFixed(0)];
    });
  const speeds = markdown(
    ["", ...heads],
    names.map((name) => [`\`${name}\``, ...cells(name)]),
  );
  const verdicts = markdown(
    ["", "must", "aim", "measured"],
    goals.map(({ label, value, must, aim, verdict }) => {
      const found = Number.isFinite(value) ? shown(value) : "";
      return [
        label,
        String(must ?? ""),
        String(aim ?? ""),
        verdict.endsWith("not reached") && must !== undefined ? `**${found}**` : found,
      ];
    }),
  );
  const about = `${kind} (Node ${node}), ${threads} threads, ${date.slice(0, 10)}${disturbed ? ", other work disturbed the run" : ""}.`;
  return `${speeds}\n\n${verdicts}\n\nBold: missed. ${about}\n`;
}
