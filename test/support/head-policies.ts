/** Policies with head sets at random, for properties that must hold for any, and the same taken literally. */
import type { HeadSet, Retention } from "../../src/context/head-sets.js";
import { EVERYTHING } from "../../src/context/policies/full.js";
import { windowRetention } from "../../src/context/policies/window.js";
import type { ContextPolicy } from "../../src/context/policy.js";
import { Random } from "../../src/util/random.js";
import type { LiteralPolicy } from "./literal-attention.js";

/** More than any test reads. */
const ALL = 1_000_000;

export interface HeadPolicy {
  readonly policy: ContextPolicy;
  readonly literal: LiteralPolicy;
}

interface Drawn {
  readonly retention: Retention;
  readonly literal: LiteralPolicy;
}

function drawRetention(random: Random): Drawn {
  if (random.below(4) === 0)
    return { retention: EVERYTHING, literal: { sinks: 0, recent: ALL, evict: 1, inText: true } };
  const [sinks, recent] = [random.below(12), 1 + random.below(40)];
  const evict = 1 + random.below(Math.min(recent, 9));
  const inText = random.below(2) === 0;
  const retention = windowRetention(sinks, recent, { evict, distance: inText ? "text" : "cache" });
  return { retention, literal: { sinks, recent, evict, inText } };
}

/** Every head of every layer gets one of a few retentions, so that heads of a set are scattered and layers differ. */
export function drawHeadPolicy(seed: number, kinds = 4): HeadPolicy {
  const random = new Random(seed);
  const drawn = Array.from({ length: 1 + random.below(kinds) }, () => drawRetention(random));
  const kindOf = (layer: number, head: number) => {
    const own = new Random(seed + 7919 * (layer + 1));
    let other = 0;
    for (let i = 0; i <= head; i++) other = own.below(2);
    return (layer + other) % drawn.length;
  };
  const headSets = (layer: number, kvHeads: number): HeadSet[] =>
    drawn
      .map(({ retention }, kind) => {
        const heads = Array.from({ length: kvHeads }, (_, head) => head).filter((head) => kindOf(layer, head) === kind);
        return { heads, retention };
      })
      .filter(({ heads }) => heads.length > 0);
  const budgets = drawn.map(({ retention: { budget } }) => budget ?? Number.POSITIVE_INFINITY);
  const most = Math.max(...budgets);
  return {
    policy: {
      text: `heads:${seed}`,
      summary: "for a test",
      recompute: false,
      budget: Number.isFinite(most) ? most : undefined,
      sinks: Math.max(...drawn.map(({ retention }) => retention.sinks)),
      distance: drawn.some(({ retention }) => retention.distance === "cache") ? "cache" : "text",
      headSets,
    },
    literal: { ...drawn[0].literal, byHead: (layer, head) => drawn[kindOf(layer, head)].literal },
  };
}
