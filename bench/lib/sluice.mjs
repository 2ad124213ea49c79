/** The built package, as a user of it gets it. */
import { existsSync } from "node:fs";

const ENTRY = new URL("../../dist/index-node.js", import.meta.url);

/** @returns {Promise<typeof import("../../src/index-node.js")>} */
export async function importSluice() {
  if (!existsSync(ENTRY)) throw new Error("Sluice is not built: run `npm run build` at the root first.");
  return import(ENTRY.href);
}
