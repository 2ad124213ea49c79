/**
 * A file that says which process trains in a folder, so that a second one does not write into the same run. A process that
 * was killed leaves it behind; it counts for nothing once that process is gone. Between machines nothing can be told.
 */
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { removeEmptyFolders } from "../../platform/folders-node.js";
import { fileWriter } from "../../train/export/save.js";
import { SluiceError } from "../../util/errors.js";
import { errnoCode, fileError } from "../files-node.js";

export interface FolderLock {
  /** Ends the lock; folders that were made for it and are empty go, too. */
  release(): Promise<void>;
  /** The same after a run that could not begin: a folder that was made for it goes with what is in it. */
  abandon(): Promise<void>;
}

const NAME = "running";
const MOST_TRIES = 3;
const WITHOUT_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

/**
 * Makes the folder where there is none.
 * @throws SluiceError (busy) when another process trains there, (file); WriteError
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const path = join(folder, NAME);
  const made = await fileWriter().makeFolder(folder);
  const mine = `${process.pid} ${hostname()} ${(await startOf(process.pid)) ?? ""}`.trim();
  for (let tries = 0; ; tries++) {
    if (await put(path, mine, tries, made)) {
      const release = async () => {
        await removeIf(path, mine);
        await removeEmptyFolders(made);
      };
      const abandon = async () => {
        // What lies in a folder that was not there before is of this run alone.
        if (made.length > 0) await fileWriter().remove(folder);
        await release();
      };
      return { release, abandon };
    }
    const found = await readFile(path, "utf8").catch(() => "");
    const [pid, host, start] = found.split(" ");
    if (host === hostname() && (await isRunning(Number(pid), start))) {
      throw new SluiceError(
        "busy",
        `Process ${pid} trains in ${folder} already: wait for its end, or stop it (kill ${pid}).`,
        { folder, pid: Number(pid) },
      );
    }
    await removeIf(path, found);
  }
}

/** Puts the file there with its text, in one step; false where there is one. After a failure `made` is gone, too. */
async function put(path: string, text: string, tries: number, made: readonly string[]): Promise<boolean> {
  const partial = `${path}.${process.pid}`;
  try {
    await writeFile(partial, text);
    await link(partial, path).catch((error: unknown) => {
      // Some file systems have no links: then in two steps.
      if (!WITHOUT_LINKS.has(errnoCode(error))) throw error;
      return writeFile(path, text, { flag: "wx" });
    });
    return true;
  } catch (error) {
    if (errnoCode(error) === "EEXIST" && tries < MOST_TRIES) return false;
    await rm(partial, { force: true });
    await removeEmptyFolders(made);
    throw fileError(path, "written", error);
  } finally {
    await rm(partial, { force: true });
  }
}

/** Another process may have put its own there in the meantime. */
async function removeIf(path: string, text: string): Promise<void> {
  if ((await readFile(path, "utf8").catch(() => text)) === text) await rm(path, { force: true });
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
