/**
 * Which memory each layer's weights and cache lie in. Layers stay whole and in order, so a step crosses from one memory to
 * the next once; as few memories as hold everything, about equally full.
 */
import type { WeightPlan, WeightRequest } from "../../tensor/backend.js";
import { rowBytes } from "../../tensor/dtype.js";
import { MemoryError } from "../../util/errors.js";
import { roundUp } from "./space.js";

/** An arena that grows has its old and its new memory at once. */
const GROWING_ARENAS = 2;
/** Shares of the wished cache bytes that are tried when not all fit. */
const SHARES = [1, 0.75, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0];

export interface Placement {
  /** How many memories, at least 1. */
  readonly memories: number;
  readonly placeOfWeight: ReadonlyMap<string, number>;
  readonly placeOfLayer: ReadonlyMap<number, number>;
}

/** What lies together in one memory: a layer, or a weight of no layer (embedding, norm, head). */
interface Unit {
  readonly layer: number | undefined;
  readonly weights: readonly WeightRequest[];
  readonly bytes: number;
  readonly cacheBytes: number;
}

/** @param roomOf bytes that the memory of that number has for a model; 0: there can be none. Never more than memory 0 has. */
export function placeWeights(plan: WeightPlan, roomOf: (place: number) => number): Placement {
  const units = unitsOf(plan);
  refuseLarge(units, roomOf(0));
  for (const activations of [GROWING_ARENAS * plan.activationBytes, 0]) {
    for (const share of SHARES) {
      const places = balanced(units, share, (place) => roomOf(place) - activations);
      if (places) return placementOf(units, places);
    }
  }
  return refuse(units, roomOf);
}

function weightBytes({ dtype, rows, cols }: WeightRequest): number {
  return roundUp(rows * rowBytes(dtype, cols));
}

/** In the order of first use. */
function unitsOf({ weights, cacheBytes }: WeightPlan): Unit[] {
  const groups = new Map<string | number, WeightRequest[]>();
  for (const request of weights) {
    const key = request.layer ?? request.name;
    const group = groups.get(key);
    if (group) group.push(request);
    else groups.set(key, [request]);
  }
  return [...groups.values()].map((group) => {
    const { layer } = group[0];
    return {
      layer,
      weights: group,
      bytes: group.reduce((sum, request) => sum + weightBytes(request), 0),
      cacheBytes: layer === undefined ? 0 : (cacheBytes[layer] ?? 0),
    };
  });
}

/** Place of each unit when as few memories as possible take the weights and this share of the caches. */
function balanced(units: readonly Unit[], share: number, roomOf: (place: number) => number): number[] | undefined {
  const most = roomOf(0);
  // A wish beyond a whole memory would keep the layer out of every memory.
  const sizes = units.map(({ bytes, cacheBytes }) => bytes + share * Math.min(cacheBytes, Math.max(0, most - bytes)));
  const first = filled(sizes, roomOf);
  if (!first) return undefined;
  const memories = last(first) + 1;
  let best = first;
  // The lowest level to which as many memories need be filled, to within a part in a thousand.
  for (let low = 0, high = most; high - low > most / 1000; ) {
    const level = (low + high) / 2;
    const places = filled(sizes, (place) => (place < memories ? Math.min(level, roomOf(place)) : 0));
    if (places) {
      best = places;
      high = level;
    } else low = level;
  }
  return best;
}

/** Fills one memory after the other; undefined when something does not fit. */
function filled(sizes: readonly number[], roomOf: (place: number) => number): number[] | undefined {
  let place = 0;
  let taken = 0;
  const places: number[] = [];
  for (const size of sizes) {
    if (taken + size > roomOf(place)) {
      place++;
      taken = 0;
    }
    if (size > roomOf(place)) return undefined;
    taken += size;
    places.push(place);
  }
  return places;
}

function last(places: readonly number[]): number {
  return places.at(-1) ?? 0;
}

function placementOf(units: readonly Unit[], places: readonly number[]): Placement {
  const placeOfWeight = new Map<string, number>();
  const placeOfLayer = new Map<number, number>();
  units.forEach(({ layer, weights }, index) => {
    for (const { name } of weights) placeOfWeight.set(name, places[index]);
    if (layer !== undefined) placeOfLayer.set(layer, places[index]);
  });
  return { memories: last(places) + 1, placeOfWeight, placeOfLayer };
}

/** What can be cut nowhere must fit into one memory. */
function refuseLarge(units: readonly Unit[], room: number): void {
  const figures = (needed: number) => ({ neededBytes: needed, availableBytes: room });
  for (const { layer, weights, bytes } of units) {
    for (const request of weights) {
      const needed = weightBytes(request);
      if (needed <= room) continue;
      throw new MemoryError(
        `The weight ${request.name} needs ${needed} bytes, but one WebAssembly memory has room for ${room}, and a weight ` +
          "lies in one memory. Use a smaller quantisation.",
        figures(needed),
      );
    }
    if (bytes <= room) continue;
    throw new MemoryError(
      `The weights of layer ${layer} need ${bytes} bytes, but one WebAssembly memory has room for ${room}, and a layer ` +
        "lies in one memory. Use a smaller quantisation.",
      figures(bytes),
    );
  }
}

function refuse(units: readonly Unit[], roomOf: (place: number) => number): never {
  const needed = units.reduce((sum, { bytes }) => sum + bytes, 0);
  let available = 0;
  let memories = 0;
  while (roomOf(memories) > 0) available += roomOf(memories++);
  throw new MemoryError(
    `The weights need ${needed} bytes, but ${memories} WebAssembly memories have room for ${available}, and every layer ` +
      "lies in one memory. Use a smaller model or a smaller quantisation.",
    { neededBytes: needed, availableBytes: available },
  );
}
