/**
 * BigBird (2007.14062), made causal: a query sees the first two blocks, its own block and the two before it, and three
 * further earlier blocks drawn at random for each block of queries (the same draws for a given place, whatever the length).
 */
import { oneHeadSet } from "../../context/head-sets.js";
import { Random } from "../../util/random.js";
import type { Range } from "../../util/ranges.js";
import type { PatternDefinition } from "./pattern-definition.js";

const GLOBAL = 2;
const WINDOW = 3;
const DRAWN = 3;

export const bigBird: PatternDefinition = {
  name: "bigbird",
  numbers: 1,
  help: "bigbird:N          blocks of N: 2 global, 3 in a window, 3 drawn at random (BigBird, causal)",
  create: ([size], text) => ({
    text,
    ...oneHeadSet({ visible: (t) => ranges(blocksSeen(Math.floor(t / size)), size, t + 1) }),
  }),
};

/** Ascending numbers of the blocks that the queries of a block see, their own last. */
function blocksSeen(block: number): number[] {
  const seen = new Set<number>();
  for (let global = 0; global < Math.min(GLOBAL, block + 1); global++) seen.add(global);
  for (let near = Math.max(0, block - WINDOW + 1); near <= block; near++) seen.add(near);
  const random = new Random(block);
  const others = Math.max(0, block - WINDOW + 1 - GLOBAL);
  const wanted = seen.size + Math.min(DRAWN, others);
  while (seen.size < wanted) seen.add(GLOBAL + random.below(others));
  return [...seen].sort((a, b) => a - b);
}

/** The blocks as ranges, neighbours joined, up to `end`. */
function ranges(blocks: readonly number[], size: number, end: number): Range[] {
  const joined: { start: number; end: number }[] = [];
  for (const block of blocks) {
    const last = joined.at(-1);
    if (last?.end === block * size) last.end += size;
    else joined.push({ start: block * size, end: (block + 1) * size });
  }
  const newest = joined[joined.length - 1];
  newest.end = end;
  return joined;
}
