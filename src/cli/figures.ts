/** Numbers as people read them: counts with separators, bytes, rates, durations. Always in English, on every machine. */

/** 1234567 -> "1,234,567". */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Decimal units, three significant digits: 1054592 -> "1.05 MB". */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : formatSignificant(value)} ${BYTE_UNITS[unit]}`;
}

/** Three significant digits without exponents: 0.0123, 1.23, 12.3, 1,234. */
export function formatSignificant(value: number): string {
  if (!Number.isFinite(value)) return "-";
  const size = Math.abs(value);
  if (size >= 99.95) return formatCount(value);
  if (size >= 9.995) return value.toFixed(1);
  if (size >= 0.9995) return value.toFixed(2);
  if (size === 0) return "0";
  return value.toFixed(Math.min(6, 2 - Math.floor(Math.log10(size))));
}

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
