/**
 * Which pages a row reads (Quest, 2406.10774), as its definition: bounds, softmax and weights in double precision, one page at
 * a time, and the candidates sorted by weight.
 */
import type { SelectCall, SelectedPages, SelectPart } from "../../tensor/backend.js";
import { PAGE_TOKENS } from "../../tensor/kv.js";
import { InternalError } from "../../util/errors.js";
import { boundsAt, type PageBounds } from "./bounds.js";
import { adjusted } from "./scores.js";
import { elements, own, ReferenceInput, tensor } from "./tensors.js";

export class ReferencePages implements SelectedPages {
  /** @param lists for each head the entries of the page table */
  constructor(
    readonly lists: readonly (readonly number[])[],
    readonly pages: number,
  ) {}

  get heads(): number {
    return this.lists.length;
  }

  /** The slot of the table that a slot of a head's list is. */
  slotOf(head: number, slot: number): number {
    return this.lists[head][Math.floor(slot / PAGE_TOKENS)] * PAGE_TOKENS + (slot % PAGE_TOKENS);
  }

  async read(): Promise<Int32Array> {
    return Int32Array.from(this.lists.flat());
  }
}

export function select(call: SelectCall): ReferencePages[] {
  return call.parts.map((part) => {
    const earlier = earlierEntries(call, part);
    const lists = part.slice.heads.map((_, head) => [...earlier, ...chosenEntries(call, part, head)]);
    return new ReferencePages(lists, earlier.length + part.pages);
  });
}

function spanOf({ spans }: SelectCall, part: SelectPart, range: number): readonly [number, number] {
  const { values } = own(ReferenceInput, spans);
  const pair = (part.spans + range) * 2;
  return [values[pair], values[pair + 1]];
}

function earlierEntries(call: SelectCall, part: SelectPart): number[] {
  const entries: number[] = [];
  for (let range = 0; range < part.ranges - 1; range++) {
    const [start, end] = spanOf(call, part, range);
    for (let page = Math.floor(start / PAGE_TOKENS); start < end && page * PAGE_TOKENS < end; page++)
      entries.push(page);
  }
  return entries;
}

/** Candidates of the newest range: [first, end) in entries of the table. */
export function candidatesOf(call: SelectCall, part: SelectPart): readonly [number, number] {
  const [start, end] = spanOf(call, part, part.ranges - 1);
  return [Math.ceil(start / PAGE_TOKENS), Math.ceil(end / PAGE_TOKENS)];
}

function chosenEntries(call: SelectCall, part: SelectPart, head: number): number[] {
  const { pages, oldest, newest } = part;
  const [first, end] = candidatesOf(call, part);
  const count = end - first;
  if (!(pages >= 1 && pages <= count && oldest >= 0 && newest >= 0 && oldest + newest <= pages))
    throw new InternalError(`select got ${pages} pages, ${oldest} + ${newest} of them given, of ${count} candidates.`);
  const weights = pageWeights(call, part, head).map((weight) => (Number.isNaN(weight) ? 0 : weight));
  const given = (i: number) => i < oldest || i >= count - newest;
  const order = weights.map((_, i) => i).sort((a, b) => weights[b] - weights[a] || a - b);
  const all = order.map((i) => i);
  const chosen = [...all.filter(given), ...all.filter((i) => !given(i)).slice(0, pages - oldest - newest)];
  return chosen.sort((a, b) => a - b).map((i) => first + i);
}

/** Of each candidate of one KV head of the part: the sum over the group's query heads of the softmax of their bounds. */
export function pageWeights(call: SelectCall, part: SelectPart, head: number): Float64Array {
  const { group } = call;
  const [first, end] = candidatesOf(call, part);
  const weights = new Float64Array(end - first);
  for (let g = 0; g < group; g++) {
    const queryHead = part.slice.heads[head] * group + g;
    const scores = pageScores(call, part, head, queryHead);
    const sink = call.sinks ? elements(call.sinks)[queryHead] : Number.NEGATIVE_INFINITY;
    const most = scores.reduce((a, b) => Math.max(a, b), sink);
    const total = scores.reduce((sum, score) => sum + Math.exp(score - most), Math.exp(sink - most));
    scores.forEach((score, i) => {
      weights[i] += Math.exp(score - most) / total;
    });
  }
  return weights;
}

/** The largest score that the query head could have in each candidate. */
export function pageScores(call: SelectCall, part: SelectPart, head: number, queryHead: number): Float64Array {
  const { keyWidth } = part.slice.store.layout;
  const query = tensor(call.queries[call.queries.length - 1])
    .row(part.first)
    .subarray(queryHead * keyWidth, (queryHead + 1) * keyWidth);
  const finite = query.every(Number.isFinite);
  const [first, end] = candidatesOf(call, part);
  const pair = part.spans + part.ranges - 1;
  return Float64Array.from({ length: end - first }, (_, i) => {
    const bound = largestProduct(query, call.scale, boundsAt({ bounds: part.bounds, at: part.at + i }, head));
    const score = finite ? bound : Number.NaN;
    let most = Number.NEGATIVE_INFINITY;
    for (let place = 0; place < PAGE_TOKENS; place++) {
      most = Math.max(most, adjusted(call, score, pair, (first + i) * PAGE_TOKENS + place, queryHead));
    }
    return most;
  });
}

function largestProduct(query: Float32Array, scale: number, { largest, smallest }: PageBounds): number {
  let sum = 0;
  query.forEach((q, d) => {
    sum += Math.max(q * scale * largest[d], q * scale * smallest[d]);
  });
  return sum;
}
