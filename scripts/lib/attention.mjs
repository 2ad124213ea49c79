// Attention mass on the first places of a text as a table in Markdown, for scripts/attention-mass.mjs and sink-study.mjs.
import { readFileSync } from "node:fs";
import { loadLocal } from "sluice/engine";
import "sluice";
import { attentionMass } from "../../dist/eval/index.js";
import { markdownTable } from "./streaming.mjs";

/** `count` stretches of `window` tokens, spread evenly over the text, each behind the start token where there is one. */
export function stretches({ tokenizer }, path, window, count) {
  const ids = tokenizer.encode(readFileSync(path, "utf8"), { addSpecial: false, parseSpecial: false });
  const start = tokenizer.addsBos && tokenizer.bosId !== undefined ? [tokenizer.bosId] : [];
  const own = window - start.length;
  const last = ids.length - own;
  if (last < 0) throw new Error(`${path} has ${ids.length} tokens; a window needs ${own}.`);
  return Array.from({ length: count }, (_, at) => {
    const begin = Math.round((at * last) / Math.max(1, count - 1));
    return Int32Array.from([...start, ...ids.subarray(begin, begin + own)]);
  });
}

const percent = (share) => `${(100 * share).toFixed(1)}%`;

function cells(name, { places, nowhere }) {
  const together = places.reduce((sum, share) => sum + share, 0);
  return [name, ...[...places, together, nowhere].map(percent)];
}

/** @param options { window, windows, from, places, heads } */
export async function attentionMassTable(reference, path, { window, windows, from, places, heads }) {
  const model = await loadLocal(reference, { backend: "reference" });
  try {
    const { layers, uniform } = await attentionMass(model, stretches(model, path, window, windows), { places, from });
    const rows = layers.flatMap((layer) => [
      cells(`layer ${layer.layer}`, layer),
      ...(heads ? layer.heads.map((head, at) => cells(`layer ${layer.layer}, head ${at}`, head)) : []),
    ]);
    const numbers = Array.from({ length: places }, (_, place) => `place ${place}`);
    rows.push(cells("if all places got alike", { places: numbers.map(() => uniform), nowhere: 0 }));
    return markdownTable(["", ...numbers, "together", "nowhere"], rows);
  } finally {
    await model.dispose();
  }
}
