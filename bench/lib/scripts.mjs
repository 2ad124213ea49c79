/** The figures that the scripts for single kernels (scripts/bench-*.mjs) print, read from their lines. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Lines like `q8_0    T=64   240 x 2048:   97.3 GFLOPS    0.8 GB/s, sixteen, limit 116`; floats have no limit there. */
export const LINEAR_LINE =
  /^(?<format>\S+)\s+T=(?<tokens>\d+)\s+(?<rows>\d+) x (?<columns>\d+):\s+(?<gflops>[\d.]+) GFLOPS\s+(?<gigabytes>[\d.]+) GB\/s(?:, (?<form>[\w-]+), limit (?<limit>[\d.]+))?/;
/** Lines like `4 x 8 heads of 64, f16   1 rows at  8192:     2682 us    25.0 GFLOPS  3.1 GB/s of cache`. */
export const ATTENTION_LINE =
  /^(?<shape>.+?), (?<type>\S+)\s+(?<rows>\d+) rows at\s+(?<tokens>\d+):\s+(?<us>\d+) us\s+(?<gflops>[\d.]+) GFLOPS(?:\s+(?<gigabytes>[\d.]+) GB\/s)?/;

/** The fields of a matched line, numbers as such. */
function fields(groups) {
  const known = Object.entries(groups).filter(([, text]) => text !== undefined);
  return Object.fromEntries(
    known.map(([key, text]) => [key, text === "" || Number.isNaN(Number(text)) ? text : Number(text)]),
  );
}

/** Lines of the script that match; ends the script when `enough` says so. */
export async function runScript(name, args, pattern, enough = () => false) {
  const script = fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url));
  const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const closed = new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
  const rows = [];
  let ended = false;
  for await (const line of createInterface({ input: child.stdout })) {
    const match = pattern.exec(line);
    if (!match || ended) continue;
    rows.push(fields(match.groups));
    ended = enough(rows);
    if (ended) child.kill();
  }
  const status = await closed;
  if (!ended && status !== 0) throw new Error(`scripts/${name} ended with status ${status}`);
  if (rows.length === 0) throw new Error(`scripts/${name} printed no line of the expected form`);
  return rows;
}
