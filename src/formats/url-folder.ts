/** What lies at a place: over HTTP nothing can be listed, so a model's folder is found by asking for the files it may have. */
import { NetworkError, NotFoundError } from "../util/errors.js";
import type { Platform } from "../util/platform.js";
import { INDEX_FILE } from "./hf/checkpoint.js";
import { SIDE_FILES } from "./hub-files.js";
import { baseName, isUrl, joinLocation } from "./location.js";

type Files = Pick<Platform, "open" | "list">;

const [CONFIG_FILE, ...OTHER_SIDE_FILES] = SIDE_FILES;

/** As `Platform.list`; a URL that names neither a GGUF nor a safetensors file may be a folder. @throws NetworkError */
export async function listPlace(location: string, files: Files): Promise<readonly string[] | "file" | undefined> {
  if (!isUrl(location)) return files.list(location);
  // Whether the file is there shows when it is opened.
  if (/\.(gguf|safetensors)$/i.test(baseName(location)) || !/^http/i.test(location)) return "file";
  if (!(await isThere(joinLocation(location, CONFIG_FILE), files))) return "file";
  const index = await isThere(joinLocation(location, INDEX_FILE), files);
  const names = index ? OTHER_SIDE_FILES : [...OTHER_SIDE_FILES, "model.safetensors"];
  const found = await Promise.all(names.map((name) => isThere(joinLocation(location, name), files)));
  return [CONFIG_FILE, ...(index ? [INDEX_FILE] : []), ...names.filter((_, at) => found[at])];
}

/** Some stores say 401 or 403 of what is not there. */
async function isThere(location: string, files: Files): Promise<boolean> {
  try {
    await (await files.open(location)).close();
    return true;
  } catch (error) {
    const refused = error instanceof NetworkError && [401, 403].includes(Number(error.details.status));
    if (refused || error instanceof NotFoundError) return false;
    throw error;
  }
}
