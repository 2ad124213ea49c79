/**
 * The temporary files in which the writer gathers a file's new content, beside the file: `.NAME.HOST-PID-RANDOM.partial`.
 * A process that was killed leaves its own behind; the next one that writes the same file removes it.
 */
import { createHash, randomBytes } from "node:crypto";
import { readdir, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { systemCode } from "./file-node.js";

const END = ".partial";
/** Names have 255 bytes at most on most systems; what stands around this part takes less than the rest. */
const MOST_NAME_BYTES = 150;
/** Of a machine: processes of others, on a shared disk, are not ours to judge. */
const HOST = hostname()
  .replace(/[^\w-]/g, "_")
  .slice(0, 40);

/** A name that no other process, thread or call takes. */
export function partialPath(path: string): string {
  return join(dirname(path), `${startOf(path)}${HOST}-${process.pid}-${randomBytes(6).toString("hex")}${END}`);
}

/** Removes the temporary files of this file whose process is gone. */
export async function removeLeftovers(path: string): Promise<void> {
  const folder = dirname(path);
  const start = startOf(path);
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    if (!name.startsWith(start) || !name.endsWith(END)) continue;
    const [, host = HOST, pid] = /^(?:([\w-]+)-)?(\d+)-[0-9a-f]+$/.exec(name.slice(start.length, -END.length)) ?? [];
    if (pid === undefined || host !== HOST) continue;
    if (await isLeft(Number(pid), join(folder, name))) await rm(join(folder, name), { force: true }).catch(() => {});
  }
}

function startOf(path: string): string {
  const name = basename(path);
  const short = Buffer.byteLength(name) <= MOST_NAME_BYTES;
  return `.${short ? name : createHash("sha256").update(name).digest("hex").slice(0, 32)}.`;
}

async function isLeft(pid: number, partial: string): Promise<boolean> {
  if (pid !== process.pid) return !isAlive(pid);
  // In a container every process may have the same number: what is older than this one is another's.
  const began = Date.now() - 1000 * process.uptime();
  return stat(partial).then(
    ({ mtimeMs }) => mtimeMs < began,
    () => false,
  );
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) !== "ESRCH";
  }
}
