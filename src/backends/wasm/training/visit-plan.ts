/**
 * Which pages of keys each tile of query rows visits: those that some of its rows see, so that attention for training
 * costs what is seen. Made once of a step's spans, as layers share them. The layout is that of
 * kernels/training/attend-record.ts.
 */
import { VISIT_BYTES, VISIT_WHOLE } from "../../../../kernels/training/attend-record.js";
import type { Machine } from "../machine.js";
import { expect, type WasmInput } from "../tensors.js";
import type { Visit, VisitPlan } from "./visit.js";

export const PAGE_KEYS = 16;
/** Chunks of all KV heads together that many threads share well; fewer where a chunk would have few rows. */
const MOST_ITEMS = 16;
const LEAST_CHUNK_ROWS = 256;

/** What a plan depends on beside the spans; never the number of threads. */
export interface PlanShape {
  /** T */
  readonly tokens: number;
  /** N */
  readonly keys: number;
  /** R */
  readonly ranges: number;
  /** G */
  readonly group: number;
  /** KV heads of the call. */
  readonly heads: number;
  /** Rows (t * G + g) of a tile. */
  readonly height: number;
}

export function visitPlan(machine: Machine, spans: WasmInput, shape: PlanShape): VisitPlan {
  const key = Object.values(shape).join(" ");
  const found = spans.visitPlans.get(key);
  if (found) return found;
  const start = spans.address >>> 2;
  const tiles = tileVisits(machine.space.i32.subarray(start, start + spans.length), shape);
  const plan = write(machine, shape, tiles, cutChunks(shape, tiles));
  spans.visitPlans.set(key, plan);
  return plan;
}

/** The visits of each tile, in the order of the pages; spans are i32 [T, R, 2]. */
export function tileVisits(spans: Int32Array, shape: PlanShape): Visit[][] {
  return new TileReader(spans, shape).tiles();
}

/** Finds the visits of a tile in the spans of its tokens. */
class TileReader {
  // Of each page: the first token of the tile that sees any of it, the one after the last, and how many keys are seen
  // by all.
  private readonly firsts: Int32Array;
  private readonly ends: Int32Array;
  private readonly seen: Int32Array;
  private lowest = 0;
  private highest = 0;

  constructor(
    private readonly spans: Int32Array,
    private readonly shape: PlanShape,
  ) {
    const pages = Math.ceil(shape.keys / PAGE_KEYS);
    this.firsts = new Int32Array(pages);
    this.ends = new Int32Array(pages);
    this.seen = new Int32Array(pages);
  }

  tiles(): Visit[][] {
    const { tokens, group, height } = this.shape;
    const rows = tokens * group;
    const tiles: Visit[][] = [];
    for (let first = 0; first < rows; first += height) {
      tiles.push(this.visits(first, Math.min(rows, first + height)));
    }
    return tiles;
  }

  /** Of the rows [first, end). */
  private visits(first: number, end: number): Visit[] {
    const { group } = this.shape;
    const from = Math.floor(first / group);
    const to = Math.ceil(end / group);
    this.lowest = this.seen.length;
    this.highest = 0;
    for (let token = from; token < to; token++) this.mark(token);
    const visits: Visit[] = [];
    for (let page = this.lowest; page < this.highest; page++) {
      if (this.seen[page] === 0) continue;
      const whole = this.seen[page] === (to - from) * PAGE_KEYS;
      const rows = { first: this.firsts[page] * group - first, end: this.ends[page] * group - first };
      visits.push({ page, first: Math.max(0, rows.first), end: Math.min(end - first, rows.end), whole });
      this.seen[page] = 0;
    }
    return visits;
  }

  private mark(token: number): void {
    const { ranges, keys } = this.shape;
    let before = 0;
    for (let at = token * ranges * 2; at < (token + 1) * ranges * 2; at += 2) {
      const low = this.spans[at];
      const high = this.spans[at + 1];
      if (low >= high) continue;
      expect(low >= before && high <= keys, "attendRows", `a range [${low}, ${high}) behind ${before} of ${keys} keys`);
      before = high;
      this.lowest = Math.min(this.lowest, Math.floor(low / PAGE_KEYS));
      this.highest = Math.max(this.highest, Math.ceil(high / PAGE_KEYS));
      for (let page = Math.floor(low / PAGE_KEYS); page * PAGE_KEYS < high; page++) {
        const start = page * PAGE_KEYS;
        if (this.seen[page] === 0) this.firsts[page] = token;
        this.ends[page] = token + 1;
        this.seen[page] += Math.min(high, start + PAGE_KEYS) - Math.max(low, start);
      }
    }
  }
}

const pairsOf = (visits: readonly Visit[]): number =>
  visits.reduce((sum, { first, end }) => sum + (end - first) * PAGE_KEYS, 0);

/** The first tile of each chunk and the end: chunks of about the same work. */
export function cutChunks({ tokens, group, heads }: PlanShape, tiles: readonly Visit[][]): number[] {
  const fewest = Math.min(tiles.length, Math.floor((tokens * group) / LEAST_CHUNK_ROWS));
  const chunks = Math.max(1, Math.min(fewest, Math.ceil(MOST_ITEMS / heads)));
  const all = tiles.reduce((sum, visits) => sum + pairsOf(visits), 0);
  const cuts = [0];
  let done = 0;
  tiles.forEach((visits, tile) => {
    if (tile > 0 && cuts.length < chunks && done >= (all * cuts.length) / chunks) cuts.push(tile);
    done += pairsOf(visits);
  });
  return [...cuts, tiles.length];
}

/** Lays the plan into the step's memory. */
function write(
  machine: Machine,
  shape: PlanShape,
  tiles: readonly Visit[][],
  chunkTiles: readonly number[],
): VisitPlan {
  const pages = Math.ceil(shape.keys / PAGE_KEYS);
  const chunks = chunkTiles.length - 1;
  const starts = new Int32Array(tiles.length + 1);
  const chunkSlots = new Int32Array(chunks + 1);
  const slotOf = new Int32Array(chunks * pages).fill(-1);
  const words: number[] = [];
  let slots = 0;
  let pairs = 0;
  for (let chunk = 0; chunk < chunks; chunk++) {
    for (let tile = chunkTiles[chunk]; tile < chunkTiles[chunk + 1]; tile++) {
      for (const { page, first, end, whole } of tiles[tile]) {
        const at = chunk * pages + page;
        if (slotOf[at] < 0) slotOf[at] = slots++;
        words.push(page, first | (end << 8) | (whole ? VISIT_WHOLE : 0), slotOf[at]);
      }
      pairs += pairsOf(tiles[tile]);
      starts[tile + 1] = words.length / (VISIT_BYTES / 4);
    }
    chunkSlots[chunk + 1] = slots;
  }
  // The kernel looks one visit ahead.
  words.push(0, 0, 0);
  const place = (values: Int32Array) => machine.input(values).address;
  return {
    tiles: tiles.length,
    starts: place(starts),
    visits: place(Int32Array.from(words)),
    chunks,
    chunkTiles: place(Int32Array.from(chunkTiles)),
    chunkSlots: place(chunkSlots),
    slotOf: place(slotOf),
    slots,
    pairs,
  };
}
