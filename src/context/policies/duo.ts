/**
 * DuoAttention (2410.10819): heads that retrieve keep everything, the others stream, that is, keep the first tokens and the
 * newest ones. Which are which, gates say, by KV head. Positions are those of the text. Defaults as the authors deploy it.
 */
import { InternalError } from "../../util/errors.js";
import { formatCount } from "../../util/figures.js";
import { GATES_NAME, type ModelGates, streamingHeads } from "../gates/index.js";
import { type HeadSet, headsBetween } from "../head-sets.js";
import type { ContextPolicy, PolicyDefinition, PolicyGiven } from "../policy.js";
import { type ValueForm, wholeNumber, wrongValue } from "../policy-values.js";
import { EVERYTHING } from "./full.js";
import { withReading } from "./reading.js";
import { windowRetention } from "./window.js";

const SINKS = 64;
const RECENT = 256;

/** NAME, or NAME@SHARE with a share from 0 to 1. */
const gatesWord: ValueForm<string> = {
  sign: "NAME",
  needs: () =>
    "the name of gates, behind which the share of heads that stream may stand, from 0 to 1 (duo:gates.json@0.5)",
  read(text) {
    const { name, share } = parts(text);
    return GATES_NAME.test(name) && (share === undefined || (share >= 0 && share <= 1)) ? text : undefined;
  },
};

function parts(text: string): { readonly name: string; readonly share: number | undefined } {
  const at = text.indexOf("@");
  if (at < 0) return { name: text, share: undefined };
  const share = text.slice(at + 1);
  return {
    name: text.slice(0, at),
    share: /^(\d{1,3}(\.\d{1,15})?|\.\d{1,15})$/.test(share) ? Number(share) : Number.NaN,
  };
}

/** Without an exponent, which a share does not have: 0.0000001. */
const decimal = (share: number) => share.toFixed(15).replace(/\.?0+$/, "");

export const duo: PolicyDefinition = {
  items: [
    { name: "duo", value: gatesWord },
    { name: "sinks", value: wholeNumber(0), absent: SINKS },
    { name: "recent", value: wholeNumber(1), absent: RECENT },
  ],
  options: ["read", "dense"],
  help: `duo:NAME[@SHARE]  heads with large gates keep everything, the others sinks:${SINKS},recent:${RECENT} or as said (DuoAttention)`,
  create(values, options, given) {
    const { name, share } = parts(values.word("duo"));
    const [sinks, recent] = [values.number("sinks"), values.number("recent")];
    const gates = gatesOf(name, given);
    const text = `duo:${name}${share === undefined ? "" : `@${decimal(share)}`},sinks:${sinks},recent:${recent}`;
    const beside = sinks > 0 ? `the first ${formatCount(sinks)} and ` : "";
    const policy = {
      text,
      summary: `keeps everything in heads that retrieve, ${beside}the newest ${formatCount(recent)} in others, by the gates ${name}`,
      recompute: false,
      ...duoSets(gates, { share, sinks, recent }),
      gates: { name, digest: gates?.digest },
    };
    // Heads that stream choose too, where they keep more.
    return withReading(policy, options, { budget: sinks + recent, sinks });
  },
};

/** Undefined: the text is only read, for no model. */
function gatesOf(name: string, { gates }: PolicyGiven): ModelGates | undefined {
  if (gates === undefined) return undefined;
  const found = gates.get(name);
  if (found !== undefined) return found ?? undefined;
  const names = [...gates.keys()].map((one) => `"${one}"`).join(", ");
  throw wrongValue(
    "duo",
    `there are no gates "${name}"; ${names === "" ? 'none were given when the model was loaded (gates: { NAME: "gates.json" }, or --gates FILE, which `sluice gates MODEL --out FILE` makes)' : `there are ${names}`}`,
  );
}

interface DuoSizes {
  readonly share: number | undefined;
  readonly sinks: number;
  readonly recent: number;
}

function duoSets(
  gates: ModelGates | undefined,
  { share, sinks, recent }: DuoSizes,
): Pick<ContextPolicy, "budget" | "sinks" | "distance" | "headSets"> {
  const streaming = windowRetention(sinks, recent, { distance: "text" });
  const streams = gates ? streamingHeads(gates, share) : [];
  const byLayer = new Map(gates?.layerNumbers.map((layer, row) => [layer, streams[row]]));
  const every = streams.length > 0 && streams.every((row) => row.every(Boolean));
  const none = streams.length > 0 && !streams.some((row) => row.some(Boolean));
  return {
    budget: every ? streaming.budget : undefined,
    sinks: none ? 0 : sinks,
    distance: "text",
    headSets(layer, kvHeads): readonly HeadSet[] {
      const row = byLayer.get(layer);
      if (!row) throw new InternalError(`The policy has no gates for layer ${layer}.`);
      const heads = headsBetween(0, kvHeads);
      return [
        { heads: heads.filter((head) => !row[head]), retention: EVERYTHING },
        { heads: heads.filter((head) => row[head]), retention: streaming },
      ];
    },
  };
}
