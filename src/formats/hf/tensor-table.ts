/**
 * Tensor names of Hugging Face checkpoints and of GGUF, as tables: patterns of names to names, and to views where the
 * layout differs too. In a pattern # is the number of a layer and * that of an expert.
 */
import type { View } from "./views.js";

/** A tensor of GGUF that a tensor of the file becomes, or a part of one. */
export interface Target {
  /** GGUF's name with # for the layer, for modules without `.weight` and `.bias`. */
  readonly to: string;
  readonly view?: View;
  /** Which part of the view it is, where that is not the expert's number. */
  readonly part?: number;
}

export type Targets = string | Target | readonly Target[];

export interface TensorTable {
  /** What may stand before every name: "transformer.". */
  readonly prefixes: readonly string[];
  /** Paths of modules, whose parameters keep their `.weight` and `.bias`. */
  readonly modules: Readonly<Record<string, Targets>>;
  /** Single parameters by their full path, to GGUF's full names. */
  readonly parameters?: Readonly<Record<string, Targets>>;
  /** Names of the same tensor, of which a file may have several: the first that is there counts as the first. */
  readonly copies?: readonly (readonly string[])[];
  /** What is in files but not needed, prefixes taken off: masks, other towers. */
  readonly ignored?: RegExp;
}

/** Where a tensor of the file goes. */
export interface Placement {
  /** GGUF's name. */
  readonly name: string;
  readonly view: View | undefined;
  readonly part: number;
}

/** Saved by old versions, computed anew by everyone. */
const IGNORED = /(^|\.)(rotary_emb\.(inv_freq|cos_cached|sin_cached)|attn\.masked_bias|attention\.masked_bias)$/;

const NUMBER = /(?<=\.)(0|[1-9]\d{0,4})(?=\.)/g;

/** Where the tensor `name` goes: nowhere when it is not needed; undefined when the table does not know it. */
export function placementsOf(table: TensorTable, name: string): readonly Placement[] | undefined {
  const prefix = table.prefixes.find((candidate) => name.startsWith(candidate)) ?? "";
  const path = name.slice(prefix.length);
  if (/[#*]/.test(path)) return undefined;
  if (IGNORED.test(path) || table.ignored?.test(path)) return [];
  const [layer = "", expert = "0"] = path.match(NUMBER) ?? [];
  for (const pattern of patternsOf(path)) {
    const found = lookUp(table, pattern);
    if (!found) continue;
    return found.map(({ to, view, part }) => ({
      name: to.replace("#", layer),
      view,
      part: part ?? (pattern.includes("*") ? Number(expert) : 0),
    }));
  }
  return undefined;
}

/** The path with none, one or two of its numbers as wildcards, the plainest last. */
function patternsOf(path: string): string[] {
  let seen = 0;
  const both = path.replace(NUMBER, () => (seen++ === 0 ? "#" : "*"));
  seen = 0;
  const first = path.replace(NUMBER, (number) => (seen++ === 0 ? "#" : number));
  return [...new Set([both, first, path])];
}

function lookUp(table: TensorTable, pattern: string): readonly Target[] | undefined {
  const { modules, parameters = {} } = table;
  if (Object.hasOwn(parameters, pattern)) return targets(parameters[pattern]);
  const dot = pattern.lastIndexOf(".");
  const [module, parameter] = [pattern.slice(0, dot), pattern.slice(dot)];
  if ((parameter !== ".weight" && parameter !== ".bias") || !Object.hasOwn(modules, module)) return undefined;
  return targets(modules[module]).map((target) => ({ ...target, to: target.to + parameter }));
}

function targets(value: Targets): readonly Target[] {
  if (typeof value === "string") return [{ to: value }];
  return "to" in value ? [value] : value;
}
