/** A model's description for people: rows of a name and a text; where layers differ, each text with its layers. */
import { counted, formatCount } from "../figures.js";
import { groupText, type LayerGroup, layerNumbers } from "./layer-groups.js";
import type {
  AttentionDescription,
  FeedForwardDescription,
  MixerDescription,
  ModelDescription,
  NormDescription,
  PositionDescription,
  StackDescription,
  StateSpaceDescription,
} from "./model-description.js";

/** Three significant digits, as short as they go: 4, 0.00391. */
const short = (value: number) => Number(value.toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: 9 });

type Row = readonly [string, string];

const NORMS = { rms: "RMSNorm", layer: "LayerNorm" } as const;
const MIXERS = { attention: "attention", mamba: "Mamba", mamba2: "Mamba-2" } as const;

/** The layers, the tokens and what stands around them. */
export function modelRows(model: ModelDescription): Row[] {
  const { encoder } = model;
  return [
    ["width", formatCount(model.width)],
    ...stackRows(model, embeddedPositions(model)),
    ...(encoder ? stackRows(encoder).map(([name, text]): Row => [`encoder ${name}`, text]) : []),
    ["embedding", embeddingText(model)],
    ["trained for", `${counted(model.contextLength, "token")}`],
    ...(model.logitSoftcap === null ? [] : [["logits", `capped at ${short(model.logitSoftcap)}`] as const]),
  ];
}

function stackRows(stack: StackDescription, embedded?: string): Row[] {
  const attention = ofKind(stack.mixers, (mixer) => (mixer.kind === "attention" ? mixer : undefined));
  const spaces = ofKind(stack.mixers, (mixer) => (mixer.kind === "attention" ? undefined : mixer));
  const windows = attention.some(({ value }) => value.window !== null);
  const scores = groupText(attention, scoresText);
  return [
    ["layers", mixersText(stack)],
    ...row("heads", groupText(attention, headsText), attention.length > 0),
    ...row("state space", groupText(spaces, stateSpaceText), spaces.length > 0),
    ...row("positions", embedded ?? groupText(attention, ({ positions }) => positionsText(positions)), true),
    ...row(
      "window",
      groupText(attention, ({ window }) => windowText(window)),
      windows,
    ),
    ...row(
      "clamp",
      groupText(attention, clampText),
      attention.some(({ value }) => value.clamp !== null),
    ),
    ...row("scores", scores, scores !== ""),
    ...row(
      "cross attention",
      groupText(stack.cross, (cross) => `heads ${headsText(cross)}`),
      stack.cross.length > 0,
    ),
    ["feed-forward", groupText(stack.feedForwards, feedForwardText)],
    ["residual", groupText(stack.residuals, (residual) => residual)],
    ["norms", groupText(stack.norms, normText)],
  ];
}

function row(name: string, text: string, shown: boolean): Row[] {
  return shown ? [[name, text === "" ? "none" : text]] : [];
}

/** The groups whose value `pick` takes. */
function ofKind<T>(groups: readonly LayerGroup<MixerDescription>[], pick: (mixer: MixerDescription) => T | undefined) {
  return groups.flatMap(({ layers, value }) => {
    const picked = pick(value);
    return picked === undefined ? [] : [{ layers, value: picked }];
  });
}

/** "32, attention", or "32: attention x 4 (layers 4, 12, 20, 28), Mamba x 28". */
function mixersText({ layers, mixers }: StackDescription): string {
  const kinds = (["attention", "mamba", "mamba2"] as const).flatMap((kind) => {
    const numbers = mixers.flatMap((group) => (group.value.kind === kind ? group.layers : [])).sort((a, b) => a - b);
    return numbers.length > 0 ? [{ name: MIXERS[kind], numbers }] : [];
  });
  if (kinds.length === 1) return `${formatCount(layers)}, ${kinds[0].name}`;
  const rarest = Math.min(...kinds.map(({ numbers }) => numbers.length));
  const texts = kinds.map(({ name, numbers }) => {
    const text = `${name} x ${formatCount(numbers.length)}`;
    return numbers.length === rarest ? `${text} (${layerNumbers(numbers)})` : text;
  });
  return `${formatCount(layers)}: ${texts.join(", ")}`;
}

function headsText({ heads, kvHeads, keyWidth, valueWidth, headNorms }: AttentionDescription): string {
  const values = valueWidth === keyWidth ? "" : `, value width ${formatCount(valueWidth)}`;
  const norms = headNorms === null ? "" : `, ${NORMS[headNorms]} of each head's query and key`;
  return `${formatCount(heads)}, KV heads ${formatCount(kvHeads)}, head width ${formatCount(keyWidth)}${values}${norms}`;
}

