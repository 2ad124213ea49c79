/**
 * `node scripts/attention-mass.mjs MODEL TEXT [--window 256] [--windows 4] [--from 64] [--places 4] [--heads]`: the mean
 * attention probability that queries from place `from` on give to the first places, by layer (with --heads also by head), over
 * stretches of the text of `window` tokens, each read from place 0 with the start token, where the vocabulary has one, in
 * front. As a table in Markdown. It shows whether attention sinks have formed; runs on the reference backend, which is slow.
 */
import { parseArgs } from "node:util";
import { attentionMassTable } from "./lib/attention.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    window: { type: "string", default: "256" },
    windows: { type: "string", default: "4" },
    from: { type: "string", default: "64" },
    places: { type: "string", default: "4" },
    heads: { type: "boolean", default: false },
  },
});
const [reference, path] = positionals;
if (path === undefined) throw new Error("Name a model and a text.");
const [window, windows, from, places] = ["window", "windows", "from", "places"].map((name) => Number(values[name]));
console.log(await attentionMassTable(reference, path, { window, windows, from, places, heads: values.heads }));
