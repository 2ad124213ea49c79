/** What happened to a text, in a line: seen, kept, evicted, recall horizon, speed. */
import type { Usage } from "../engine/api.js";
import { formatBytes, formatCount, formatRate } from "./figures.js";

/** "seen 4,000 tokens, kept 256, evicted 3,744, recalls the newest 252 and the first 4". */
export function describeContext(usage: Usage): string {
  return `seen ${tokens(usage.seen)}, kept ${formatCount(usage.kept)}, evicted ${formatCount(usage.evicted)}, ${describeHorizon(usage)}`;
}

/** Which part of the text can still be recalled. */
export function describeHorizon({ horizon, sinks }: Usage): string {
  if (horizon === null) return "recalls all of it";
  const first = sinks > 0 ? ` and the first ${formatCount(sinks)}` : "";
  return `recalls the newest ${formatCount(horizon)}${first}`;
}

/** "prompt 12 tokens at 310 tok/s, written 200 at 45.2 tok/s, cache 1.2 MB". */
export function describeSpeed(usage: Usage): string {
  const prompt = `prompt ${tokens(usage.promptTokens)}${rate(usage.prefillTokensPerSecond)}`;
  const written = `written ${formatCount(usage.generatedTokens)}${rate(usage.decodeTokensPerSecond)}`;
  return `${prompt}, ${written}, cache ${formatBytes(usage.cacheBytes)}`;
}

/** Context and speed in one line. */
export function describeUsage(usage: Usage): string {
  return `${describeContext(usage)}; ${describeSpeed(usage)}`;
}

function tokens(count: number): string {
  return `${formatCount(count)} ${count === 1 ? "token" : "tokens"}`;
}

function rate(perSecond: number | null): string {
  return perSecond === null ? "" : ` at ${formatRate(perSecond)}`;
}