function stateSpaceText(space: StateSpaceDescription): string {
  const { channels, stateSize, convolution, timeStepRank, heads, groups, innerNorms } = space;
  const parts = [`${formatCount(channels)} channels with states of ${stateSize}`, `convolution of ${convolution}`];
  if (timeStepRank !== null) parts.push(`time step of rank ${formatCount(timeStepRank)}`);
  if (heads !== null && groups !== null) parts.push(`${counted(heads, "head")} in ${counted(groups, "group")}`);
  if (innerNorms) parts.push("RMSNorm of dt, B and C");
  return parts.join(", ");
}

/** Positions that are part of the embedding, which then are the model's only ones. */
function embeddedPositions({ embedding }: ModelDescription): string | undefined {
  if (embedding.mostPositions !== null) return `learned, for ${formatCount(embedding.mostPositions)} positions`;
  return embedding.positions === null ? undefined : `${embedding.positions}, added to the embedding`;
}

function positionsText(positions: PositionDescription): string {
  switch (positions.kind) {
    case "none":
      return "none";
    case "alibi":
      return `ALiBi, slopes from ${short(positions.largestSlope)} to ${short(positions.smallestSlope)}`;
    case "relative":
      return `relative, ${formatCount(positions.buckets)} buckets up to a distance of ${formatCount(positions.maximum)}`;
    case "rope":
      return ropeText(positions);
  }
}

function ropeText({ layout, dims, width, base, scaling, factors }: Extract<PositionDescription, { kind: "rope" }>) {
  const part = dims === width ? "" : `, ${formatCount(dims)} of ${formatCount(width)} dims`;
  const parts = [`RoPE ${layout}${part}, base ${formatCount(base)}`];
  if (scaling) parts.push(scalingText(scaling));
  if (factors) parts.push("a factor for each pair");
  return parts.join(", ");
}

/** "yarn x4 from 4,096 tokens": the kind, its factor and the length that it extends, where it has them. */
function scalingText({ kind, factor, originalContext }: Readonly<Record<string, string | number>>): string {
  const times = typeof factor === "number" ? ` x${short(factor)}` : "";
  const from = typeof originalContext === "number" ? ` from ${counted(originalContext, "token")}` : "";
  return `${kind}${times}${from}`;
}

function windowText(window: number | null): string {
  return window === null ? "none" : `${counted(window, "token")}`;
}

function clampText({ clamp }: AttentionDescription): string {
  return clamp === null ? "none" : `queries, keys and values cut off at ${short(clamp)}`;
}

/** What happens to scores beside the usual 1/sqrt(head width); mostly nothing. */
function scoresText({ scale, keyWidth, softcap, sinks }: AttentionDescription): string {
  const usual = 1 / Math.sqrt(keyWidth);
  const parts: string[] = [];
  if (scale === 1) parts.push("not scaled");
  else if (Math.abs(scale - usual) > 1e-9) parts.push(`scaled by ${short(scale)}`);
  if (softcap !== null) parts.push(`capped at ${short(softcap)}`);
  if (sinks) parts.push("with a learned sink per head");
  return parts.join(", ");
}

function feedForwardText(part: FeedForwardDescription): string {
  switch (part.kind) {
    case "none":
      return "none";
    case "dense":
      return `dense ${part.activation}, ${formatCount(part.hidden)}`;
    case "gated":
      return `gated ${part.gating}, ${formatCount(part.hidden)}`;
    case "experts": {
      const weights = part.renormalised ? "renormalised" : "not renormalised";
      const used = `${counted(part.experts, "expert")}, ${formatCount(part.used)} used, weights ${weights}`;
      return `${used}, gated ${part.gating}, ${formatCount(part.hidden)} each`;
    }
  }
}

function normText({ kind, epsilon, behind }: NormDescription): string {
  const shown = Number(epsilon.toPrecision(3)).toExponential();
  return `${NORMS[kind]}, epsilon ${shown}${behind ? ", before and behind each branch" : ""}`;
}

function embeddingText({ vocabulary, embedding: { tied, scale, norm } }: ModelDescription): string {
  const parts = [`${counted(vocabulary, "token")}`];
  if (scale !== null) parts.push(`scaled by ${short(scale)}`);
  if (norm !== null) parts.push(`then ${NORMS[norm]}`);
  return `${parts.join(", ")}; the head ${tied ? "is the same matrix" : "is a matrix of its own"}`;
}
