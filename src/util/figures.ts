/** Counts and bytes as people read them, in messages and reports. Always in English, on every machine. */

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

/** A count with its noun: "1 token", "1,234 tokens". */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${formatCount(count)} ${count === 1 ? noun : plural}`;
}
