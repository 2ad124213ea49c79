/** Medians, aligned tables and the JSON file that every benchmark can leave behind. */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Four significant digits at most, never in exponents. */
export function figure(value) {
  if (!Number.isFinite(value)) return String(value);
  const digits = Math.max(
    0,
    3 - Math.floor(Math.log10(Math.max(Math.abs(value), 1e-3))) - (Math.abs(value) < 1 ? 0 : 1),
  );
  return value.toFixed(Math.min(digits, 4));
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
