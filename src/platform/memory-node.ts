/**
 * How much memory a model may take. On Linux the kernel's estimate (MemAvailable), bounded by the control groups that the
 * process is in: in a container the machine's figures say little.
 */
import { readFileSync } from "node:fs";
import { freemem } from "node:os";
import process from "node:process";

/** Reads a text file; undefined when there is none. */
export type ReadText = (path: string) => string | undefined;

/** Bytes that can be taken now; undefined where the system's figure says nothing (macOS counts reclaimable memory as used). */
export function availableMemoryBytes(read: ReadText = readText): number | undefined {
  if (process.platform === "win32") return freemem();
  const machine = memAvailable(read);
  const bounds = [...cgroupAvailable(read)];
  if (machine !== undefined) bounds.push(machine);
  return bounds.length > 0 ? Math.max(0, Math.min(...bounds)) : undefined;
}

function memAvailable(read: ReadText): number | undefined {
  const kibibytes = /^MemAvailable:\s+(\d+) kB/m.exec(read("/proc/meminfo") ?? "")?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

/** What is left below the limit of each control group from the process's own up to the root; versions 1 and 2. */
function* cgroupAvailable(read: ReadText): Generator<number> {
  for (const line of (read("/proc/self/cgroup") ?? "").split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    const isV2 = controllers === "";
    if (!isV2 && !controllers.split(",").includes("memory")) continue;
    const names = isV2
      ? { root: "/sys/fs/cgroup", limit: "memory.max", usage: "memory.current", cache: /^(?:in)?active_file (\d+)$/gm }
      : {
          root: "/sys/fs/cgroup/memory",
          limit: "memory.limit_in_bytes",
          usage: "memory.usage_in_bytes",
          cache: /^total_(?:in)?active_file (\d+)$/gm,
        };
    for (let at = path.replace(/\/$/, ""); ; at = at.slice(0, at.lastIndexOf("/"))) {
      const folder = names.root + at;
      const limit = count(read(`${folder}/${names.limit}`));
      const usage = count(read(`${folder}/${names.usage}`));
      if (limit !== undefined && usage !== undefined) {
        // Pages of files count as used but are dropped when memory is needed.
        let cache = 0;
        for (const match of (read(`${folder}/memory.stat`) ?? "").matchAll(names.cache)) cache += Number(match[1]);
        yield limit - Math.max(0, usage - cache);
      }
      if (at === "") break;
    }
  }
}

/** A number of bytes; undefined for "max" and for version 1's way to say it (a number near 2^63). */
function count(text: string | undefined): number | undefined {
  const value = text === undefined || !/^\d+\s*$/.test(text) ? Number.NaN : Number(text);
  return value < 2 ** 60 ? value : undefined;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
