/** Which files of a hub repository make up the model that someone asks for. */
import { ArgumentError, NotFoundError } from "../util/errors.js";
import { baseName, parentOf } from "./location.js";
import { parseShardName } from "./shard-name.js";

export interface HubFile {
  readonly path: string;
  readonly size: number;
}

/** Taken in this order when nobody asks for a quantisation: small for its quality first, then what is left. */
const PREFERENCE = [
  "Q4_K_M",
  "Q8_0",
  "Q5_K_M",
  "Q6_K",
  "Q4_K_S",
  "Q5_K_S",
  "Q4_0",
  "IQ4_NL",
  "Q4_1",
  "Q5_0",
  "Q5_1",
  "Q4_K_L",
  "Q5_K_L",
  "Q6_K_L",
  "Q4_K",
  "Q5_K",
  "Q3_K_L",
  "Q3_K_M",
  "Q3_K_S",
  "Q3_K",
  "BF16",
  "F16",
  "F32",
  "Q2_K",
];

/** Projectors of vision models and calibration data are GGUF files too, but no language models. */
const NO_MODEL = /(^|[-_.])(mmproj|imatrix)([-_.]|$)/i;

const LABEL = /(?:^|[-._])(i?q\d(?:_[a-z0-9]+)*|tq[12]_0|mxfp4(?:_moe)?|nvfp4|bf16|fp?16|fp?32)$/i;

/** The quantisation that a GGUF file's name ends with, in upper case: "Q4_K_M" of "tiny.q4_k_m.gguf". */
export function quantLabel(path: string): string | undefined {
  const stem = parseShardName(path)?.prefix ?? path.replace(/\.gguf$/i, "");
  const label = LABEL.exec(baseName(stem))?.[1].toUpperCase();
  return label?.replace("FP", "F");
}

/** A model of one repository: one file or all shards of a set, the first one first. */
type Model = readonly HubFile[];

function modelsOf(files: readonly HubFile[]): Model[] {
  const sets = new Map<string, HubFile[]>();
  for (const file of files.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    if (!file.path.endsWith(".gguf") || NO_MODEL.test(baseName(file.path))) continue;
    const shard = parseShardName(file.path);
    const key = shard ? `${shard.prefix}/${shard.total}` : file.path;
    sets.set(key, [...(sets.get(key) ?? []), file]);
  }
  return [...sets.values()];
}

/** A repository with its files. */
export interface Listing {
  readonly repo: string;
  readonly files: readonly HubFile[];
}

/**
 * The GGUF model of a quantisation, or the preferred one; undefined when the repository has no GGUF models and none was
 * asked for. @throws NotFoundError that lists what there is, ArgumentError when several fit
 */
export function chooseGguf({ repo, files }: Listing, quant: string | undefined): Model | undefined {
  const models = modelsOf(files);
  const labelled = (label: string) => models.filter(([first]) => quantLabel(first.path) === label);
  if (quant !== undefined) {
    return only(labelled(quant.toUpperCase().replace(/^FP/, "F")), repo, models, `no GGUF file of ${quant}`);
  }
  if (models.length <= 1) return models[0];
  const label = PREFERENCE.find((candidate) => labelled(candidate).length > 0);
  return only(label ? labelled(label) : [], repo, models, "no GGUF file of a quantisation that Sluice reads");
}

function only(fitting: readonly Model[], repo: string, models: readonly Model[], missing: string): Model {
  if (fitting.length === 1) return fitting[0];
  const paths = (from: readonly Model[]) => summary(from.map(([first]) => first.path));
  if (fitting.length === 0) throw new NotFoundError(`${repo} has ${missing}; it has ${paths(models)}.`, { repo });
  throw new ArgumentError(
    `${repo} has several models that fit: ${paths(fitting)}. Name one: hf:${repo}/${fitting[0][0].path}.`,
    { repo },
  );
}

/** A file that was named, with the other shards of its set. @throws NotFoundError that lists what there is */
export function chooseFile({ repo, files }: Listing, path: string): Model {
  const shard = parseShardName(path);
  const isSibling = (file: HubFile) => {
    const other = parseShardName(file.path);
    return shard !== undefined && other?.prefix === shard.prefix && other.total === shard.total;
  };
  const chosen = files.filter((file) => file.path === path || isSibling(file));
  if (chosen.some((file) => file.path === path)) return chosen;
  const ggufs = files.map((file) => file.path).filter((name) => name.endsWith(".gguf"));
  throw new NotFoundError(`${repo} has no file ${path}; its GGUF files are ${summary(ggufs)}.`, { repo, path });
}

/** Of a Hugging Face model, beside its weights. */
export const SIDE_FILES = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
];

/** Small files of a Hugging Face model, config.json first; undefined when the repository does not hold one. */
export function sideFiles({ files }: Listing): HubFile[] | undefined {
  const hasWeights = files.some((file) => file.path.endsWith(".safetensors") && parentOf(file.path) === ".");
  const found = SIDE_FILES.flatMap((name) => files.find((file) => file.path === name) ?? []);
  return hasWeights && found[0]?.path === "config.json" ? found : undefined;
}

/** The weight files that an index names. @throws NotFoundError for one that is not there */
export function weightFiles({ repo, files }: Listing, names: Iterable<string>): HubFile[] {
  return [...new Set(names)].sort().map((name) => {
    const file = files.find((candidate) => candidate.path === name);
    if (file) return file;
    throw new NotFoundError(`${repo} lacks the weights file ${name} that its index names.`, { repo, path: name });
  });
}

/** What a folder or repository lacks of a model, as the end of a sentence about it. */
export function withoutModel(names: readonly string[]): string {
  const weights = names.filter((name) => name.endsWith(".safetensors"));
  if (weights.length > 0)
    return `has weights (${summary(weights)}), but no config.json, which says what model they are.`;
  const found = names.length === 0 ? "it is empty" : `it has ${summary(names)}`;
  if (names.includes("config.json")) return `has a config.json, but no weights: expected .safetensors files; ${found}.`;
  return `has no model: expected a .gguf file, or .safetensors files with a config.json; ${found}.`;
}

export function summary(names: readonly string[]): string {
  if (names.length === 0) return "none";
  const more = names.length > 20 ? ` and ${names.length - 20} more` : "";
  return names.slice(0, 20).join(", ") + more;
}
