/**
 * A file that says which process trains in a folder, so that a second one does not write into the same run. A process that
 * was killed leaves it behind; it counts for nothing once that process is gone. Between machines nothing can be told.
 */
import { open, readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { SluiceError } from "../../util/errors.js";
import { errnoCode, fileError } from "../files-node.js";

const NAME = "running";

/** @returns what unlocks. @throws SluiceError (busy) when another process trains there, (file) */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, NAME);
  const mine = `${process.pid} ${hostname()} ${(await startOf(process.pid)) ?? ""}`.trim();
  for (let tries = 0; ; tries++) {
    try {
      const handle = await open(path, "wx");
      await handle.writeFile(mine);
      await handle.close();
      return () => rm(path, { force: true });
    } catch (error) {
      if (errnoCode(error) !== "EEXIST" || tries > 1) throw fileError(path, "written", error);
    }
    const [pid, host, start] = (await readFile(path, "utf8").catch(() => "")).split(" ");
    if (host === hostname() && (await isRunning(Number(pid), start))) {
      throw new SluiceError(
        "busy",
        `Process ${pid} trains in ${folder} already: wait for its end, or stop it (kill ${pid}).`,
        { folder, pid: Number(pid) },
      );
    }
    await rm(path, { force: true });
  }
}

async function isRunning(pid: number, start: string | undefined): Promise<boolean> {
  // A process's number may be given anew; its start tells them apart, where the system says it.
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return errnoCode(error) === "EPERM";
  }
  const now = await startOf(pid);
  return start === undefined || now === undefined || start === now;
}

/** When a process began, in the system's own count (Linux: field 22 of /proc/PID/stat). */
async function startOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  return text?.slice(text.lastIndexOf(")") + 2).split(" ")[19];
}
