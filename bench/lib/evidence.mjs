/**
 * The table of docs/evidence.md in which results of several kinds of machine stand side by side. Results are kept in
 * docs/speed-results.json by kind of machine and only ever written by a run (`npm run bench -- --docs`); the table is made of them.
 */

const MARKS = { begin: "<!-- results: npm run bench -- --docs -->", end: "<!-- end of results -->" };

/**
 * What a column is of: results of the same kind replace each other.
 * @param {object} facts of the part `machine`
 */
export function kindName({ processor, node, forced }) {
  const { name, generation, features } = processor;
  const vnni = features && (features.includes("AVX-VNNI") ? ", AVX-VNNI" : ", no AVX-VNNI");
  const form = forced === undefined ? "" : `, SLUICE_FORM=${forced}`;
  return `${name}${generation ? `, ${generation}` : ""}${vnni ?? ""}, Node ${node.split(".")[0]}${form}`;
}

/**
 * The results with those of a run put in: figures that the run did not measure stay as they were.
 * @param {Record<string, {date: string, values: Record<string, object>}>} results by kind
 */
export function withRun(results, facts, goals, date) {
  const kind = kindName(facts);
  const measured = goals.filter(({ value }) => Number.isFinite(value));
  const values = Object.fromEntries(
    measured.map(({ label, value, must, aim, verdict, disturbed }) => [
      label,
      { value, must, aim, verdict, disturbed },
    ]),
  );
  const { cores } = facts.processor;
  const about = { date: date.slice(0, 10), cores, node: facts.node, readLimit: facts.readLimit };
  return { ...results, [kind]: { ...about, values: { ...results[kind]?.values, ...values } } };
}

const shown = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

function cell(result, isMissed) {
  if (!result) return "";
  return `${isMissed(result) ? `**${shown(result.value)}**` : shown(result.value)}${result.disturbed ? " (disturbed)" : ""}`;
}

/**
 * @param {Record<string, object>} results by kind
 * @param {readonly string[]} labels in their order
 * @param {string} missed the verdict whose figures are set in bold
 */
export function evidenceTable(results, labels, missed) {
  const kinds = Object.keys(results);
  const known = labels.filter((label) => kinds.some((kind) => results[kind].values[label]));
  const head = ["Sluice / llama.cpp, 1.1B parameters unless another is named", "must", "aim", ...kinds];
  const lines = known.map((label) => {
    const cells = kinds.map((kind) => results[kind].values[label]);
    const goal = (key) => String(cells.find((result) => result?.[key] !== undefined)?.[key] ?? "");
    const isMissed = ({ verdict }) => verdict === missed;
    return [label, goal("must"), goal("aim"), ...cells.map((result) => cell(result, isMissed))];
  });
  const row = (cells) => `| ${cells.join(" | ")} |`;
  const rule = row(head.map((_, i) => (i === 0 ? "---" : "---:")));
  const about = kinds.map((kind) => {
    const { date, cores, node, readLimit } = results[kind];
    const memory = readLimit === undefined ? "" : `, memory ${shown(readLimit)} GB/s`;
    return `- ${kind}: ${cores} cores, Node ${node}${memory}, ${date}`;
  });
  return `${[row(head), rule, ...lines.map(row)].join("\n")}\n\nBold: a must that was missed.\n\n${about.join("\n")}\n`;
}

/**
 * The page with another table in it.
 * @param {{begin: string, end: string}} marks lines that it stands between
 * @throws Error where the marks are not there
 */
export function withTable(page, table, { begin, end } = MARKS) {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/evidence.md: expected '${begin}' and, behind it, '${end}'`);
  return `${page.slice(0, from + begin.length)}\n\n${table}\n${page.slice(to)}`;
}
