/** What happened to a text, in a line: seen, kept, evicted, recall horizon, speed. */
import type { Usage } from "../engine/api.js";
import { formatBytes, formatCount, formatRate } from "./figures.js";

/**
 * "seen 4,000 tokens, kept 256, evicted 3,744, recalls the newest 252 and the first 4"; where less was read than is kept: "kept
 * 4,000 and read 1,024 of them".
 */
export function describeContext(usage: Usage): string {
  const { kept, read } = usage;
  const part = read > 0 && read < kept ? ` and read ${formatCount(read)} of them` : "";
  return `seen ${tokens(usage.seen)}, kept ${formatCount(kept)}${part}, evicted ${formatCount(usage.evicted)}, ${describeHorizon(usage)}`;
}

/** Which part of the text can still be recalled. Where a token reads less than is kept, it is what that token reads. */
export function describeHorizon({ horizon, sinks, kept, read }: Usage): string {
  if (horizon === null) return read > 0 && read < kept ? "each token recalls what it reads" : "recalls all of it";
  const first = sinks > 0 ? ` and the first ${formatCount(sinks)}` : "";
  return `recalls the newest ${formatCount(horizon)}${first}`;
}

/** "prompt 12 tokens at 310 tok/s, written 200 at 45.2 tok/s, cache 1.2 MB". */
export function describeSpeed(usage: Usage): string {
  const prompt = `prompt ${tokens(usage.promptTokens)}${rate(usage.prefillTokensPerSecond)}`;
  const written = `written ${formatCount(usage.generatedTokens)}${rate(usage.decodeTokensPerSecond)}`;
  return `${prompt}, ${written}, cache ${formatBytes(usage.cacheBytes)}`;
}

/** What a run of the command added to a session, which may have gone on from a saved one. */
export interface RunUsage {
  readonly promptTokens: number;
  readonly generatedTokens: number;
}

export function runUsage(before: Usage, now: Usage): RunUsage {
  return {
    promptTokens: now.promptTokens - before.promptTokens,
    generatedTokens: now.generatedTokens - before.generatedTokens,
  };
}

/** Of a run in one line: what the whole session has seen, what this run read and wrote, and how fast. */
export function describeRun(before: Usage, now: Usage): string {
  const whose = before.seen > 0 ? "this run: " : "";
  const speed = describeSpeed({ ...now, ...runUsage(before, now) });
  const unread = now.seen < now.promptTokens + now.generatedTokens ? " (the newest is read with the next step)" : "";
  return `${describeContext(now)}; ${whose}${speed}${unread}`;
}

function tokens(count: number): string {
  return `${formatCount(count)} ${count === 1 ? "token" : "tokens"}`;
}

function rate(perSecond: number | null): string {
  return perSecond === null ? "" : ` at ${formatRate(perSecond)}`;
}
