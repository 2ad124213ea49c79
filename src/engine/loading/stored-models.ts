/** What the browser keeps of models that were read from URLs (`LoadOptions.store`). Node keeps none here. */
import { platform, type StoredFile } from "../../util/platform.js";

/** The files that are kept, whole or in part; those that were used last come first. */
export async function storedModels(): Promise<StoredFile[]> {
  return (await platform().store?.list()) ?? [];
}

/**
 * Removes what is kept of a file, given by its URL (`model.info.location`), or of the files of a folder, or all; tells how
 * many files were removed. A page that is loading one goes on from the server. @throws SluiceError when the browser refuses
 */
export async function deleteStored(model?: string | URL): Promise<number> {
  const { store, absolute } = platform();
  const url = model instanceof URL ? model.href : model;
  return (await store?.delete(url === undefined ? undefined : (absolute?.(url) ?? url))) ?? 0;
}
