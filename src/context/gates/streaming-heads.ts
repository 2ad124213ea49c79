/**
 * Which heads stream: gates made a choice of two. The authors add noise of up to 1e-6 to the gates, take the quantile of all
 * at the share that is to stream (numpy.quantile, which interpolates) and let those below it stream. Here equal gates are told
 * apart by layer and head instead, so the same gates always give the same heads: of equal ones the first stream.
 */
import type { HeadGates } from "./head-gates.js";

/** Heads with at least this gate keep everything where neither policy nor file says otherwise. */
const HALF = 0.5;

/** What (n - 1) times a share may be off by, in doubles. */
const ROUNDING = 1e-9;

/**
 * [attention layer][KV head]: whether the head streams.
 * @param share of all heads that streams, from 0 to 1; absent: those below the gates' threshold
 */
export function streamingHeads({ layers, threshold }: HeadGates, share?: number): boolean[][] {
  if (share === undefined) return layers.map((row) => row.map((gate) => gate < (threshold ?? HALF)));
  const all = layers.flatMap((row, layer) => row.map((gate, head) => ({ gate, layer, head })));
  // Stable: of equal gates those of lower layers and heads come first.
  const ascending = all.sort((a, b) => a.gate - b.gate);
  const count = share >= 1 ? all.length : Math.ceil((all.length - 1) * share - ROUNDING);
  const streams = layers.map((row) => row.map(() => false));
  for (const { layer, head } of ascending.slice(0, Math.max(0, count))) streams[layer][head] = true;
  return streams;
}
