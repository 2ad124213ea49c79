/** Medians, aligned tables and the JSON file that every benchmark can leave behind. */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Three significant digits, three decimals below one, never in exponents. */
export function figure(value) {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) < 1) return value.toFixed(3);
  const before = Math.floor(Math.log10(Math.abs(value))) + 1;
  return value.toFixed(Math.max(0, 3 - before));
}

/** The median and, with more than one value, the extremes behind it. */
export function spread(values) {
  if (values.length === 1) return figure(values[0]);
  return `${figure(median(values))} (${figure(Math.min(...values))}-${figure(Math.max(...values))})`;
}

/**
 * First column to the left, the others to the right.
 * @param {string[]} head
 * @param {string[][]} rows
 */
export function table(head, rows) {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column].length)));
  const line = (cells) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ");
  return `${[line(head), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)].join("\n")}\n`;
}

/** What a reader needs to judge the figures. */
export function machine() {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    node: process.version,
    date: new Date().toISOString(),
  };
}

/** @param {string | undefined} path @param {object} report */
export function saveJson(path, report) {
  if (path) writeFileSync(path, `${JSON.stringify({ machine: machine(), ...report }, null, 2)}\n`);
}
