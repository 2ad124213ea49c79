/** Numbers as people read them: counts with separators, bytes, rates, durations. Always in English, on every machine. */
import { formatCount, formatSignificant } from "../util/figures.js";

export { counted, formatBytes, formatCount, formatSignificant } from "../util/figures.js";

/** Perplexities: two decimals up to 1,000, then whole. */
export function formatPerplexity(value: number): string {
  if (Number.isNaN(value)) return "-";
  if (value === Infinity) return "inf";
  return value < 1000 ? value.toFixed(2) : formatCount(value);
}

/** Tokens per second; "-" when unknown. */
export function formatRate(perSecond: number | null): string {
  return perSecond === null || !Number.isFinite(perSecond) ? "-" : `${formatSignificant(perSecond)} tok/s`;
}

/** 950 -> "950 ms"; 83000 -> "1m 23s". */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return "-";
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}h ${minutes}m` : `${minutes}m ${seconds % 60}s`;
}
