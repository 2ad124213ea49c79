/** Gates that fit a model: rows have the numbers of its layers, and a digest tells them from others in saved sessions. */
import { ArgumentError } from "../../util/errors.js";
import { counted } from "../../util/figures.js";
import { xxhash32 } from "../../util/xxhash32.js";
import type { AttentionShape } from "../mixer-state.js";
import type { HeadGates } from "./head-gates.js";

/** Plain data: it crosses threads. */
export interface ModelGates extends HeadGates {
  /** The model's layer of each row, ascending. */
  readonly layerNumbers: readonly number[];
  /** Of all that decides which heads stream; 16 hexadecimal digits. */
  readonly digest: string;
}

/** By the name that policies use. */
export type GatesByName = ReadonlyMap<string, ModelGates>;

/** What gates must fit. */
export interface GatedShapes {
  readonly architecture: string;
  /** Of the layers with attention, in the model's order. */
  readonly attention: readonly Pick<AttentionShape, "layer" | "kvHeads">[];
}

/** @throws ArgumentError for gates of other sizes */
export function fitGates(gates: HeadGates, name: string, { architecture, attention }: GatedShapes): ModelGates {
  const { layers } = gates;
  const origin = gates.model ? ` They were found for ${modelText(gates.model)}.` : "";
  const found = `${origin} \`sluice gates MODEL --out FILE\` finds those of a model.`;
  if (layers.length !== attention.length) {
    throw new ArgumentError(
      `The gates "${name}" are of ${counted(layers.length, "layer")} with attention; this ${architecture} model has ${attention.length}.${found}`,
      { option: "gates", name, found: layers.length, expected: attention.length },
    );
  }
  const wrong = attention.findIndex(({ kvHeads }, i) => layers[i].length !== kvHeads);
  if (wrong >= 0) {
    const { layer, kvHeads } = attention[wrong];
    throw new ArgumentError(
      `The gates "${name}" have ${counted(layers[wrong].length, "KV head")} in layer ${layer}; this ${architecture} model has ${kvHeads}.${found}`,
      { option: "gates", name, layer, found: layers[wrong].length, expected: kvHeads },
    );
  }
  return { ...gates, layerNumbers: attention.map(({ layer }) => layer), digest: digestOf(gates) };
}

/** All gates, by name. @throws ArgumentError for gates of other sizes */
export function fitAllGates(gates: Readonly<Record<string, HeadGates>>, shapes: GatedShapes): GatesByName {
  return new Map(Object.entries(gates).map(([name, one]) => [name, fitGates(one, name, shapes)]));
}

/** @throws ArgumentError for gates that say they are another model's */
export function requireSameModel(
  { model }: HeadGates,
  name: string,
  own: { readonly fingerprint: string; readonly architecture: string; readonly name: string | null },
): void {
  if (model === null || model.fingerprint === own.fingerprint) return;
  throw new ArgumentError(
    `The gates "${name}" were found for ${modelText(model)}, not for ${modelText(own)}: fingerprints ${model.fingerprint} and ` +
      `${own.fingerprint}. Another file of the same model, such as another quantisation, has another fingerprint too; if the heads ` +
      'are the same, remove "model" from the file.',
    { option: "gates", name, found: model.fingerprint, expected: own.fingerprint },
  );
}

function modelText({ name, architecture }: { readonly name: string | null; readonly architecture: string }): string {
  return `${name ?? "a model without a name"} (${architecture})`;
}

function digestOf({ layers, threshold }: HeadGates): string {
  const numbers = Float64Array.from([layers.length, threshold ?? -1, ...layers.flatMap((row) => [row.length, ...row])]);
  const bytes = new Uint8Array(numbers.buffer);
  return [0, 1].map((seed) => xxhash32(bytes, seed).toString(16).padStart(8, "0")).join("");
}
