/** Exports brought to the disk, each file whole or not at all. */
import { joinLocation } from "../../formats/location.js";
import type { StreamedFile } from "../../formats/write/gguf-writer.js";
import { UnsupportedError } from "../../util/errors.js";
import { type FileWriter, platform } from "../../util/platform.js";
import type { HfExport } from "./hf-export.js";

/** @throws UnsupportedError where files cannot be written, as in browsers */
export function fileWriter(): FileWriter {
  const { writer } = platform();
  if (writer) return writer;
  throw new UnsupportedError("This platform cannot write files; take the bytes from chunks() instead.");
}

/** @throws WriteError, and what `chunks()` throws */
export async function saveFile(location: string, file: StreamedFile): Promise<void> {
  await fileWriter().writeFile(location, file.chunks());
}

/** Writes the files of a folder, which is made where it is not there. @throws WriteError, and what `chunks()` throws */
export async function saveFolder(location: string, { files }: HfExport): Promise<void> {
  const made = await fileWriter().makeFolder(location);
  try {
    for (const file of files) await saveFile(joinLocation(location, file.name), file);
  } catch (error) {
    // What was made for this export goes with it; files of others would not be here.
    if (made.length > 0) await fileWriter().remove(made[0]);
    throw error;
  }
}
