/** The data folder beside the repository, for tests that need real models: absent in a fresh clone. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { MemoryFiles } from "./memory-files.js";

export const SHARED = join(dirname(fileURLToPath(import.meta.url)), "../../../shared");
export const hasShared = existsSync(SHARED);

/** Files of the data folder, read whole when opened. */
export class SharedFiles extends MemoryFiles {
  override async open(location: string) {
    if (!this.contents.has(location) && existsSync(location)) this.contents.set(location, readFileSync(location));
    return super.open(location);
  }

  override async list(location: string): Promise<readonly string[] | "file" | undefined> {
    if (!existsSync(location)) return undefined;
    try {
      return readdirSync(location);
    } catch {
      return "file";
    }
  }
}
