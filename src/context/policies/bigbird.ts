/**
 * BigBird (2007.14062), made causal: a query sees the first block, its own block and the two before it, and three further
 * earlier blocks, drawn at random for each layer, KV head and block of queries. A seed gives the same draws to a model that
 * learns and to one that runs. Everything is kept, for a later query may draw any block; what is read of it does not grow.
 */

import { PAGE_TOKENS } from "../../tensor/kv.js";
import { counted } from "../../util/figures.js";
import { Random } from "../../util/random.js";
import type { Range } from "../../util/ranges.js";
import { type HeadSets, headsBetween, type Retention } from "../head-sets.js";
import { type PolicyDefinition, policyOf } from "../policy.js";
import { multipleOf } from "../policy-values.js";
import { EVERYTHING } from "./full.js";

const BLOCK = 64;
/** Blocks up to a query's own, that one included. */
const WINDOW = 3;
const DRAWN = 3;
const SEEDS = 2 ** 52;

/**
 * Ascending numbers of the blocks that the queries of `block` see, their own last. Those that are drawn lie behind block 0 and
 * before the window; where there are no more than three, all are seen.
 * @param key of a layer and head: `drawKey`
 */
export function blocksSeen(block: number, key: number): number[] {
  const window = Math.max(0, block - WINDOW + 1);
  const between = Math.max(0, window - 1);
  const drawn = new Set<number>();
  const random = new Random(key + block);
  while (drawn.size < Math.min(DRAWN, between)) {
    drawn.add(between <= DRAWN ? drawn.size + 1 : 1 + random.below(between));
  }
  const seen = [...drawn].sort((a, b) => a - b);
  if (window > 0) seen.unshift(0);
  for (let near = window; near <= block; near++) seen.push(near);
  return seen;
}

/** Where the draws of a layer's KV head begin. */
export function drawKey(seed: number, layer: number, head: number): number {
  return [seed, layer, head].reduce((key, number) => Math.floor(new Random(key + number).double() * SEEDS), 0);
}

/** What one head sees, of blocks of `size`. */
function headRetention(size: number, key: number): Retention {
  // Queries come in their order, so the ranges of one block serve for as many rows.
  let last = -1;
  let ranges: readonly Range[] = [];
  return {
    ...EVERYTHING,
    keeps: EVERYTHING,
    alike: size,
    visible(t) {
      const block = Math.floor(t / size);
      if (block !== last) {
        ranges = joined(blocksSeen(block, key), size);
        last = block;
      }
      const seen = ranges.slice();
      seen[seen.length - 1] = { start: seen[seen.length - 1].start, end: t + 1 };
      return seen;
    },
  };
}

/** The blocks as ranges, neighbours joined. */
function joined(blocks: readonly number[], size: number): Range[] {
  const ranges: { start: number; end: number }[] = [];
  for (const block of blocks) {
    const last = ranges.at(-1);
    if (last?.end === block * size) last.end += size;
    else ranges.push({ start: block * size, end: (block + 1) * size });
  }
  return ranges;
}

/** A set for each head. The same objects at every call: layers find by them what they share. */
function headSets(size: number, seed: number): HeadSets {
  const known = new Map<string, Retention>();
  const retentionOf = (layer: number, head: number) => {
    const name = `${layer} ${head}`;
    const made = known.get(name) ?? headRetention(size, drawKey(seed, layer, head));
    known.set(name, made);
    return made;
  };
  return {
    headSets: (layer, kvHeads) =>
      headsBetween(0, kvHeads).map((head) => ({ heads: [head], retention: retentionOf(layer, head) })),
  };
}

export const bigbird: PolicyDefinition = {
  items: [{ name: "bigbird", value: multipleOf(PAGE_TOKENS), bare: BLOCK }],
  options: ["seed"],
  refuses: { read: "what it reads does not grow, for its pattern has a fixed number of blocks" },
  help: "bigbird:N         keep everything, read blocks of N (64; a multiple of 16): the first, the newest 3, 3 at random",
  create(values, { seed = 0 }) {
    const size = values.number("bigbird");
    const text = `bigbird${size === BLOCK ? "" : `:${size}`}${seed > 0 ? `,seed=${seed}` : ""}`;
    const summary = `keeps everything and reads blocks of ${counted(size, "token")}: the first, the newest ${WINDOW} and ${DRAWN} drawn at random`;
    const pattern = { block: size, blocks: 1 + DRAWN + WINDOW };
    return { ...policyOf(EVERYTHING, { text, summary, recompute: false, pattern }), ...headSets(size, seed) };
  },
};
