/**
 * Tensors of a checkpoint that no weight of the spec uses. Left out in silence, they make a model that writes nonsense: so
 * they are an error that names them, but for those that an architecture lists as meaning nothing to it.
 */
import type { Checkpoint } from "../formats/checkpoint.js";
import { requireTensor } from "../formats/require-tensor.js";
import type { ModelSpec } from "../nn/spec.js";
import { weightUses } from "../nn/weights.js";
import { UnsupportedError } from "../util/errors.js";
import type { Architecture } from "./architecture.js";

/** Angles of rotary positions that old converters wrote; everyone computes them. */
const IGNORED = /^blk\.\d+\.attn_rot_embd(\.|$)|(^|\.)rotary_emb\.inv_freq$/;

interface Reason {
  readonly names: RegExp;
  readonly says: string;
}

/** What is likely where such names are left over. */
const REASONS: readonly Reason[] = [
  {
    names:
      /\.(scale|scales|input_scale|output_scale|weight_scale(_inv|_2)?|activation_scale|qweight|qzeros|g_idx|absmax|quant_map|quant_state.*|SCB|biases|weight_packed|weight_shape|weight_zero_point|[kv]_scale)$/,
    says: "it belongs to a quantisation that Sluice does not read: take the unquantised model, or a GGUF file of another type",
  },
  { names: /lora_|\.lora/i, says: "it belongs to an adapter: merge that into the model first" },
  { names: /(^|\.)(mtp|nextn|eh_proj)(\.|_|$)/, says: "it predicts further tokens, which Sluice does not run here" },
  { names: /^(v|mm|a)\.|vision|visual|audio|projector/, says: "it belongs to a part for images or sounds" },
  { names: /^(cls|score|classifier|pooler|dense_\d)/, says: "it belongs to a model that classifies or embeds texts" },
];

/**
 * @throws UnsupportedError that names the first ones and counts the rest; FormatError where others are missing, which says
 * more
 */
export function refuseUnusedTensors(checkpoint: Checkpoint, spec: ModelSpec, architecture: Architecture): void {
  const used = new Set([...weightUses(spec).map(({ ref }) => ref.tensor), ...architecture.auxiliary]);
  const names = [...checkpoint.tensors.keys(), ...(checkpoint.unsupportedTensors?.keys() ?? [])];
  const unused = names.filter((name) => !used.has(name) && !IGNORED.test(name) && !architecture.ignored?.test(name));
  if (unused.length === 0) return;
  const known = REASONS.find((reason) => unused.some((name) => reason.names.test(name)));
  if (!known) for (const { ref } of weightUses(spec)) requireTensor(checkpoint, ref.tensor);
  const reason = known?.says ?? reasonOf(unused, spec);
  throw new UnsupportedError(
    `${checkpoint.location}: ${listed(unused)}, which ${checkpoint.architecture} as Sluice runs it does not use: ${reason}.`,
    { tensor: unused[0], count: unused.length },
  );
}

function reasonOf(unused: readonly string[], spec: ModelSpec): string {
  const beyond = unused.some((name) => Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1) >= spec.layers.length);
  if (beyond) return `there are more blocks than the ${spec.layers.length} that the metadata announces`;
  return "it is a variant that is not supported, and would write nonsense without them";
}

const NAMED = 3;

function listed(names: readonly string[]): string {
  const quoted = names.slice(0, NAMED).map((name) => `"${name}"`);
  const more = names.length - quoted.length;
  if (more > 0) return `it has ${quoted.join(", ")} and ${more} more tensors`;
  const rest = quoted.slice(0, -1).join(", ");
  return quoted.length === 1 ? `it has the tensor ${quoted[0]}` : `it has the tensors ${rest} and ${quoted.at(-1)}`;
}
